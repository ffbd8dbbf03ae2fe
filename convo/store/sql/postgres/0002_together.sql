-- What processes on one store share beside its rows.

CREATE TABLE leases (
    name text PRIMARY KEY,
    holder text NOT NULL,
    acts_at timestamptz NOT NULL
);

CREATE TABLE hearing (
    channel text PRIMARY KEY,
    polled_at timestamptz,
    pushed boolean NOT NULL,
    since timestamptz
);

CREATE TABLE tokens (
    name text PRIMARY KEY,
    token text NOT NULL,
    renew_at timestamptz NOT NULL
);

-- Whoever commits one of these, the others are told once it is committed.
CREATE FUNCTION convo_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('convo ' || TG_TABLE_SCHEMA, TG_ARGV[0]);
    RETURN NULL;
END $$;

CREATE TRIGGER outbox_tells AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION convo_tell('outbox');
CREATE TRIGGER calls_tell AFTER INSERT ON calls FOR EACH STATEMENT EXECUTE FUNCTION convo_tell('calls');

-- A run that steps all partitions by itself claims across them.
CREATE INDEX inbox_waiting_in_order ON inbox (id) WHERE status = 'waiting';
