-- What only PostgreSQL needs beside ../views.sql.

-- name: retry_message
UPDATE inbox SET status = 'waiting', attempts = 0, reason = '' WHERE id = ? RETURNING partition

-- name: lock_outbox
SELECT id FROM outbox WHERE id = ? FOR UPDATE

-- name: lock_inbox
SELECT id FROM inbox WHERE id = ? FOR UPDATE
