-- Edits and deletions: entries of their own, numbered together with the messages.

CREATE TABLE changes (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    target INTEGER NOT NULL,  -- the number of the message
    content TEXT,             -- NULL: a deletion
    at TEXT NOT NULL
) STRICT;

CREATE INDEX changes_of ON changes (target, number);
