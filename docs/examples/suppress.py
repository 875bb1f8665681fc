#!/usr/bin/env python3
"""Copies a CSV file from standard input to standard output without the rows that must not be mailed.

The file is UTF-8 and has a header; the column "email" holds the address. Rows without an address are left out too. URL,
TOKEN and WORKSPACE come from the environment. When Monterey cannot be asked, or the file cannot be read, it fails and
writes nothing: better no mail than one too many.
"""

import csv
import json
import os
import sys
import urllib.error
import urllib.request

CHUNK = 10_000  # the most that one question may hold


def suppressed(emails):
    request = urllib.request.Request(
        os.environ["URL"] + "/suppressions/check",
        data=json.dumps({"emails": emails}).encode(),
        headers={
            "Authorization": "Bearer " + os.environ["TOKEN"],
            "X-Workspace-ID": os.environ["WORKSPACE"],
            "Content-Type": "application/json",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return [item["suppressed"] for item in json.load(answer)["items"]]  # in the order asked
    except urllib.error.HTTPError as e:
        sys.exit(f"{e.code}: {e.read().decode()}")


def main():
    sys.stdin.reconfigure(encoding="utf-8-sig", newline="")  # spreadsheets put a mark before the first name
    sys.stdout.reconfigure(encoding="utf-8", newline="")
    header, *rows = list(csv.reader(sys.stdin, strict=True)) or [[]]
    if "email" not in header:
        sys.exit('the file has no column "email"')
    column = header.index("email")
    rows = [row for row in rows if row]  # empty lines
    if any(len(row) != len(header) for row in rows):
        sys.exit("a row has more or fewer cells than the header")
    asked = [row for row in rows if row[column].strip()]
    no = []
    for i in range(0, len(asked), CHUNK):
        no += suppressed([row[column] for row in asked[i : i + CHUNK]])
    if len(no) != len(asked):
        sys.exit("the answer is not about the addresses asked")
    writer = csv.writer(sys.stdout)
    writer.writerow(header)
    writer.writerows(row for row, out in zip(asked, no) if not out)
    print(f"{len(rows)} rows: {sum(no)} suppressed, {len(rows) - len(asked)} without an address", file=sys.stderr)


main()
