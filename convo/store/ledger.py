"""The invariants of a store across its tables, in one place: a name, a sentence and the rows that break it.

Crash tests, simulations and ``convo store check`` ask the same list. A query returns the rows that break
its invariant as (place, number, detail): ``place`` names the row, ``number`` is a phone number or blank,
``detail`` says what is seen. It binds ``:stuck_before`` and nothing else. The queries are written once: in
what SQLite and PostgreSQL share, with SQLite's ``json_extract`` and ``json_each``, which a PostgreSQL store
has as functions of its own; ``json_extract`` gives text there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from convo.messages import mask
from convo.store.rows import stamp

LONGEST_SENDING = timedelta(minutes=15)
"""No call of a provider takes so long: a row that is ``sending`` for longer belongs to a dead run."""


@dataclass(frozen=True, slots=True)
class Invariant:
    """What must always be true, and the query that finds where it is not."""

    name: str
    sentence: str
    sql: str


@dataclass(frozen=True, slots=True)
class Broken:
    """One row that breaks an invariant."""

    place: str
    number: str = field(repr=False)
    detail: str = ""

    def __str__(self) -> str:
        """Tell it with the number masked."""
        who = f" ({mask(self.number)})" if self.number else ""
        return f"{self.place}{who}" + (f": {self.detail}" if self.detail else "")


@dataclass(frozen=True, slots=True)
class Breach:
    """An invariant with the number of rows that break it (0: it holds), and the first of them."""

    invariant: Invariant
    rows: int
    examples: tuple[Broken, ...] = ()


INVARIANTS: tuple[Invariant, ...] = (
    Invariant(
        "one open conversation",
        "A sender has at most one open conversation on a channel.",
        "SELECT 'open conversations on ' || channel, sender, count(*) || ' are open' FROM conversations"
        " WHERE ended IS NULL GROUP BY channel, sender HAVING count(*) > 1",
    ),
    Invariant(
        "conversations are counted",
        "A sender's conversations are numbered 1, 2, 3 without a gap, but for the oldest that were pruned.",
        "SELECT 'conversations on ' || channel, sender, count(*) || ' rows, numbered up to ' || max(number)"
        " FROM conversations GROUP BY channel, sender HAVING count(*) != max(number) - min(number) + 1"
        " OR min(number) != 1 AND NOT EXISTS (SELECT 1 FROM tally t WHERE t.channel = conversations.channel"
        " AND t.what = 'conversation')",
    ),
    Invariant(
        "ended is dated",
        "A conversation that ended says how and when; an open one says neither.",
        "SELECT 'conversation ' || v.number || ' on ' || v.channel, v.sender, '' FROM conversations v"
        " WHERE (v.ended IS NULL) != (v.ended_at IS NULL)",
    ),
    Invariant(
        "every step is in the journal",
        "The journal has each step of a conversation once, numbered from 1.",
        "SELECT 'conversation ' || v.number || ' on ' || v.channel, v.sender,"
        " v.steps || ' steps, ' || count(j.step) || ' in the journal'"
        " FROM conversations v LEFT JOIN journal j"
        " ON j.channel = v.channel AND j.sender = v.sender AND j.number = v.number"
        " GROUP BY v.channel, v.sender, v.number, v.steps"
        " HAVING count(j.step) != v.steps OR coalesce(max(j.step), 0) != v.steps",
    ),
    Invariant(
        "the journal tells of conversations",
        "Each step in the journal belongs to a conversation.",
        "SELECT 'step ' || j.step || ' of conversation ' || j.number || ' on ' || j.channel, j.sender, ''"
        " FROM journal j LEFT JOIN conversations v"
        " ON j.channel = v.channel AND j.sender = v.sender AND j.number = v.number WHERE v.number IS NULL",
    ),
    Invariant(
        "the journal knows where it stands",
        "An open conversation is in the state, and in the entry, where its last step left it.",
        "SELECT 'conversation ' || v.number || ' on ' || v.channel, v.sender,"
        " v.state || ', the journal says ' || coalesce(json_extract(j.record, '$.after'), 'nothing')"
        " FROM conversations v JOIN journal j ON j.channel = v.channel AND j.sender = v.sender"
        " AND j.number = v.number AND j.step = v.steps"
        " WHERE coalesce(json_extract(j.record, '$.after'), '') != v.state"
        " OR coalesce(CAST(json_extract(j.record, '$.entry') AS INTEGER), -1) != v.entry",
    ),
    Invariant(
        "a message comes once",
        "The provider's id of a message is in the inbox of a channel once.",
        "SELECT 'inbox of ' || channel, '', count(*) || ' rows have one id' FROM inbox"
        " WHERE kind = 'text' AND provider_id != '' GROUP BY channel, provider_id HAVING count(*) > 1",
    ),
    Invariant(
        "a message is stepped once",
        "No sender has more steps made of texts than texts that are done.",
        "SELECT 'texts on ' || j.channel, j.sender, count(*) || ' stepped, ' || (SELECT count(*) FROM inbox i"
        " WHERE i.channel = j.channel AND i.sender = j.sender AND i.kind = 'text' AND i.status = 'done')"
        " || ' done' FROM journal j WHERE json_extract(j.record, '$.event') = 'received'"
        # The text that leaves a conversation for another flow is a step of both.
        " AND coalesce(json_extract(j.record, '$.ended'), '') != 'left'"
        # What was set aside is not done; it may be stepped later, when a person says so.
        " AND coalesce(json_extract(j.record, '$.fault'), '') NOT LIKE 'set aside: %'"
        " GROUP BY j.channel, j.sender"
        " HAVING count(*) > (SELECT count(*) FROM inbox i WHERE i.channel = j.channel"
        " AND i.sender = j.sender AND i.kind = 'text' AND i.status = 'done')",
    ),
    Invariant(
        "done means stepped",
        "A sender one of whose texts is done, and not dropped by hand, has a step in the journal.",
        "SELECT 'inbox ' || i.id, i.sender, '' FROM inbox i WHERE i.status = 'done' AND i.kind = 'text'"
        " AND i.reason NOT LIKE 'dropped by hand%' AND NOT EXISTS (SELECT 1 FROM journal j"
        " WHERE j.channel = i.channel AND j.sender = i.sender)"
        # Somebody who has opted out is heard, and not answered; their steps may be forgotten or pruned.
        " AND coalesce((SELECT c.kind FROM consent c WHERE c.channel = i.channel AND c.number = i.sender"
        " ORDER BY c.id DESC LIMIT 1), '') != 'opt-out'",
    ),
    Invariant(
        "dead is explained",
        "An inbox row that was set aside says why, and what cannot be read never waits for a step.",
        "SELECT 'inbox ' || i.id, i.sender, i.status FROM inbox i"
        " WHERE (i.status = 'dead' AND i.reason = '') OR (i.kind = 'unreadable' AND i.status = 'waiting')",
    ),
    Invariant(
        "outbounds belong to steps",
        "To each number as many outbounds were written as the steps said.",
        "SELECT 'outbox of ' || channel, recipient, sum(written) || ' written, ' || sum(said) || ' said' FROM"
        " (SELECT channel, recipient, kind, 1 AS written, 0 AS said FROM outbox UNION ALL"
        " SELECT j.channel, json_extract(s.value, '$[0]'), json_extract(s.value, '$[1]'), 0, 1"
        " FROM journal j, json_each(j.record, '$.said') s)"
        " GROUP BY channel, recipient, kind HAVING sum(written) != sum(said)",
    ),
    Invariant(
        "outbounds have a status",
        "An outbound has one of the known statuses; one that was handed over has been tried.",
        "SELECT 'outbox ' || o.id, o.recipient, o.status || ' after ' || o.attempts || ' tries' FROM outbox o"
        " WHERE o.status NOT IN ('queued', 'sending', 'sent', 'delivered', 'failed', 'expired', 'blocked',"
        " 'unknown') OR (o.status IN ('sending', 'sent', 'delivered', 'unknown') AND o.attempts < 1)",
    ),
    Invariant(
        "nothing is stuck in sending",
        "No outbound is sending for longer than a call can take; what a dead run left becomes unknown.",
        "SELECT 'outbox ' || o.id, o.recipient, 'since ' || o.changed_at FROM outbox o"
        " WHERE o.status = 'sending' AND o.changed_at < :stuck_before",
    ),
    Invariant(
        "one at a time",
        "To one number one outbound at most is sending.",
        "SELECT 'outbox of ' || channel, recipient, count(*) || ' are sending' FROM outbox"
        " WHERE status = 'sending' GROUP BY channel, recipient HAVING count(*) > 1",
    ),
    Invariant(
        "silence after an opt-out",
        "Whoever is opted out gets nothing after the confirmation.",
        "SELECT 'outbox ' || o.id, o.recipient, o.status FROM outbox o"
        " JOIN (SELECT channel, number, max(id) AS last FROM consent GROUP BY channel, number) l"
        " ON l.channel = o.channel AND l.number = o.recipient JOIN consent c ON c.id = l.last"
        " WHERE c.kind = 'opt-out' AND c.source = 'sender' AND o.kind != 'consent'"
        " AND o.status IN ('sending', 'sent', 'delivered', 'unknown')"
        " AND o.id > (SELECT max(f.id) FROM outbox f WHERE f.channel = o.channel"
        " AND f.recipient = o.recipient AND f.kind = 'consent')",
    ),
    Invariant(
        "timers of open conversations",
        "A timer belongs to an open conversation, and to the state it is in now.",
        "SELECT 'timer ' || t.id, t.sender, t.name FROM timers t LEFT JOIN conversations v"
        " ON v.channel = t.channel AND v.sender = t.sender AND v.number = t.number"
        " WHERE v.number IS NULL OR v.ended IS NOT NULL OR v.entry != t.entry",
    ),
    Invariant(
        "a timer fires once",
        "A timer is stepped no more often than it was set.",
        "SELECT 'timers of conversation ' || number || ' on ' || channel, sender,"
        " name || ' for ' || due_at || ': set ' || sum(was_set) || ', fired ' || sum(fired) FROM"
        " (SELECT channel, sender, number, json_extract(record, '$.name') AS name,"
        " json_extract(record, '$.due_at') AS due_at, 0 AS was_set, 1 AS fired FROM journal"
        " WHERE json_extract(record, '$.event') = 'timer' UNION ALL"
        " SELECT j.channel, j.sender, j.number, json_extract(t.value, '$[0]'),"
        " json_extract(t.value, '$[1]'), 1, 0 FROM journal j, json_each(j.record, '$.timers') t)"
        " GROUP BY channel, sender, number, name, due_at HAVING sum(fired) > sum(was_set)",
    ),
    Invariant(
        "no timer fires early",
        "A timer is stepped at its time or later.",
        "SELECT 'step ' || step || ' of conversation ' || number || ' on ' || channel, sender,"
        " json_extract(record, '$.name') || ' is due ' || json_extract(record, '$.due_at') FROM journal"
        " WHERE json_extract(record, '$.event') = 'timer'"
        " AND json_extract(record, '$.now') < json_extract(record, '$.due_at')",
    ),
    Invariant(
        "an answer is stepped once",
        "No conversation has more steps made of a service's answers than calls that are done.",
        "SELECT 'calls of conversation ' || j.number || ' on ' || j.channel, j.sender,"
        " count(*) || ' answers stepped' FROM journal j"
        " WHERE json_extract(j.record, '$.event') = 'call' GROUP BY j.channel, j.sender, j.number"
        " HAVING count(*) > (SELECT count(*) FROM calls k WHERE k.channel = j.channel"
        " AND k.sender = j.sender AND k.number = j.number AND k.status = 'done' AND k.result != '')",
    ),
    Invariant(
        "one key for one call",
        "No two calls have one key, or a service could not tell them apart.",
        "SELECT 'calls ' || min(id) || ' and ' || max(id), min(sender), '' FROM calls"
        " GROUP BY key HAVING count(*) > 1",
    ),
    Invariant(
        "calls of open conversations",
        "A service is asked only for an open conversation, in the state that asked.",
        "SELECT 'call ' || k.id, k.sender, k.service FROM calls k LEFT JOIN conversations v"
        " ON v.channel = k.channel AND v.sender = k.sender AND v.number = k.number"
        " WHERE k.status = 'waiting' AND (v.number IS NULL OR v.ended IS NOT NULL OR v.entry != k.entry)",
    ),
    Invariant(
        "held is explained",
        "An outbound that is blocked or unknown says why.",
        "SELECT 'outbox ' || o.id, o.recipient, o.status FROM outbox o"
        " WHERE o.status IN ('blocked', 'unknown') AND o.reason = ''",
    ),
)
"""Every invariant; a new table or status brings its own."""

Ask = Callable[[str, Mapping[str, str]], Sequence[Sequence[object]]]
"""Runs a query with named parameters; the queries of one audit see one snapshot."""


def audit(ask: Ask, now: datetime, examples: int = 20) -> list[Breach]:
    """Return every invariant with how often it is broken."""
    bound = {"stuck_before": stamp(now - LONGEST_SENDING)}
    found = []
    for each in INVARIANTS:
        rows = ask(each.sql, bound)
        shown = tuple(Broken(*(str(cell or "") for cell in row)) for row in rows[:examples])
        found.append(Breach(each, len(rows), shown))
    return found
