-- Edits and deletions: entries of their own, numbered together with the messages.

CREATE TABLE chatio.changes (
    number bigint PRIMARY KEY,
    key text COLLATE "C" NOT NULL UNIQUE,
    target bigint NOT NULL,  -- the number of the message
    content text,            -- null: a deletion
    at text NOT NULL
);

CREATE INDEX changes_of ON chatio.changes (target, number);

-- Append a batch of changes in one round trip, as `append` does with messages. One row for each: the number of its
-- entry, whether that is new, and why it was refused otherwise ('unknown', 'deleted').
CREATE FUNCTION chatio.change(keys text[], ids text[], contents text[], ats text[]) RETURNS TABLE (
    number bigint, is_new boolean, refusal text
) LANGUAGE plpgsql SET lock_timeout = '4s' AS $$
#variable_conflict use_column
DECLARE
    base bigint;
    newest bigint;
    found_number bigint;
    post bigint;
    last chatio.changes%ROWTYPE;
BEGIN
    SELECT log.head INTO STRICT base FROM chatio.log FOR UPDATE;
    newest := base;
    FOR i IN 1 .. cardinality(keys) LOOP
        SELECT c.number INTO found_number FROM chatio.changes AS c WHERE c.key = keys[i];
        IF FOUND THEN
            RETURN QUERY SELECT found_number, false, NULL::text;
            CONTINUE;
        END IF;
        SELECT m.number INTO post FROM chatio.messages AS m WHERE m.id = ids[i];
        IF NOT FOUND THEN
            RETURN QUERY SELECT 0::bigint, false, 'unknown';
            CONTINUE;
        END IF;
        SELECT * INTO last FROM chatio.changes AS c WHERE c.target = post ORDER BY c.number DESC LIMIT 1;
        IF last.number IS NOT NULL AND last.content IS NULL THEN
            RETURN QUERY SELECT 0::bigint, false, 'deleted';
            CONTINUE;
        ELSIF last.content = contents[i] THEN
            RETURN QUERY SELECT last.number, false, NULL::text;
            CONTINUE;
        END IF;
        newest := newest + 1;
        INSERT INTO chatio.changes VALUES (newest, keys[i], post, contents[i], ats[i]);
        IF last.number IS NULL THEN
            UPDATE chatio.messages AS m SET content = '' WHERE m.number = post;
        ELSE
            UPDATE chatio.changes AS c SET content = '' WHERE c.number = last.number;
        END IF;
        RETURN QUERY SELECT newest, true, NULL::text;
    END LOOP;
    IF newest > base THEN
        UPDATE chatio.log SET head = newest;
    END IF;
END $$;

-- As before; and what changes say of a message that is deleted goes with it.
CREATE OR REPLACE FUNCTION chatio.forget(up_to bigint, most bigint) RETURNS bigint
LANGUAGE plpgsql SET lock_timeout = '4s' AS $$
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
    DELETE FROM chatio.changes WHERE number <= until;
    UPDATE chatio.changes SET content = '' WHERE target <= until AND target > log.tail AND content <> '';
    UPDATE chatio.log SET tail = until;
    RETURN until - log.tail;
END $$;
