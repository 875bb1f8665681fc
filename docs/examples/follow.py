#!/usr/bin/env python3
"""Keeps a SQLite table of events exact: follow.py COPY.db

Each run asks for what changed since the last one. URL, TOKEN and WORKSPACE come from the environment. A run that fails
changes nothing; run it again.
"""

import json
import os
import sqlite3
import sys
import urllib.error
import urllib.parse
import urllib.request

# Names of campaigns and runs of events are left out: they may change without the event being updated.
FIELDS = [
    "id", "campaign_id", "event_type", "recipient_email", "occurred_at", "received_at", "updated_at", "source", "actor",
    "actor_reason", "url", "ip_address", "bounce_type", "detail",
]  # fmt: skip


def get(path, **query):
    request = urllib.request.Request(
        os.environ["URL"] + path + "?" + urllib.parse.urlencode(query),
        headers={"Authorization": "Bearer " + os.environ["TOKEN"], "X-Workspace-ID": os.environ["WORKSPACE"]},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as e:
        sys.exit(f"{e.code}: {e.read().decode()}")


def follow(db):
    db.execute(f"CREATE TABLE IF NOT EXISTS events ({', '.join(FIELDS)}, PRIMARY KEY (id))")
    db.execute("CREATE TABLE IF NOT EXISTS mark (as_of TEXT)")
    mark = db.execute("SELECT as_of FROM mark").fetchone()
    query = {"sort": "updated_at", "page_size": 500, "updated_from": mark[0] if mark else "2000-01-01T00:00:00Z"}
    as_of, changed = None, 0
    while True:
        page = get("/campaign-events/", **query)
        as_of = as_of or page["as_of"]  # of the first page: what changes meanwhile is asked for again next time
        for event in page["items"]:
            if event.get("removed"):
                db.execute("DELETE FROM events WHERE id = ?", [event["id"]])
            else:
                db.execute(f"REPLACE INTO events VALUES ({', '.join('?' * len(FIELDS))})", [event[f] for f in FIELDS])
        changed += len(page["items"])
        if not page["next_cursor"]:
            break
        query["cursor"] = page["next_cursor"]
    db.execute("DELETE FROM mark")
    db.execute("INSERT INTO mark VALUES (?)", [as_of])
    db.commit()  # rows and mark together
    print(f"{changed} events changed, as of {as_of}", file=sys.stderr)


if len(sys.argv) != 2:
    sys.exit(__doc__)
follow(sqlite3.connect(sys.argv[1]))
