-- Statements that PostgreSQL wants otherwise than SQLite: whole columns at once, partitions, locks. The others
-- stand in the files above this folder. :partition is that of the first two values, :within are those of the fence.

-- name: fence
SELECT pg_advisory_xact_lock(hashtext('convo ' || current_schema()), p)
FROM (SELECT p FROM unnest(?::int[]) p ORDER BY p) ascending

-- A step's commit does not wait for the disk. Nothing of it leaves before a commit that does: the mark before a send,
-- which lies behind it in the server's log. What a server that crashes forgets is stepped again.
-- name: fence_steps
SELECT set_config('synchronous_commit', 'off', true), pg_advisory_xact_lock(hashtext('convo ' || current_schema()), p)
FROM (SELECT p FROM unnest(?::int[]) p ORDER BY p) ascending

-- name: fence_free
SELECT p AS part FROM (SELECT set_config('synchronous_commit', 'off', true)) quick, unnest(?::int[]) p
WHERE pg_try_advisory_xact_lock(hashtext('convo ' || current_schema()), p)

-- name: wait_for_disk
SELECT set_config('synchronous_commit', 'on', true)

-- name: fence_shared
SELECT pg_advisory_xact_lock_shared(hashtext('convo ' || current_schema()), ?)

-- name: accept
INSERT INTO inbox (channel, kind, dedup_key, provider_id, sender, recipient, text, sent_at, received_at, raw, partition)
SELECT channel, 'text', dedup_key, provider_id, sender, recipient, body, sent_at, received_at, raw, part
FROM unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::int[])
    WITH ORDINALITY AS t (channel, sender, dedup_key, provider_id, recipient, body, sent_at, received_at, raw, part, n)
ORDER BY n
ON CONFLICT (channel, dedup_key) WHERE dedup_key IS NOT NULL DO NOTHING
RETURNING partition

-- name: seen_of
SELECT dedup_key FROM seen WHERE channel = ? AND dedup_key = ANY(?::text[])

-- name: accept_unreadable
INSERT INTO inbox (channel, kind, sender, text, received_at, raw, status, reason, partition)
SELECT channel, 'unreadable', '', '', received_at, raw, 'dead', reason, part
FROM unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::int[])
    WITH ORDINALITY AS t (channel, nobody, received_at, raw, reason, part, n)
ORDER BY n

-- name: remember_poll
INSERT INTO channels (channel, cursor, last_good_poll_at) VALUES (?, ?, ?)
ON CONFLICT (channel) DO UPDATE
SET cursor = coalesce(excluded.cursor, channels.cursor),
    last_good_poll_at = coalesce(excluded.last_good_poll_at, channels.last_good_poll_at)

-- name: request
INSERT INTO inbox (channel, kind, dedup_key, sender, text, received_at, raw, partition)
SELECT channel, 'opening', dedup_key, sender, flow, received_at, given, part
FROM unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::int[])
    WITH ORDINALITY AS t (channel, sender, dedup_key, flow, received_at, given, part, n)
ORDER BY n
ON CONFLICT (channel, dedup_key) WHERE dedup_key IS NOT NULL DO NOTHING
RETURNING partition

-- name: busy
SELECT p AS part FROM unnest(?::int[]) p
-- Looked up partition by partition: hashed, with statistics of a time when few waited, each look read a whole backlog.
WHERE EXISTS (SELECT 1 FROM inbox i WHERE i.partition = p AND i.status = 'waiting'
        AND NOT EXISTS (SELECT 1 FROM calls k
            WHERE k.channel = i.channel AND k.sender = i.sender AND k.status != 'done' OFFSET 0)
        OFFSET 0)
    OR EXISTS (SELECT 1 FROM calls k WHERE k.partition = p AND k.status = 'answered' OFFSET 0)
    OR EXISTS (SELECT 1 FROM timers t WHERE t.partition = p AND t.due_at <= ? OFFSET 0)
ORDER BY p

