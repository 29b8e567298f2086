-- Many servers on one database.

-- Why nothing may be appended for a server that knows this schema, this epoch, an entry with this number, and this
-- message: the name of what differs, or null. It takes the lock of the head, so that the answer holds until the commit.
CREATE FUNCTION chatio.fence(
    known_schema integer, known_epoch text, known_head bigint, known_number bigint, known_id text
) RETURNS text LANGUAGE plpgsql SET lock_timeout = '4s' AS $$
DECLARE
    log chatio.log%ROWTYPE;
BEGIN
    SELECT * INTO STRICT log FROM chatio.log FOR UPDATE;
    IF known_epoch <> log.epoch THEN
        RETURN 'epoch';
    END IF;
    IF known_head > log.head OR known_id <> (SELECT m.id FROM chatio.messages AS m WHERE m.number = known_number) THEN
        RETURN 'messages';
    END IF;
    IF known_schema <> (SELECT version FROM chatio.schema) THEN
        RETURN 'schema';
    END IF;
    RETURN NULL;
END $$;

-- Only where there are several servers, a new message wakes them.
ALTER TABLE chatio.log ADD COLUMN is_shared boolean NOT NULL DEFAULT false;

CREATE FUNCTION chatio.tell_head() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('chatio_head', NEW.head::text);
    RETURN NULL;
END $$;

CREATE TRIGGER tell_head AFTER UPDATE OF head ON chatio.log FOR EACH ROW WHEN (NEW.is_shared)
EXECUTE FUNCTION chatio.tell_head();

-- Why the tokens ended, which the clients are told.
ALTER TABLE chatio.revocations ADD COLUMN reason text NOT NULL DEFAULT '';

CREATE FUNCTION chatio.tell_revoked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('chatio_revoked', NEW.sequence::text);
    RETURN NULL;
END $$;

CREATE TRIGGER tell_revoked AFTER INSERT ON chatio.revocations FOR EACH ROW EXECUTE FUNCTION chatio.tell_revoked();

-- The servers that run, and the users at each of them. They are gone after a crash of the database, and come back with
-- the next beats.
CREATE UNLOGGED TABLE chatio.servers (
    id text COLLATE "C" PRIMARY KEY,  -- of the process
    name text NOT NULL,
    seen_at timestamptz NOT NULL,
    people bigint NOT NULL            -- the newest version in its rows of chatio.people
);

CREATE UNLOGGED TABLE chatio.people (
    server text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    user_name text NOT NULL,
    is_online boolean NOT NULL,       -- false: the user has left, and the row goes when all servers know it
    version bigint NOT NULL,
    PRIMARY KEY (server, user_id)
);

CREATE INDEX people_version ON chatio.people (server, version);

-- A server is there. It hears this beat, if it still listens. Servers that are silent are forgotten with their users;
-- without waiting for a row that another beat has locked, since two could wait for each other.
CREATE FUNCTION chatio.beat(me text, my_name text)
RETURNS TABLE (id text, name text, silent_seconds double precision, people bigint)
LANGUAGE plpgsql SET lock_timeout = '1s' AS $$
#variable_conflict use_column
DECLARE
    silent text[];
    has_others boolean;
BEGIN
    INSERT INTO chatio.servers VALUES (me, my_name, clock_timestamp(), 0)
    ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp();
    SELECT array_agg(s.id) INTO silent FROM (
        SELECT id FROM chatio.servers WHERE seen_at < clock_timestamp() - interval '8 s' FOR UPDATE SKIP LOCKED
    ) AS s;
    IF silent IS NOT NULL THEN
        DELETE FROM chatio.servers WHERE id = ANY (silent);
        DELETE FROM chatio.people WHERE server = ANY (silent);
    END IF;
    has_others := EXISTS (SELECT FROM chatio.servers WHERE id <> me);
    UPDATE chatio.log SET is_shared = has_others WHERE is_shared <> has_others;
    PERFORM pg_notify('chatio_beat_' || me, '');
    RETURN QUERY
    SELECT s.id, s.name, extract(epoch FROM clock_timestamp() - s.seen_at)::double precision, s.people
    FROM chatio.servers AS s;
END $$;

-- Users came to this server, or left it, since its version before.
CREATE FUNCTION chatio.tell_people(
    me text, new_version bigint, is_all boolean, user_ids text[], user_names text[], are_online boolean[]
) RETURNS void LANGUAGE plpgsql SET lock_timeout = '1s' AS $$
BEGIN
    DELETE FROM chatio.people WHERE server = me AND (is_all OR (NOT is_online AND version < new_version - 60));
    INSERT INTO chatio.people
    SELECT me, u.id, u.name, u.is_online, new_version
    FROM unnest(user_ids, user_names, are_online) AS u (id, name, is_online)
    ON CONFLICT (server, user_id)
    DO UPDATE SET user_name = excluded.user_name, is_online = excluded.is_online, version = excluded.version;
    UPDATE chatio.servers SET people = new_version WHERE id = me;
    PERFORM pg_notify('chatio_people', me || ' ' || new_version);
END $$;
