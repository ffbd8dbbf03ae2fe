-- name: accept
INSERT INTO inbox (channel, sender, dedup_key, provider_id, recipient, text, sent_at, received_at, raw, kind)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'text')
ON CONFLICT (channel, dedup_key) WHERE dedup_key IS NOT NULL DO NOTHING

-- name: accept_unreadable
INSERT INTO inbox (channel, kind, sender, text, received_at, raw, status, reason)
VALUES (?, 'unreadable', '', '', ?, ?, 'dead', ?)

-- name: remember_poll
INSERT INTO channels (channel, cursor, last_good_poll_at) VALUES (?, ?, ?)
ON CONFLICT (channel) DO UPDATE
SET cursor = coalesce(excluded.cursor, cursor),
    last_good_poll_at = coalesce(excluded.last_good_poll_at, last_good_poll_at)

-- name: request
INSERT INTO inbox (channel, sender, dedup_key, text, received_at, raw, kind)
VALUES (?, ?, ?, ?, ?, ?, 'opening')
ON CONFLICT (channel, dedup_key) WHERE dedup_key IS NOT NULL DO NOTHING

-- name: cursor
SELECT cursor FROM channels WHERE channel = ?

-- name: claim
SELECT i.id, i.channel, i.sender, i.kind, i.text, i.sent_at, i.received_at, i.raw, i.attempts,
    coalesce((SELECT CASE c.kind WHEN 'opt-out' THEN 1 ELSE 0 END FROM consent c
        WHERE c.channel = i.channel AND c.number = i.sender ORDER BY c.id DESC LIMIT 1), 0) AS opted_out,
    v.number, v.flow, v.version, v.state, v.entry, v.tries, v.steps, v.language, v.data,
    v.opened_at, v.now_at, v.ended, v.ended_at, v.closed_told, v.memo,
    CASE WHEN v.asked_entry = v.entry THEN v.asked_at END AS asked_at
FROM inbox i
LEFT JOIN conversations v ON v.channel = i.channel AND v.sender = i.sender
    AND v.number = (SELECT max(n.number) FROM conversations n WHERE n.channel = i.channel AND n.sender = i.sender)
WHERE i.status = 'waiting'
    -- fenced: AND i.partition = ANY(:within)
    AND NOT EXISTS (SELECT 1 FROM calls k WHERE k.channel = i.channel AND k.sender = i.sender AND k.status != 'done'
        LIMIT 1 OFFSET 0)
ORDER BY i.id
LIMIT ?

-- name: due
SELECT t.id, t.channel, t.sender, t.name, t.entry AS timer_entry, t.due_at,
    EXISTS (SELECT 1 FROM outbox o WHERE o.channel = t.channel AND o.recipient = t.sender
        AND o.status IN ('queued', 'sending') AND o.number = t.number AND o.asks = t.entry) AS pending,
    coalesce((SELECT CASE c.kind WHEN 'opt-out' THEN 1 ELSE 0 END FROM consent c
        WHERE c.channel = t.channel AND c.number = t.sender ORDER BY c.id DESC LIMIT 1), 0) AS opted_out,
    v.number, v.flow, v.version, v.state, v.entry, v.tries, v.steps, v.language, v.data,
    v.opened_at, v.now_at, v.ended, v.ended_at, v.closed_told, v.memo,
    CASE WHEN v.asked_entry = v.entry THEN v.asked_at END AS asked_at
FROM timers t
JOIN conversations v ON v.channel = t.channel AND v.sender = t.sender AND v.number = t.number
WHERE t.due_at <= ? AND v.ended IS NULL AND v.entry = t.entry
    -- fenced: AND t.partition = ANY(:within)
    AND NOT EXISTS (SELECT 1 FROM inbox i WHERE i.channel = t.channel AND i.sender = t.sender AND i.status = 'waiting'
        LIMIT 1 OFFSET 0)
ORDER BY t.due_at, t.id
LIMIT ?

-- name: next_timer
SELECT min(due_at) AS at FROM timers
-- fenced: WHERE partition = ANY(:within)

-- name: write_conversation
INSERT INTO conversations (channel, sender, number, flow, version, state, entry, tries, steps, language, data,
    opened_at, now_at, ended, ended_at, closed_told, memo)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (channel, sender, number) DO UPDATE
SET flow = excluded.flow, version = excluded.version, state = excluded.state, entry = excluded.entry,
    tries = excluded.tries, steps = excluded.steps, language = excluded.language, data = excluded.data,
    now_at = excluded.now_at, ended = excluded.ended, ended_at = excluded.ended_at,
    closed_told = excluded.closed_told, memo = excluded.memo

