-- What the policies on the way out look at: when a row was marked, since when it might leave, what was spent.
ALTER TABLE outbox ADD COLUMN marked_at TEXT;
ALTER TABLE outbox ADD COLUMN due_at TEXT;
CREATE INDEX outbox_by_recipient ON outbox (channel, recipient, id);
CREATE INDEX inbox_by_sender ON inbox (channel, sender, id);

-- Segments handed over in a day of UTC, for each recipient, and with a blank recipient for the channel.
CREATE TABLE spent (
    channel TEXT NOT NULL,
    day TEXT NOT NULL,
    recipient TEXT NOT NULL,
    segments INTEGER NOT NULL,
    PRIMARY KEY (channel, day, recipient)
) WITHOUT ROWID;