-- name: claim
SELECT i.id, i.channel, i.sender, i.kind, i.text, i.sent_at, i.received_at, i.raw, i.attempts,
    coalesce((SELECT CASE c.kind WHEN 'opt-out' THEN 1 ELSE 0 END FROM consent c
        WHERE c.channel = i.channel AND c.number = i.sender ORDER BY c.id DESC LIMIT 1), 0) AS opted_out,
    v.number, v.flow, v.version, v.state, v.entry, v.tries, v.steps, v.language, v.data,
    v.opened_at, v.now_at, v.ended, v.ended_at, v.closed_told, v.memo,
    CASE WHEN v.asked_entry = v.entry THEN v.asked_at END AS asked_at
-- The oldest are chosen before anything is looked up for them.
FROM (SELECT * FROM inbox w
    WHERE w.status = 'waiting'
        -- fenced: AND w.partition = ANY(:within)
        AND NOT EXISTS (SELECT 1 FROM calls k WHERE k.channel = w.channel AND k.sender = w.sender AND k.status != 'done'
            LIMIT 1 OFFSET 0)
    ORDER BY w.id LIMIT ?) i
LEFT JOIN LATERAL (SELECT * FROM conversations n WHERE n.channel = i.channel AND n.sender = i.sender
    ORDER BY n.number DESC LIMIT 1) v ON true
ORDER BY i.id

-- name: write_conversation
INSERT INTO conversations (channel, sender, number, flow, version, state, entry, tries, steps, language, data,
    opened_at, now_at, ended, ended_at, closed_told, memo, partition)
SELECT * FROM unnest(?::text[], ?::text[], ?::int[], ?::text[], ?::text[], ?::text[], ?::int[], ?::int[], ?::int[],
    ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::int[], ?::text[], ?::int[])
ON CONFLICT (channel, sender, number) DO UPDATE
SET flow = excluded.flow, version = excluded.version, state = excluded.state, entry = excluded.entry,
    tries = excluded.tries, steps = excluded.steps, language = excluded.language, data = excluded.data,
    now_at = excluded.now_at, ended = excluded.ended, ended_at = excluded.ended_at,
    closed_told = excluded.closed_told, memo = excluded.memo

-- name: write_journal
INSERT INTO journal (channel, sender, number, step, flow, at, record, partition)
SELECT * FROM unnest(?::text[], ?::text[], ?::int[], ?::int[], ?::text[], ?::text[], ?::text[], ?::int[])

-- name: write_outbound
INSERT INTO outbox (channel, recipient, text, kind, created_at, changed_at, next_at, number, asks, partition)
SELECT channel, recipient, body, kind, created_at, changed_at, next_at, number, asks, part
FROM unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::int[], ?::int[], ?::int[])
    WITH ORDINALITY AS t (channel, recipient, body, kind, created_at, changed_at, next_at, number, asks, part, n)
ORDER BY n

-- name: write_timer
INSERT INTO timers (channel, sender, number, entry, name, due_at, partition)
SELECT DISTINCT ON (channel, sender, number, entry, name) channel, sender, number, entry, name, due_at, part
FROM unnest(?::text[], ?::text[], ?::int[], ?::int[], ?::text[], ?::text[], ?::int[])
    WITH ORDINALITY AS t (channel, sender, number, entry, name, due_at, part, n)
ORDER BY channel, sender, number, entry, name, n DESC
ON CONFLICT (channel, sender, number, entry, name) DO UPDATE SET due_at = excluded.due_at

-- name: void_timers
DELETE FROM timers t
USING unnest(?::text[], ?::text[], ?::int[], ?::int[], ?::int[], ?::int[])
    AS v (channel, sender, number, entry, ended, part)
WHERE t.channel = v.channel AND t.sender = v.sender AND t.number = v.number AND (t.entry != v.entry OR v.ended = 1)

-- name: drop_timer
DELETE FROM timers WHERE id = ANY(?::bigint[])

-- name: write_consent
INSERT INTO consent (channel, number, kind, at, wording, source, partition)
SELECT channel, number, kind, at, wording, source, part
FROM unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::int[])
    WITH ORDINALITY AS t (channel, number, kind, at, wording, source, part, n)
