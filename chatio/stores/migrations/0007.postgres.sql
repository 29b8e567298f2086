-- The signal of a new head brings the messages, as JSON, where they fit into a NOTIFY, which takes less than 8,000 bytes:
-- the servers that hear it need not read them. Changes, and larger batches, are told by the number alone.

-- Every role of the database may listen and notify, whatever tables it may read: the name of the channel is a secret.
ALTER TABLE chatio.log
    ADD COLUMN head_channel text NOT NULL DEFAULT 'chatio_head_' || replace(gen_random_uuid()::text, '-', '');

CREATE OR REPLACE FUNCTION chatio.tell_head() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    added CONSTANT bigint := NEW.head - OLD.head;
    told text;
BEGIN
    IF added BETWEEN 1 AND 32 THEN
        SELECT json_agg(json_build_array(
            m.number, m.id, m.content, m.author_id, m.author_name, m."timestamp", m.sent_at
        ) ORDER BY m.number)::text
        INTO told
        FROM (SELECT * FROM chatio.messages WHERE number > OLD.head ORDER BY number LIMIT added) AS m
        HAVING count(*) = added;
    END IF;
    IF told IS NULL OR octet_length(told) > 7900 THEN
        told := NEW.head::text;
    END IF;
    PERFORM pg_notify(NEW.head_channel, told);
    RETURN NULL;
END $$;
