ALTER TABLE conversations ADD COLUMN memo TEXT NOT NULL DEFAULT '{}';
ALTER TABLE conversations ADD COLUMN asked_entry INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN asked_at TEXT;

ALTER TABLE outbox ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN asks INTEGER NOT NULL DEFAULT 0;

CREATE TABLE calls (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel TEXT NOT NULL,
    sender TEXT NOT NULL,
    number INTEGER NOT NULL,
    entry INTEGER NOT NULL,
    service TEXT NOT NULL,
    given TEXT NOT NULL,
    key TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'answered', 'done')),
    attempts INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    next_at TEXT NOT NULL,
    result TEXT NOT NULL DEFAULT '',
    answer TEXT NOT NULL DEFAULT '{}',
    note TEXT NOT NULL DEFAULT ''
);
CREATE INDEX calls_waiting ON calls (channel, sender) WHERE status != 'done';
CREATE INDEX calls_next ON calls (next_at) WHERE status = 'waiting';

-- What may leave is looked for in the order of the outbox, one row at a time.
CREATE INDEX outbox_in_order ON outbox (channel, id) WHERE status = 'queued';

CREATE INDEX outbox_unknown ON outbox (channel, id) WHERE status = 'unknown';
