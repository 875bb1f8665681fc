#!/usr/bin/env python3
"""Copies a CSV file from standard input to standard output without the addresses that must not be mailed.

The file has a header; the column "email" holds the address. URL, TOKEN and WORKSPACE come from the environment. It fails,
and writes nothing, when Monterey cannot be asked: better no mail than one too many.
"""

import csv
import json
import os
import sys
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
    with urllib.request.urlopen(request) as answer:
        return [item["suppressed"] for item in json.load(answer)["items"]]  # in the order asked


def main():
    rows = list(csv.DictReader(sys.stdin))
    if not rows:
        return
    emails = [row["email"] for row in rows]
    out = []
    for i in range(0, len(emails), CHUNK):
        out += suppressed(emails[i : i + CHUNK])
    writer = csv.DictWriter(sys.stdout, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(row for row, no in zip(rows, out) if not no)
    print(f"{sum(out)} of {len(rows)} addresses were left out", file=sys.stderr)


main()
