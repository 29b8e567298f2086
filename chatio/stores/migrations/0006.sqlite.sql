-- Mutes and bans of deleted accounts, until their end: a new account under the same address has them again.

CREATE TABLE sanctions (
    account TEXT NOT NULL PRIMARY KEY,  -- the SHA-256 of the account's email_key
    banned_until REAL NOT NULL,
    muted_until REAL NOT NULL
) STRICT;
