-- Roles, bans, mutes, one-time codes for a new password, and the audit trail.

ALTER TABLE users ADD COLUMN role TEXT NOT NULL DEFAULT 'member';
ALTER TABLE users ADD COLUMN banned_until REAL NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN muted_until REAL NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN reset_hash TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN reset_until REAL NOT NULL DEFAULT 0;
CREATE INDEX users_muted ON users (muted_until) WHERE muted_until > 0;

CREATE TABLE acts (
    number INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    action TEXT NOT NULL,
    user_id TEXT NOT NULL,
    user_name TEXT NOT NULL,
    reason TEXT NOT NULL,
    until REAL NOT NULL,
    detail TEXT NOT NULL
) STRICT;
