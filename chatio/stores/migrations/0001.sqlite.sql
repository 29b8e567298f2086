-- The first schema. Later ones only add, so that the release before can still read the database.

CREATE TABLE log (
    one INTEGER PRIMARY KEY CHECK (one = 1),  -- the table has one row
    epoch TEXT NOT NULL,
    tail INTEGER NOT NULL,  -- the number of the newest message that was deleted
    head INTEGER NOT NULL   -- the number of the newest message
) STRICT;

CREATE TABLE messages (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    content TEXT NOT NULL,
    author_id TEXT NOT NULL,
    author_name TEXT NOT NULL,
    timestamp TEXT NOT NULL,
    sent_at TEXT NOT NULL
) STRICT;

CREATE TABLE users (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL UNIQUE,
    name_look TEXT NOT NULL UNIQUE,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL
) STRICT;

CREATE TABLE revocations (
    sequence INTEGER PRIMARY KEY,
    subject TEXT NOT NULL,
    token_id TEXT NOT NULL,
    before REAL NOT NULL,
    until REAL NOT NULL
) STRICT;
