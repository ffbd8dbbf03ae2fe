-- name: any_forgotten
SELECT 1 FROM forgotten LIMIT 1

-- name: is_forgotten
SELECT at FROM forgotten WHERE channel = ? AND hash = ?

-- name: remember_opt_out
INSERT INTO forgotten (channel, hash, at) VALUES (?, ?, ?) ON CONFLICT (channel, hash) DO UPDATE SET at = excluded.at

-- name: no_opt_out
DELETE FROM forgotten WHERE channel = ? AND hash = ?

-- name: in_the_ledger
SELECT 1 FROM consent WHERE channel = ? AND number = ? LIMIT 1

-- name: recall
INSERT INTO consent (channel, number, kind, at, wording, source) VALUES (?, ?, 'opt-out', ?, '', 'forgotten')

-- name: last_consent
SELECT channel, kind, at FROM consent WHERE number = ?1
    AND id IN (SELECT max(id) FROM consent WHERE number = ?1 GROUP BY channel)

-- name: key
SELECT value FROM secrets WHERE name = 'forgotten'

-- name: new_key
INSERT INTO secrets (name, value) VALUES ('forgotten', ?)

-- name: any_seen
SELECT 1 FROM seen WHERE channel = ? LIMIT 1

-- name: is_seen
SELECT 1 FROM seen WHERE channel = ? AND dedup_key = ?

-- name: see
INSERT INTO seen (channel, dedup_key, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING

-- name: unsee
DELETE FROM seen WHERE at < ?

-- name: count_in
INSERT INTO tally (channel, what, flow, word, found) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (channel, what, flow, word) DO UPDATE SET found = tally.found + excluded.found

-- name: conversations_of
SELECT channel, sender, number, flow, ended FROM conversations WHERE sender = ? ORDER BY channel, number

-- name: untouched
SELECT v.channel, v.sender, v.number, v.flow, v.ended FROM conversations v
WHERE v.now_at < ?1
    AND NOT EXISTS (SELECT 1 FROM timers t
        WHERE t.channel = v.channel AND t.sender = v.sender AND t.number = v.number)
    AND NOT EXISTS (SELECT 1 FROM calls k
        WHERE k.channel = v.channel AND k.sender = v.sender AND k.number = v.number AND k.status != 'done')
    AND NOT EXISTS (SELECT 1 FROM outbox o
        WHERE o.channel = v.channel AND o.recipient = v.sender AND o.status IN ('queued', 'sending'))
    AND NOT EXISTS (SELECT 1 FROM inbox i
        WHERE i.channel = v.channel AND i.sender = v.sender AND i.status = 'waiting')
    AND NOT EXISTS (SELECT 1 FROM conversations e
        WHERE e.channel = v.channel AND e.sender = v.sender AND e.number < v.number AND e.now_at >= ?1)
    AND (EXISTS (SELECT 1 FROM conversations n
            WHERE n.channel = v.channel AND n.sender = v.sender AND n.number > v.number)
        OR NOT EXISTS (SELECT 1 FROM inbox i
            WHERE i.channel = v.channel AND i.sender = v.sender AND i.received_at >= ?1))
ORDER BY v.now_at, v.channel, v.sender, v.number
LIMIT ?2

-- name: said_in
SELECT record FROM journal WHERE channel = ? AND sender = ? AND number = ?

-- name: find_outbound
SELECT id, status FROM outbox WHERE channel = ? AND recipient = ? AND kind = ? AND text = ? ORDER BY id LIMIT 1

-- name: remove_outbound
DELETE FROM outbox WHERE id = ?

-- name: remove_journal
DELETE FROM journal WHERE channel = ? AND sender = ? AND number = ?

-- name: remove_timers
DELETE FROM timers WHERE channel = ? AND sender = ? AND number = ?

-- name: remove_calls
DELETE FROM calls WHERE channel = ? AND sender = ? AND number = ?

-- name: remove_conversation
DELETE FROM conversations WHERE channel = ? AND sender = ? AND number = ?

-- name: outbounds_to
SELECT id, channel, status FROM outbox WHERE recipient = ?

-- name: texts_of
SELECT id, channel, dedup_key, kind, status, received_at FROM inbox WHERE sender = ?

-- name: texts_left_of
SELECT id, channel, dedup_key, kind, status, received_at FROM inbox
WHERE channel = ?1 AND sender = ?2
    AND NOT EXISTS (SELECT 1 FROM conversations v WHERE v.channel = ?1 AND v.sender = ?2)

-- name: old_texts
SELECT i.id, i.channel, i.dedup_key, i.kind, i.status, i.received_at FROM inbox i
WHERE i.status != 'waiting' AND i.received_at < ?
    -- A conversation may have been opened by us a moment after a text of its sender came.
    AND NOT EXISTS (SELECT 1 FROM conversations v WHERE v.channel = i.channel AND v.sender = i.sender
        AND substr(v.opened_at, 1, 10) <= date(i.received_at, '+1 day'))
ORDER BY i.id
LIMIT ?

-- name: remove_text
DELETE FROM inbox WHERE id = ?

-- name: remove_spent
DELETE FROM spent WHERE recipient = ?

-- name: old_spent
DELETE FROM spent WHERE day < ?

-- name: remove_consent
DELETE FROM consent WHERE number = ?

-- name: unreadable_with
SELECT id, channel, dedup_key, kind, status, received_at, raw FROM inbox
WHERE kind = 'unreadable' AND instr(raw, ?) > 0

-- name: find_inbox
SELECT id, text, raw, reason FROM inbox WHERE instr(text, ?1) > 0 OR instr(raw, ?1) > 0 OR instr(reason, ?1) > 0

-- name: mend_inbox
UPDATE inbox SET text = ?, raw = ?, reason = ? WHERE id = ?

-- name: find_outbox
SELECT id, text, reason FROM outbox WHERE instr(text, ?1) > 0 OR instr(reason, ?1) > 0

-- name: mend_outbox
UPDATE outbox SET text = ?, reason = ? WHERE id = ?

-- name: find_conversations
SELECT channel, sender, number, data, memo FROM conversations WHERE instr(data, ?1) > 0 OR instr(memo, ?1) > 0

-- name: mend_conversation
UPDATE conversations SET data = ?, memo = ? WHERE channel = ? AND sender = ? AND number = ?

-- name: find_calls
SELECT id, given, answer, note FROM calls WHERE instr(given, ?1) > 0 OR instr(answer, ?1) > 0 OR instr(note, ?1) > 0

-- name: mend_call
UPDATE calls SET given = ?, answer = ?, note = ? WHERE id = ?

-- name: find_journal
SELECT channel, sender, number, step, flow, at, record FROM journal WHERE instr(record, ?) > 0

-- name: remove_step
DELETE FROM journal WHERE channel = ? AND sender = ? AND number = ? AND step = ?

-- name: write_step
INSERT INTO journal (channel, sender, number, step, flow, at, record) VALUES (?, ?, ?, ?, ?, ?, ?)

-- name: text_is_there
SELECT 1 FROM inbox WHERE id = ?

-- name: timer_is_there
SELECT 1 FROM timers WHERE id = ?

-- name: call_is_there
SELECT 1 FROM calls WHERE id = ?
