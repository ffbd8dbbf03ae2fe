-- name: channels
SELECT n.channel, c.last_good_poll_at FROM (
    SELECT channel FROM channels
    UNION SELECT DISTINCT channel FROM inbox
    UNION SELECT DISTINCT channel FROM outbox
    UNION SELECT DISTINCT channel FROM conversations
) n LEFT JOIN channels c ON c.channel = n.channel
ORDER BY n.channel

-- name: served
SELECT channel FROM channels ORDER BY channel

-- name: waiting
SELECT channel, count(*) AS waiting, min(received_at) AS oldest FROM inbox WHERE status = 'waiting' GROUP BY channel

-- name: dead
SELECT channel, kind, reason, count(*) AS found, max(received_at) AS last
FROM inbox WHERE status = 'dead' GROUP BY channel, kind, reason ORDER BY count(*) DESC, reason

-- name: statuses
SELECT channel, status, count(*) AS found, min(created_at) AS oldest FROM outbox GROUP BY channel, status

-- name: reasons
SELECT channel, status, reason, count(*) AS found, max(changed_at) AS last
FROM outbox
WHERE (status IN ('unknown', 'failed', 'blocked', 'expired') OR (status = 'queued' AND attempts > 0))
    AND reason NOT LIKE 'dropped by hand%'
GROUP BY channel, status, reason ORDER BY count(*) DESC, status, reason

-- name: flows
SELECT flow, state, ended, sum(found) AS found FROM (
    SELECT flow, CASE WHEN ended IS NULL THEN state END AS state, ended, 1 AS found FROM conversations
    -- Those that are gone are counted on.
    UNION ALL SELECT flow, NULL, word, found FROM tally WHERE what = 'conversation'
)
GROUP BY flow, state, ended
ORDER BY flow, state, ended

-- name: timers
SELECT channel, count(*) AS found, min(due_at) AS next FROM timers GROUP BY channel

-- name: opted_out
SELECT c.channel, count(*) AS found FROM consent c
WHERE c.kind = 'opt-out'
    AND c.id = (SELECT max(l.id) FROM consent l WHERE l.channel = c.channel AND l.number = c.number)
GROUP BY c.channel

-- name: channels_of
SELECT channel FROM conversations WHERE sender = ?1
UNION SELECT channel FROM consent WHERE number = ?1
UNION SELECT channel FROM inbox WHERE sender = ?1
ORDER BY channel

-- name: conversations_of
SELECT * FROM conversations WHERE channel = ? AND sender = ? ORDER BY number

-- name: steps_of
SELECT * FROM journal WHERE channel = ? AND sender = ? ORDER BY number DESC, step DESC LIMIT ?

-- name: count_steps_of
SELECT count(*) AS found FROM journal WHERE channel = ? AND sender = ?

-- name: people
SELECT DISTINCT channel, sender FROM journal ORDER BY channel, sender

-- name: flows_told
SELECT DISTINCT channel, flow FROM journal ORDER BY channel, flow

-- name: timers_of
SELECT name, due_at FROM timers WHERE channel = ? AND sender = ? ORDER BY due_at

-- name: consent_of
SELECT kind, at, source, wording FROM consent WHERE channel = ? AND number = ? ORDER BY id

-- name: outbox_of
SELECT * FROM outbox WHERE channel = ? AND recipient = ? AND status NOT IN ('sent', 'delivered') ORDER BY id

-- name: outbox_rows
SELECT * FROM outbox
WHERE status = ?2 AND (CAST(?1 AS text) IS NULL OR channel = ?1) AND reason NOT LIKE 'dropped by hand%'
ORDER BY id

-- name: dead_rows
SELECT * FROM inbox WHERE status = 'dead' AND (CAST(?1 AS text) IS NULL OR channel = ?1) ORDER BY id

-- name: opening_waits
SELECT 1 FROM inbox WHERE status = 'waiting' AND kind = 'opening' AND channel = ? AND sender = ?

-- name: inbox_id
SELECT id FROM inbox WHERE channel = ? AND dedup_key = ?

-- name: inbox_row
SELECT * FROM inbox WHERE id = ?

-- name: outbox_status
SELECT status FROM outbox WHERE id = ?

-- name: resend
UPDATE outbox SET status = 'queued', attempts = 0, reason = 'resent by hand', next_at = ?, changed_at = ?
WHERE id = ?

-- name: drop
UPDATE outbox SET status = CASE status WHEN 'unknown' THEN 'failed' WHEN 'queued' THEN 'blocked' ELSE status END,
    reason = 'dropped by hand, was ' || status || CASE reason WHEN '' THEN '' ELSE ': ' || reason END, changed_at = ?
WHERE id = ?

-- name: retry_message
UPDATE inbox SET status = 'waiting', attempts = 0, reason = '' WHERE id = ?

-- name: drop_message
UPDATE inbox SET status = 'done', reason = 'dropped by hand: ' || reason WHERE id = ?
