"""People and old conversations removed from a SQLite store: rows, counts, and what others wrote of them.

Every function but ``scrub`` works within the transaction of its caller.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from convo.errors import StoreError
from convo.messages import Address
from convo.store.mentions import Mentions, mentions_of
from convo.store.removed import Removed
from convo.store.rows import stamp, storable, stored
from convo.store.sqlite_forgotten import hashed, key_of, sql

SEEN_KEPT = timedelta(days=7)
"""How long the id of a removed message is known: a provider that lists or retries may hand it out again."""


# -- removing -------------------------------------------------------------------------------------------


def forget(db: sqlite3.Connection, number: Address, now: datetime) -> Removed:
    """Remove a person from every table, and their number from what others wrote; see ``Store.forget``."""
    tally: Counter[tuple[str, str, str, str]] = Counter()
    opted_out = _keep_opt_outs(db, number)
    removed = Removed(opted_out=opted_out)
    for row in db.execute(sql("conversations_of"), (number,)).fetchall():
        removed += _remove_conversation(db, row, "forgotten", tally)
    outbounds = db.execute(sql("outbounds_to"), (number,)).fetchall()
    for row in outbounds:
        tally[row["channel"], "outbound", "", row["status"]] += 1
        db.execute(sql("remove_outbound"), (row["id"],))
    found = mentions_of(number)
    texts = db.execute(sql("texts_of"), (number,)).fetchall()
    if found is not None:
        texts += [
            row
            for row in db.execute(sql("unreadable_with"), (found.needle,)).fetchall()
            if found.pattern.search(stored(row["raw"]))
        ]
    removed += _remove_texts(db, texts, now, tally, found)
    db.execute(sql("remove_spent"), (number,))
    db.execute(sql("remove_consent"), (number,))
    if found is not None:
        _mend_others(db, found)
    _count(db, tally)
    return removed + Removed(outbounds=len(outbounds))


def prune(db: sqlite3.Connection, before: datetime, now: datetime, limit: int) -> Removed:
    """Remove conversations untouched since ``before``, and inbox rows as old; see ``Store.prune``."""
    tally: Counter[tuple[str, str, str, str]] = Counter()
    removed = Removed()
    for row in db.execute(sql("untouched"), (stamp(before), limit)).fetchall():
        removed += _remove_conversation(db, row, "fell silent", tally)
        # With somebody's last conversation goes all that they wrote, or the ledger would miss its steps.
        texts = db.execute(sql("texts_left_of"), (row["channel"], row["sender"])).fetchall()
        removed += _remove_texts(db, texts, now, tally, None)
    texts = db.execute(sql("old_texts"), (stamp(before), limit)).fetchall()
    removed += _remove_texts(db, texts, now, tally, None)
    db.execute(sql("unsee"), (stamp(now - SEEN_KEPT),))
    db.execute(sql("old_spent"), (stamp(before)[:10],))
    _count(db, tally)
    return removed


def scrub(db: sqlite3.Connection) -> None:
    """Write the file anew without what was removed, and empty the log beside it.

    Raises:
        StoreError: another program reads the file right now.
    """
    for statement in ("PRAGMA wal_checkpoint(TRUNCATE)", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
        found = db.execute(statement).fetchone()
        if found is not None and found[0]:
            raise StoreError(
                "what was to be removed is removed, but another program reads the file and older bytes may"
                " still stand in it; do the same again when that program is done"
            )


def _remove_conversation(
    db: sqlite3.Connection, row: sqlite3.Row, open_word: str, tally: Counter[tuple[str, str, str, str]]
) -> Removed:
    name = (row["channel"], row["sender"], row["number"])
    records = db.execute(sql("said_in"), name).fetchall()
    outbounds = 0
    for entry in records:
        for recipient, kind, text in json.loads(entry["record"])["said"]:
            found = db.execute(
                sql("find_outbound"), (row["channel"], recipient, kind, storable(text))
            ).fetchone()
            if found is not None:
                outbounds += 1
                tally[row["channel"], "outbound", "", found["status"]] += 1
                db.execute(sql("remove_outbound"), (found["id"],))
    for statement in ("remove_journal", "remove_timers", "remove_calls", "remove_conversation"):
        db.execute(sql(statement), name)
    tally[row["channel"], "conversation", row["flow"], row["ended"] or open_word] += 1
    return Removed(conversations=1, steps=len(records), outbounds=outbounds)


def _remove_texts(
    db: sqlite3.Connection,
    rows: Sequence[sqlite3.Row],
    now: datetime,
    tally: Counter[tuple[str, str, str, str]],
    mentions: Mentions | None,
) -> Removed:
    since = stamp(now - SEEN_KEPT)
    for row in rows:
        key = row["dedup_key"]
        tells = mentions is not None and key is not None and mentions.needle in key
        if key is not None and row["kind"] == "text" and row["received_at"] >= since and not tells:
            db.execute(sql("see"), (row["channel"], key, row["received_at"]))
        db.execute(sql("remove_text"), (row["id"],))
        tally[row["channel"], row["kind"], "", row["status"]] += 1
    return Removed(texts=len(rows))


def _count(db: sqlite3.Connection, tally: Counter[tuple[str, str, str, str]]) -> None:
    db.executemany(sql("count_in"), [(*key, found) for key, found in tally.items()])


# -- consent --------------------------------------------------------------------------------------------


def _keep_opt_outs(db: sqlite3.Connection, number: str) -> bool:
    """Keep, channel by channel, that somebody has opted out, or that they have come back since."""
    kept = False
    for row in db.execute(sql("last_consent"), (number,)).fetchall():
        known = hashed(key_of(db), row["channel"], number)
        if row["kind"] == "opt-out":
            db.execute(sql("remember_opt_out"), (row["channel"], known, row["at"]))
            kept = True
        else:
            db.execute(sql("no_opt_out"), (row["channel"], known))
    return kept


# -- what others wrote ----------------------------------------------------------------------------------


def _mend_others(db: sqlite3.Connection, mentions: Mentions) -> None:
    """Take the number out of what other people wrote, were told and are known by."""
    needle = mentions.needle
    for row in db.execute(sql("find_inbox"), (needle,)).fetchall():
        texts = [storable(mentions.without(stored(row[name]))) for name in ("text", "raw", "reason")]
        db.execute(sql("mend_inbox"), (*texts, row["id"]))
    for row in db.execute(sql("find_outbox"), (needle,)).fetchall():
        texts = [storable(mentions.without(stored(row[name]))) for name in ("text", "reason")]
        db.execute(sql("mend_outbox"), (*texts, row["id"]))
    for row in db.execute(sql("find_conversations"), (needle,)).fetchall():
        name = (row["channel"], row["sender"], row["number"])
        data = (mentions.without_json(row["data"]), mentions.without_json(row["memo"]))
        db.execute(sql("mend_conversation"), (*data, *name))
    for row in db.execute(sql("find_calls"), (needle,)).fetchall():
        data = (mentions.without_json(row["given"]), mentions.without_json(row["answer"]))
        db.execute(sql("mend_call"), (*data, mentions.without(row["note"]), row["id"]))
    for row in db.execute(sql("find_journal"), (needle,)).fetchall():
        # The journal is append-only: a step is taken out and entered again without the number.
        step = (row["channel"], row["sender"], row["number"], row["step"])
        record = mentions.without_json(row["record"], said=True)
        db.execute(sql("remove_step"), step)
        db.execute(sql("write_step"), (*step, row["flow"], row["at"], record))