ORDER BY n

-- name: finish
UPDATE inbox i SET status = f.status, attempts = i.attempts + f.tried, reason = f.reason
FROM unnest(?::text[], ?::int[], ?::text[], ?::bigint[]) AS f (status, tried, reason, id)
WHERE i.id = f.id

-- name: write_call
INSERT INTO calls (channel, sender, number, entry, service, given, key, created_at, next_at, partition)
SELECT channel, sender, number, entry, service, given, key, created_at, next_at, part
FROM unnest(?::text[], ?::text[], ?::int[], ?::int[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::int[])
    WITH ORDINALITY AS t (channel, sender, number, entry, service, given, key, created_at, next_at, part, n)
ORDER BY n

-- name: void_calls
UPDATE calls k SET status = 'done', note = 'its state was left'
FROM unnest(?::text[], ?::text[], ?::int[], ?::int[], ?::int[], ?::int[])
    AS v (channel, sender, number, entry, ended, part)
WHERE k.channel = v.channel AND k.sender = v.sender AND k.number = v.number AND k.status = 'waiting'
    AND (k.entry != v.entry OR v.ended = 1)

-- name: call_done
UPDATE calls SET status = 'done' WHERE id = ANY(?::bigint[])

-- name: call_answered
UPDATE calls SET status = 'answered', attempts = attempts + 1, result = ?, answer = ?, note = ?
WHERE id = ? AND status = 'waiting'
RETURNING partition

-- name: sendable
SELECT o.id, o.channel, o.recipient, o.text, o.kind, o.status, o.created_at, o.attempts, o.next_at,
    o.provider_id, o.reason, o.segments, o.number, o.asks, o.due_at,
    coalesce((SELECT c.kind = 'opt-out' FROM consent c
        WHERE c.channel = o.channel AND c.number = o.recipient ORDER BY c.id DESC LIMIT 1), false) AS opted_out,
    coalesce((SELECT s.segments FROM spent s WHERE s.channel = o.channel AND s.day = ?5 AND s.recipient = o.recipient), 0)
        AS to_one,
    coalesce((SELECT s.segments FROM spent s WHERE s.channel = o.channel AND s.day = ?5 AND s.recipient = ''), 0)
        AS on_channel,
    n.text AS newest, n.sender = n.recipient AS to_itself
FROM outbox o
LEFT JOIN LATERAL (SELECT i.text, i.sender, i.recipient FROM inbox i
    WHERE i.channel = o.channel AND i.sender = o.recipient AND i.kind = 'text' ORDER BY i.id DESC LIMIT 1) n ON true
WHERE o.channel = ?1 AND o.status = 'queued'
    -- A row written later than now: the clock has been set back. What nobody holds does not wait for it to catch up.
    AND (o.next_at <= ?2 OR (o.changed_at > ?2 AND (o.attempts > 0 OR o.next_at = o.created_at)))
    AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.channel = o.channel AND e.recipient = o.recipient
        AND e.id < o.id AND e.status IN ('queued', 'sending')
        AND NOT (e.status = 'queued' AND e.attempts = 0 AND e.next_at > ?2 AND e.next_at > e.created_at)
        -- Looked up row by row: joined, with statistics of a time when there were few, it took 1.6 s for 12,800.
        OFFSET 0)
    AND (?4::boolean OR NOT EXISTS (SELECT 1 FROM outbox u WHERE u.channel = o.channel AND u.recipient = o.recipient
        AND u.id < o.id AND u.status = 'unknown' OFFSET 0))
ORDER BY o.id
LIMIT ?3
-- Nobody drops a row by hand between this look and its mark.
FOR UPDATE OF o

-- name: mark
UPDATE outbox o SET status = m.status, attempts = o.attempts + m.tried, reason = m.reason, changed_at = m.at,
    marked_at = m.marked, segments = m.segments,
    due_at = CASE o.attempts + m.first WHEN 1 THEN o.next_at ELSE o.due_at END
FROM unnest(?::text[], ?::int[], ?::text[], ?::text[], ?::text[], ?::int[], ?::int[], ?::bigint[])
    AS m (status, tried, reason, at, marked, segments, first, id)