-- name: write_journal
INSERT INTO journal (channel, sender, number, step, flow, at, record) VALUES (?, ?, ?, ?, ?, ?, ?)

-- name: write_outbound
INSERT INTO outbox (channel, recipient, text, kind, created_at, changed_at, next_at, number, asks)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: write_timer
INSERT INTO timers (channel, sender, number, entry, name, due_at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (channel, sender, number, entry, name) DO UPDATE SET due_at = excluded.due_at

-- name: void_timers
DELETE FROM timers WHERE channel = ? AND sender = ? AND number = ? AND (entry != ? OR ?)

-- name: drop_timer
DELETE FROM timers WHERE id = ?

-- name: write_consent
INSERT INTO consent (channel, number, kind, at, wording, source) VALUES (?, ?, ?, ?, ?, ?)

-- name: finish
UPDATE inbox SET status = ?, attempts = attempts + ?, reason = ? WHERE id = ?

-- name: sendable
SELECT o.id, o.channel, o.recipient, o.text, o.kind, o.status, o.created_at, o.attempts, o.next_at,
    o.provider_id, o.reason, o.segments, o.number, o.asks, o.due_at,
    coalesce((SELECT CASE c.kind WHEN 'opt-out' THEN 1 ELSE 0 END FROM consent c
        WHERE c.channel = o.channel AND c.number = o.recipient ORDER BY c.id DESC LIMIT 1), 0) AS opted_out,
    coalesce((SELECT s.segments FROM spent s WHERE s.channel = o.channel AND s.day = ?5 AND s.recipient = o.recipient), 0)
        AS to_one,
    coalesce((SELECT s.segments FROM spent s WHERE s.channel = o.channel AND s.day = ?5 AND s.recipient = ''), 0)
        AS on_channel,
    n.text AS newest, n.sender = n.recipient AS to_itself
FROM outbox o INDEXED BY outbox_in_order
LEFT JOIN inbox n ON n.id = (SELECT i.id FROM inbox i
    WHERE i.channel = o.channel AND i.sender = o.recipient AND i.kind = 'text' ORDER BY i.id DESC LIMIT 1)
WHERE o.channel = ?1 AND o.status = 'queued'
    -- A row written later than now: the clock has been set back. What nobody holds does not wait for it to catch up.
    AND (o.next_at <= ?2 OR (o.changed_at > ?2 AND (o.attempts > 0 OR o.next_at = o.created_at)))
    AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.channel = o.channel AND e.recipient = o.recipient
        AND e.id < o.id AND e.status IN ('queued', 'sending')
        AND NOT (e.status = 'queued' AND e.attempts = 0 AND e.next_at > ?2 AND e.next_at > e.created_at))
    AND (?4 OR NOT EXISTS (SELECT 1 FROM outbox u WHERE u.channel = o.channel AND u.recipient = o.recipient
        AND u.id < o.id AND u.status = 'unknown'))
ORDER BY o.id
LIMIT ?3

-- name: mark
UPDATE outbox SET status = ?, attempts = attempts + ?, reason = ?, changed_at = ?, marked_at = ?, segments = ?,
    due_at = CASE attempts + ? WHEN 1 THEN next_at ELSE due_at END
WHERE id = ? AND status = 'queued'

-- name: settle
UPDATE outbox SET status = ?, provider_id = CASE ? WHEN '' THEN provider_id ELSE ? END, reason = ?,
    segments = coalesce(?, segments), next_at = coalesce(?, next_at), changed_at = ?
WHERE id = ? AND status IN ('sending', 'unknown')

-- name: asked
UPDATE conversations SET asked_at = ?, asked_entry = entry
WHERE asked_entry != entry AND (channel, sender, number, entry) =
    (SELECT channel, recipient, number, asks FROM outbox WHERE id = ?)

