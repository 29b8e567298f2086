-- The first schema. Later ones only add, so that the release before can still read the database.

CREATE TABLE chatio.log (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),  -- the table has one row
    epoch text NOT NULL,
    tail bigint NOT NULL,  -- the number of the newest message that was deleted
    head bigint NOT NULL   -- the number of the newest message
);

CREATE TABLE chatio.messages (
    number bigint PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    content text NOT NULL,
    author_id text NOT NULL,
    author_name text NOT NULL,
    "timestamp" text NOT NULL,
    sent_at text NOT NULL
);

CREATE TABLE chatio.users (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    name_key text COLLATE "C" NOT NULL,
    name_look text COLLATE "C" NOT NULL,
    email text NOT NULL,
    email_key text COLLATE "C" NOT NULL,
    password_hash text NOT NULL,
    CONSTRAINT users_name_key UNIQUE (name_key),
    CONSTRAINT users_name_look UNIQUE (name_look),
    CONSTRAINT users_email_key UNIQUE (email_key)
);

CREATE TABLE chatio.revocations (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject text NOT NULL,
    token_id text NOT NULL,
    before double precision NOT NULL,
    until double precision NOT NULL
);

-- Append a batch in one round trip. The lock on the head makes numbers dense, and their order that of the commits:
-- with a sequence, a reader of "number > last" never saw 437 of 13,359 rows. Row by row, since every statement here
-- finds its row by a unique index, whatever plan was made while the table was empty.
--
-- derived_ids: what a message is called if another author has its id. The texts of the answer are those of the first
-- message for an id that was known, and null for a new message, but for its id.
CREATE FUNCTION chatio.append(
    ids text[], contents text[], author_ids text[], author_names text[], timestamps text[], sent_ats text[],
    derived_ids text[]
) RETURNS TABLE (
    number bigint, is_new boolean, id text, content text, author_id text, author_name text, "timestamp" text,
    sent_at text
) LANGUAGE plpgsql SET lock_timeout = '4s' AS $$
#variable_conflict use_column
DECLARE
    base bigint;
    newest bigint;
    taken chatio.messages%ROWTYPE;
    chosen text;
BEGIN
    SELECT log.head INTO STRICT base FROM chatio.log FOR UPDATE;
    newest := base;
    FOR i IN 1 .. cardinality(ids) LOOP
        chosen := ids[i];
        LOOP
            INSERT INTO chatio.messages VALUES (
                newest + 1, chosen, contents[i], author_ids[i], author_names[i], timestamps[i], sent_ats[i]
            ) ON CONFLICT ON CONSTRAINT messages_id_key DO NOTHING;
            IF FOUND THEN
                newest := newest + 1;
                RETURN QUERY SELECT newest, true, chosen, NULL::text, NULL::text, NULL::text, NULL::text, NULL::text;
                EXIT;
            END IF;
            SELECT * INTO STRICT taken FROM chatio.messages AS m WHERE m.id = chosen;
            IF taken.author_id = author_ids[i] OR chosen = derived_ids[i] THEN
                RETURN QUERY SELECT taken.number, false, taken.id, taken.content, taken.author_id, taken.author_name,
                    taken."timestamp", taken.sent_at;
                EXIT;
            END IF;
            chosen := derived_ids[i];
        END LOOP;
    END LOOP;
    IF newest > base THEN
        UPDATE chatio.log SET head = newest;
    END IF;
END $$;

-- Delete the oldest messages up to a number, at most so many of them; how many were deleted.
CREATE FUNCTION chatio.forget(up_to bigint, most bigint) RETURNS bigint LANGUAGE plpgsql SET lock_timeout = '4s' AS $$
DECLARE
    log chatio.log%ROWTYPE;
    until bigint;
BEGIN
    SELECT * INTO STRICT log FROM chatio.log FOR UPDATE;
    until := least(up_to, log.tail + most, log.head);
    IF until <= log.tail THEN
        RETURN 0;
    END IF;
    DELETE FROM chatio.messages WHERE number <= until;
    UPDATE chatio.log SET tail = until;
    RETURN until - log.tail;
END $$;