WHERE o.id = m.id AND o.status = 'queued'

-- name: settle
UPDATE outbox o SET status = s.status, provider_id = CASE s.given WHEN '' THEN o.provider_id ELSE s.given END,
    reason = s.reason, segments = coalesce(s.segments, o.segments), next_at = coalesce(s.retry_at, o.next_at),
    changed_at = s.at
FROM unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::int[], ?::text[], ?::text[], ?::bigint[])
    AS s (status, given, given_too, reason, segments, retry_at, at, id)
WHERE o.id = s.id AND o.status IN ('sending', 'unknown')

-- name: asked
UPDATE conversations v SET asked_at = a.at, asked_entry = v.entry
FROM unnest(?::text[], ?::bigint[]) AS a (at, id) JOIN outbox o ON o.id = a.id
WHERE v.asked_entry != v.entry AND v.channel = o.channel AND v.sender = o.recipient AND v.number = o.number
    AND v.entry = o.asks

-- name: receipt
UPDATE outbox SET status = ?, changed_at = ?
WHERE channel = ? AND provider_id = ? AND provider_id != ''
    AND (status IN ('sending', 'unknown') OR (status = 'sent' AND ? != 'sent'))
RETURNING id

-- name: recover
UPDATE outbox SET status = 'unknown', reason = 'convo stopped between asking the provider and hearing its answer',
    changed_at = ?1
WHERE status = 'sending' AND (?2::text IS NULL OR channel = ?2) AND (?3::text IS NULL OR changed_at < ?3)
RETURNING id

-- name: outbox
SELECT * FROM outbox WHERE ?1::text IS NULL OR channel = ?2 ORDER BY id

-- name: inbox
SELECT * FROM inbox WHERE ?1::text IS NULL OR status = ?2 ORDER BY id

-- name: charge
INSERT INTO spent (channel, day, recipient, segments)
SELECT channel, day, recipient, sum(segments) FROM unnest(?::text[], ?::text[], ?::text[], ?::int[])
    AS c (channel, day, recipient, segments)
GROUP BY channel, day, recipient ORDER BY channel, day, recipient
ON CONFLICT (channel, day, recipient) DO UPDATE SET segments = spent.segments + excluded.segments

-- name: give_back
UPDATE spent s SET segments = greatest(0, s.segments - b.segments)
FROM (SELECT o.channel, substr(o.marked_at, 1, 10) AS day, w.who, sum(coalesce(o.segments, 0)) AS segments
    FROM outbox o, LATERAL (VALUES (o.recipient), ('')) AS w (who)
    WHERE o.id = ANY(?::bigint[]) AND o.marked_at IS NOT NULL AND o.status IN ('sending', 'unknown')
    GROUP BY o.channel, substr(o.marked_at, 1, 10), w.who) b
WHERE s.channel = b.channel AND s.day = b.day AND s.recipient = b.who

-- name: recall
INSERT INTO consent (channel, number, kind, at, wording, source, partition)
VALUES (?, ?, 'opt-out', ?, '', 'forgotten', :partition)

-- name: write_step
INSERT INTO journal (channel, sender, number, step, flow, at, record, partition)
VALUES (?, ?, ?, ?, ?, ?, ?, :partition)

-- name: old_texts
SELECT i.id, i.channel, i.dedup_key, i.kind, i.status, i.received_at FROM inbox i
WHERE i.status != 'waiting' AND i.received_at < ?
    -- A conversation may have been opened by us a moment after a text of its sender came.
    AND NOT EXISTS (SELECT 1 FROM conversations v WHERE v.channel = i.channel AND v.sender = i.sender
        AND substr(v.opened_at, 1, 10)::date <= substr(i.received_at, 1, 10)::date + 1)
ORDER BY i.id
LIMIT ?

-- name: texts_in
SELECT quote_ident(attname) AS name FROM pg_attribute
WHERE attrelid = ?::regclass AND attnum > 0 AND NOT attisdropped AND atttypid = 'text'::regtype