-- name: write_call
INSERT INTO calls (channel, sender, number, entry, service, given, key, created_at, next_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: calls_to_make
SELECT * FROM calls WHERE status = 'waiting'
    -- One that was wanted later than now: the clock has been set back, and somebody waits for the answer.
    AND (next_at <= ?1 OR created_at > ?1)
ORDER BY next_at, id LIMIT ?2

-- name: next_call
SELECT min(next_at) AS at FROM calls WHERE status = 'waiting'

-- name: call_again
UPDATE calls SET attempts = attempts + 1, next_at = ?, note = ? WHERE id = ? AND status = 'waiting'

-- name: call_answered
UPDATE calls SET status = 'answered', attempts = attempts + 1, result = ?, answer = ?, note = ?
WHERE id = ? AND status = 'waiting'

-- name: call_done
UPDATE calls SET status = 'done' WHERE id = ?

-- name: void_calls
UPDATE calls SET status = 'done', note = 'its state was left'
WHERE channel = ? AND sender = ? AND number = ? AND status = 'waiting' AND (entry != ? OR ?)

-- name: answered
SELECT k.id, k.channel, k.sender, k.entry AS call_entry, k.result, k.answer, k.note,
    coalesce((SELECT CASE c.kind WHEN 'opt-out' THEN 1 ELSE 0 END FROM consent c
        WHERE c.channel = k.channel AND c.number = k.sender ORDER BY c.id DESC LIMIT 1), 0) AS opted_out,
    v.number, v.flow, v.version, v.state, v.entry, v.tries, v.steps, v.language, v.data,
    v.opened_at, v.now_at, v.ended, v.ended_at, v.closed_told, v.memo,
    CASE WHEN v.asked_entry = v.entry THEN v.asked_at END AS asked_at
FROM calls k
JOIN conversations v ON v.channel = k.channel AND v.sender = k.sender AND v.number = k.number
WHERE k.status = 'answered'
    -- fenced: AND k.partition = ANY(:within)
ORDER BY k.id
LIMIT ?

-- name: unknown
SELECT * FROM outbox WHERE channel = ? AND status = 'unknown' AND (changed_at <= ? OR changed_at > ?) ORDER BY id LIMIT ?

-- name: provider_ids
SELECT provider_id FROM outbox WHERE channel = ? AND recipient = ? AND provider_id != ''

-- name: next_outbound
SELECT min(next_at) AS at FROM outbox WHERE channel = ? AND status = 'queued'

-- name: receipt
UPDATE outbox SET status = ?, changed_at = ?
WHERE channel = ? AND provider_id = ? AND provider_id != ''
    AND (status IN ('sending', 'unknown') OR (status = 'sent' AND ? != 'sent'))

-- name: recover
UPDATE outbox SET status = 'unknown', reason = 'convo stopped between asking the provider and hearing its answer',
    changed_at = ?1
WHERE status = 'sending' AND (?2 IS NULL OR channel = ?2) AND (?3 IS NULL OR changed_at < ?3)

-- name: opted_out
SELECT kind = 'opt-out' AS opted_out FROM consent WHERE channel = ? AND number = ? ORDER BY id DESC LIMIT 1

-- name: conversation
SELECT * FROM conversations WHERE channel = ? AND sender = ? ORDER BY number DESC LIMIT 1

-- name: open_states
SELECT flow, state, count(*) AS found FROM conversations WHERE ended IS NULL GROUP BY flow, state

-- name: journal
SELECT * FROM journal WHERE channel = ? AND sender = ? ORDER BY number, step

-- name: outbox
SELECT * FROM outbox WHERE ? IS NULL OR channel = ? ORDER BY id

-- name: inbox
SELECT * FROM inbox WHERE ? IS NULL OR status = ? ORDER BY id

-- name: charge
INSERT INTO spent (channel, day, recipient, segments) VALUES (?, ?, ?, ?)
ON CONFLICT (channel, day, recipient) DO UPDATE SET segments = segments + excluded.segments

-- name: give_back
UPDATE spent SET segments = max(0, segments - (SELECT coalesce(o.segments, 0) FROM outbox o WHERE o.id = ?1))
WHERE (channel, day, recipient) IN (
    SELECT o.channel, substr(o.marked_at, 1, 10), w.who FROM outbox o, (SELECT recipient AS who FROM outbox WHERE id = ?1
        UNION SELECT '') w
    WHERE o.id = ?1 AND o.marked_at IS NOT NULL AND o.status IN ('sending', 'unknown'))

-- name: forget_spent
DELETE FROM spent WHERE day < ?

-- name: heard
SELECT text, received_at FROM inbox WHERE channel = ? AND sender = ? AND kind = 'text' ORDER BY id DESC LIMIT ?

-- name: said
SELECT text, marked_at, status FROM outbox WHERE channel = ? AND recipient = ? AND marked_at IS NOT NULL
ORDER BY id DESC LIMIT ?

-- name: unconfirmed
SELECT 1 WHERE EXISTS (SELECT 1 FROM outbox WHERE channel = ?1 AND recipient = ?2 AND kind = 'consent' AND id > ?3)
    OR (SELECT source FROM consent WHERE channel = ?1 AND number = ?2 ORDER BY id DESC LIMIT 1) = 'carrier'
