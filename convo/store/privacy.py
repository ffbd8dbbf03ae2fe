"""People and old conversations removed from a store: rows, counts, and what others wrote of them.

Every function works within the transaction of its caller.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from convo.messages import Address
from convo.store.forgotten import hashed, key_of
from convo.store.mentions import Mentions, mentions_of
from convo.store.removed import Removed
from convo.store.rows import Row, Run, stamp, storable, stored

SEEN_KEPT = timedelta(days=7)
"""How long the id of a removed message is known: a provider that lists or retries may hand it out again."""


# -- removing -------------------------------------------------------------------------------------------


def forget(run: Run, number: Address, now: datetime) -> Removed:
    """Remove a person from every table, and their number from what others wrote; see ``Store.forget``."""
    tally: Counter[tuple[str, str, str, str]] = Counter()
    opted_out = _keep_opt_outs(run, number)
    removed = Removed(opted_out=opted_out)
    for row in run("conversations_of", number):
        removed += _remove_conversation(run, row, "forgotten", tally)
    outbounds = run("outbounds_to", number)
    for row in outbounds:
        tally[row["channel"], "outbound", "", row["status"]] += 1
        run("remove_outbound", row["id"])
    found = mentions_of(number)
    texts = run("texts_of", number)
    if found is not None:
        texts += [
            row for row in run("unreadable_with", found.needle) if found.pattern.search(stored(row["raw"]))
        ]
    removed += _remove_texts(run, texts, now, tally, found)
    run("remove_spent", number)
    run("remove_consent", number)
    if found is not None:
        _mend_others(run, found)
    _count(run, tally)
    return removed + Removed(outbounds=len(outbounds))


def prune(run: Run, before: datetime, now: datetime, limit: int) -> Removed:
    """Remove conversations untouched since ``before``, and inbox rows as old; see ``Store.prune``."""
    tally: Counter[tuple[str, str, str, str]] = Counter()
    removed = Removed()
    for row in run("untouched", stamp(before), limit):
        removed += _remove_conversation(run, row, "fell silent", tally)
        # With somebody's last conversation goes all that they wrote, or the ledger would miss its steps.
        texts = run("texts_left_of", row["channel"], row["sender"])
        removed += _remove_texts(run, texts, now, tally, None)
    texts = run("old_texts", stamp(before), limit)
    removed += _remove_texts(run, texts, now, tally, None)
    run("unsee", stamp(now - SEEN_KEPT))
    run("old_spent", stamp(before)[:10])
    _count(run, tally)
    return removed


def _remove_conversation(
    run: Run, row: Row, open_word: str, tally: Counter[tuple[str, str, str, str]]
) -> Removed:
    name = (row["channel"], row["sender"], row["number"])
    records = run("said_in", *name)
    outbounds = 0
    for entry in records:
        for recipient, kind, text in json.loads(entry["record"])["said"]:
            found = run("find_outbound", row["channel"], recipient, kind, storable(text))
            if found:
                outbounds += 1
                tally[row["channel"], "outbound", "", found[0]["status"]] += 1
                run("remove_outbound", found[0]["id"])
    for statement in ("remove_journal", "remove_timers", "remove_calls", "remove_conversation"):
        run(statement, *name)
    tally[row["channel"], "conversation", row["flow"], row["ended"] or open_word] += 1
    return Removed(conversations=1, steps=len(records), outbounds=outbounds)


def _remove_texts(
    run: Run,
    rows: Sequence[Row],
    now: datetime,
    tally: Counter[tuple[str, str, str, str]],
    mentions: Mentions | None,
) -> Removed:
    since = stamp(now - SEEN_KEPT)
    for row in rows:
        key = row["dedup_key"]
        tells = mentions is not None and key is not None and mentions.needle in key
        if key is not None and row["kind"] == "text" and row["received_at"] >= since and not tells:
            run("see", row["channel"], key, row["received_at"])
        run("remove_text", row["id"])
        tally[row["channel"], row["kind"], "", row["status"]] += 1
    return Removed(texts=len(rows))


def _count(run: Run, tally: Counter[tuple[str, str, str, str]]) -> None:
    for key, found in sorted(tally.items()):
        run("count_in", *key, found)


# -- consent --------------------------------------------------------------------------------------------


def _keep_opt_outs(run: Run, number: str) -> bool:
    """Keep, channel by channel, that somebody has opted out, or that they have come back since."""
    kept = False
    for row in run("last_consent", number):
        known = hashed(key_of(run), row["channel"], number)
        if row["kind"] == "opt-out":
            run("remember_opt_out", row["channel"], known, row["at"])
            kept = True
        else:
            run("no_opt_out", row["channel"], known)
    return kept


# -- what others wrote ----------------------------------------------------------------------------------


def _mend_others(run: Run, mentions: Mentions) -> None:
    """Take the number out of what other people wrote, were told and are known by."""
    needle = mentions.needle
    for row in run("find_inbox", needle):
        texts = [storable(mentions.without(stored(row[name]))) for name in ("text", "raw", "reason")]
        run("mend_inbox", *texts, row["id"])
    for row in run("find_outbox", needle):
        texts = [storable(mentions.without(stored(row[name]))) for name in ("text", "reason")]
        run("mend_outbox", *texts, row["id"])
    for row in run("find_conversations", needle):
        name = (row["channel"], row["sender"], row["number"])
        data = (mentions.without_json(row["data"]), mentions.without_json(row["memo"]))
        run("mend_conversation", *data, *name)
    for row in run("find_calls", needle):
        data = (mentions.without_json(row["given"]), mentions.without_json(row["answer"]))
        run("mend_call", *data, mentions.without(row["note"]), row["id"])
    for row in run("find_journal", needle):
        # The journal is append-only: a step is taken out and entered again without the number.
        step = (row["channel"], row["sender"], row["number"], row["step"])
        record = mentions.without_json(row["record"], said=True)
        run("remove_step", *step)
        run("write_step", *step, row["flow"], row["at"], record)
