CREATE TABLE channels (
    channel TEXT PRIMARY KEY,
    cursor TEXT,
    last_good_poll_at TEXT
) WITHOUT ROWID;

CREATE TABLE inbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('text', 'opening', 'unreadable')),
    dedup_key TEXT,
    provider_id TEXT NOT NULL DEFAULT '',
    sender TEXT NOT NULL,
    recipient TEXT NOT NULL DEFAULT '',
    text TEXT NOT NULL,
    sent_at TEXT,
    received_at TEXT NOT NULL,
    raw TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'done', 'dead')),
    attempts INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX inbox_once ON inbox (channel, dedup_key) WHERE dedup_key IS NOT NULL;
CREATE INDEX inbox_waiting ON inbox (id) WHERE status = 'waiting';

CREATE TABLE conversations (
    channel TEXT NOT NULL,
    sender TEXT NOT NULL,
    number INTEGER NOT NULL,
    flow TEXT NOT NULL,
    version TEXT NOT NULL,
    state TEXT NOT NULL,
    entry INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    steps INTEGER NOT NULL,
    language TEXT NOT NULL,
    data TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    now_at TEXT NOT NULL,
    ended TEXT,
    ended_at TEXT,
    closed_told INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (channel, sender, number)
) WITHOUT ROWID;
CREATE UNIQUE INDEX conversations_one_open ON conversations (channel, sender) WHERE ended IS NULL;

CREATE TABLE journal (
    channel TEXT NOT NULL,
    sender TEXT NOT NULL,
    number INTEGER NOT NULL,
    step INTEGER NOT NULL,
    flow TEXT NOT NULL,
    at TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (channel, sender, number, step)
) WITHOUT ROWID;
CREATE TRIGGER journal_is_append_only BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel TEXT NOT NULL,
    recipient TEXT NOT NULL,
    text TEXT NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'queued',
    created_at TEXT NOT NULL,
    changed_at TEXT NOT NULL,
    next_at TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    provider_id TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    segments INTEGER
);
CREATE INDEX outbox_unsent ON outbox (channel, recipient, id) WHERE status IN ('queued', 'sending');
CREATE INDEX outbox_queued ON outbox (channel, next_at) WHERE status = 'queued';
CREATE INDEX outbox_provider_id ON outbox (channel, provider_id) WHERE provider_id != '';

CREATE TABLE timers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel TEXT NOT NULL,
    sender TEXT NOT NULL,
    number INTEGER NOT NULL,
    entry INTEGER NOT NULL,
    name TEXT NOT NULL,
    due_at TEXT NOT NULL,
    UNIQUE (channel, sender, number, entry, name)
);
CREATE INDEX timers_due ON timers (due_at, id);

CREATE TABLE consent (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel TEXT NOT NULL,
    number TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('opt-out', 'opt-in')),
    at TEXT NOT NULL,
    wording TEXT NOT NULL,
    source TEXT NOT NULL
);
CREATE INDEX consent_last ON consent (channel, number, id);
CREATE TRIGGER consent_is_append_only BEFORE UPDATE ON consent
BEGIN SELECT RAISE(ABORT, 'the consent ledger is append-only'); END;
