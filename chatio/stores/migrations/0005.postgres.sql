-- What the login throttle must not forget with a restart.

CREATE TABLE chatio.login_counts (
    kind text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    value text NOT NULL,  -- JSON
    until double precision NOT NULL,  -- seconds since the epoch: of no use after it
    PRIMARY KEY (kind, key)
);
