-- Mutes and bans of deleted accounts, until their end: a new account under the same address has them again.

CREATE TABLE chatio.sanctions (
    account text COLLATE "C" PRIMARY KEY,  -- the SHA-256 of the account's email_key
    banned_until double precision NOT NULL,
    muted_until double precision NOT NULL
);
