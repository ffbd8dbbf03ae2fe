-- What is left of people who were forgotten, and of what was removed because it was old.

-- How many there were: what is 'conversation' (word: how it ended), 'text' or 'outbound' (word: its status).
CREATE TABLE tally (
    channel TEXT NOT NULL,
    what TEXT NOT NULL,
    flow TEXT NOT NULL,
    word TEXT NOT NULL,
    found INTEGER NOT NULL,
    PRIMARY KEY (channel, what, flow, word)
) WITHOUT ROWID;

-- Who had opted out when they were forgotten, as keyed hashes: they are still not to be texted.
CREATE TABLE forgotten (
    channel TEXT NOT NULL,
    hash TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (channel, hash)
) WITHOUT ROWID;

-- Ids of messages that a provider may hand out a second time though their rows are gone.
CREATE TABLE seen (
    channel TEXT NOT NULL,
    dedup_key TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (channel, dedup_key)
) WITHOUT ROWID;

-- The key of the hashes: one row, random, made when it is first needed.
CREATE TABLE secrets (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

CREATE INDEX conversations_by_age ON conversations (now_at);
