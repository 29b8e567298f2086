-- What the login throttle must not forget with a restart.

CREATE TABLE login_counts (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,  -- JSON
    until REAL NOT NULL,  -- seconds since the epoch: of no use after it
    PRIMARY KEY (kind, key)
) STRICT;
