-- Roles, bans, mutes, one-time codes for a new password, and the audit trail.

ALTER TABLE chatio.users
    ADD COLUMN role text NOT NULL DEFAULT 'member',
    ADD COLUMN banned_until double precision NOT NULL DEFAULT 0,
    ADD COLUMN muted_until double precision NOT NULL DEFAULT 0,
    ADD COLUMN reset_hash text NOT NULL DEFAULT '',
    ADD COLUMN reset_until double precision NOT NULL DEFAULT 0;
CREATE INDEX users_muted ON chatio.users (muted_until) WHERE muted_until > 0;

CREATE TABLE chatio.acts (
    number bigint PRIMARY KEY,
    at text NOT NULL,
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    action text NOT NULL,
    user_id text NOT NULL,
    user_name text NOT NULL,
    reason text NOT NULL,
    until double precision NOT NULL,
    detail text NOT NULL
);
