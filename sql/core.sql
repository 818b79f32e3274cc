--# What `pgherald sql install` runs first. The program fills in {{names}}; lines that begin with
--# --# stay in this file.
-- pgherald {{version}}: roles, journal and functions of the schema pgherald.
-- Locks: none on any table of the application.
{{begin}}

-- Three roles that nobody can log in as: pgherald_owner has the journal and records what changes;
-- pgherald_teller reads tables of the application, for names and owners and to tell of a change; pgherald_auth
-- looks up tokens, users and the hashes of their passwords. Each does nothing else: what runs where
-- somebody's table is read never stands beside the journal, nor beside a token. {{login_comment}} is who the
-- daemon connects as; what it may do is granted to it alone, below, and so is nothing in another database of
-- the cluster. It gets no password here (use peer or cert, or ALTER ROLE ... PASSWORD). The comment marks
-- what uninstall may drop again.
DO $pgherald$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY[{{owner_literals}}] LOOP
    IF to_regrole(name) IS NULL THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', name);
      EXECUTE format('COMMENT ON ROLE %I IS %L', name, 'made by pgherald sql install');
    ELSIF EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = name AND (r.rolsuper OR r.rolcanlogin)) THEN
      RAISE EXCEPTION 'role % is there already, and is a superuser or can log in', name
        USING HINT = format('ALTER ROLE %I NOSUPERUSER NOLOGIN;', name);
    END IF;
    -- An installer who is no superuser must be able to act as these, and to uninstall again.
    IF NOT pg_has_role(current_user, name, 'USAGE') THEN
      EXECUTE format('GRANT %I TO CURRENT_USER', name);
    END IF;
  END LOOP;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {{login_literal}}) THEN
    CREATE ROLE {{login}} LOGIN;
    COMMENT ON ROLE {{login}} IS 'made by pgherald sql install';
  END IF;
  IF to_regnamespace('pgherald') IS NULL THEN
    CREATE SCHEMA pgherald AUTHORIZATION pgherald_owner;
  END IF;
  -- Who may make schemas here could have made this one since it was looked for, above.
  IF EXISTS (SELECT FROM pg_namespace AS n JOIN pg_roles AS r ON r.oid = n.nspowner
             WHERE n.nspname = 'pgherald' AND r.rolname NOT IN ({{owner_literals}}) AND NOT r.rolsuper) THEN
    RAISE EXCEPTION 'schema pgherald belongs to somebody else';
  END IF;
END
$pgherald$;

-- From here on as the owner, so that nobody's default privileges reach the new objects.
SET LOCAL ROLE pgherald_owner;

CREATE TABLE IF NOT EXISTS pgherald.meta (
  one            boolean PRIMARY KEY DEFAULT true CHECK (one),
  schema_version int NOT NULL,
  epoch          text NOT NULL CHECK (epoch ~ '^[0-9a-z]{8}$'),
  floor_txid     bigint NOT NULL DEFAULT 0,   -- rows with txid <= floor_txid may have been pruned
  installed_at   timestamptz NOT NULL DEFAULT pg_catalog.now(),
  max_bytes      bigint NOT NULL,   -- the journal's limit in the configuration
  stop_bytes     bigint NOT NULL,   -- the size on disk at which writers stop adding to it: max_bytes,
                                    -- or what an earlier flood has left and prune has emptied
  connected      text               -- the role that was given CONNECT here, for uninstall
);

-- The journal of version 1 had finished documents. Its rows stay: they are told as "fetch again". Version 2
-- had one role for everything, version 3 two.
DO $pgherald$
BEGIN
  IF EXISTS (SELECT FROM pgherald.meta WHERE schema_version = 1) THEN
    ALTER TABLE pgherald.journal RENAME COLUMN doc TO data;
    ALTER TABLE pgherald.journal RENAME COLUMN leave TO past;
    UPDATE pgherald.meta SET schema_version = 2;
  END IF;
  IF EXISTS (SELECT FROM pgherald.meta WHERE schema_version = 2) THEN
    ALTER TABLE pgherald.meta ADD COLUMN IF NOT EXISTS connected text;
    UPDATE pgherald.meta SET schema_version = 3;
  END IF;
  UPDATE pgherald.meta SET schema_version = 4 WHERE schema_version = 3;
END
$pgherald$;

-- One row per changed row of a watched table, written by its trigger in the same transaction. It has
-- the values that the writer has at hand; names and documents are pgherald.tell()'s, for whoever reads
-- it. Without CHECK: PostgreSQL would read the text of the constraints for each statement, 10 us of a
-- writer's.
CREATE TABLE IF NOT EXISTS pgherald.journal (
  txid    bigint NOT NULL DEFAULT pg_catalog.txid_current(),
  id      bigint GENERATED ALWAYS AS IDENTITY,
  at      timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  topic   text NOT NULL,
  op      "char" NOT NULL,                    -- i, u, d, t, r, a, w or v:
          -- insert, update, delete, truncate, resync: "fetch again", or authorisation: rights of the
          -- users in own_old have changed, of everybody when it is empty; or, with follow = yes, a way to owners
          -- of this row has changed, and, behind it, vigil: what was looked for there (sql/way.sql). I, U
          -- and D are i, u and d of a watch with channels: its rows are for keys, and not for users' ids. So are
          -- those with m, messages: topic '#', data is the payload, past the type
  pk      text,                               -- NULL for t, r, a and v; the key of a message
  own_old text[] NOT NULL DEFAULT '{}',       -- owners before; of u without past they are own_new, too
  own_new text[] NOT NULL DEFAULT '{}',       -- owners after
  data    json,                               -- the watched columns' values, the row before for d: an
          -- array that begins with the mark of the list of columns which wrote it; {"reason": ...} for r
  past    json,                               -- of u, where the owners changed: the same of the row before
  actor   text,                               -- setting pgherald.actor of the application
  n       int NOT NULL DEFAULT 1,             -- rows of the statement that a resync stands for
  PRIMARY KEY (txid, id)
) WITH (fillfactor = 100, autovacuum_vacuum_scale_factor = 0.02,
        autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

-- Messages that were published with a key, once for each audience: so that none is told again, and, where there
-- is a payload, for who comes later. As long as the journal reaches back (`retention`).
CREATE TABLE IF NOT EXISTS pgherald.kept (
  audience text NOT NULL,
  key      text NOT NULL,
  txid     bigint NOT NULL DEFAULT pg_catalog.txid_current(),
  id       bigint NOT NULL,
  at       timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  type     text,
  payload  json,
  PRIMARY KEY (audience, key)
);
CREATE INDEX IF NOT EXISTS kept_by_id ON pgherald.kept (audience, id) WHERE type IS NOT NULL;

-- How often a change could not be recorded. A sequence, because it survives a rollback.
CREATE SEQUENCE IF NOT EXISTS pgherald.loss;

-- When the journal has become too large its own sequence of ids is set to its end: writers need not
-- look whether it is closed, their INSERT fails. The gate then has the last id given before. A sequence
-- can be set without a lock that would last, and stays set when the writer rolls back.
CREATE SEQUENCE IF NOT EXISTS pgherald.gate;

INSERT INTO pgherald.meta (schema_version, epoch, max_bytes, stop_bytes)
VALUES (4, pg_catalog.left(pg_catalog.replace(pg_catalog.gen_random_uuid()::text, '-', ''), 8),
        {{max_bytes}}, {{max_bytes}})
ON CONFLICT DO NOTHING;

DO $pgherald$
BEGIN
  IF (SELECT schema_version FROM pgherald.meta) <> 4 THEN
    RAISE EXCEPTION 'schema pgherald is of version %, this program makes version 4',
      (SELECT schema_version FROM pgherald.meta);
  END IF;
END
$pgherald$;

-- The limit may have changed since the last time.
UPDATE pgherald.meta
SET max_bytes = {{max_bytes}}, stop_bytes = {{max_bytes}}
WHERE max_bytes <> {{max_bytes}};

-- A time as 2025-01-01T12:00:00Z, with microseconds only when there are any; years beyond four digits
-- or before Christ as ECMA-262 has them (+012345, and -000043 for 44 BC), infinity as that word. Callers
-- pin the time zone to UTC.
CREATE OR REPLACE FUNCTION pgherald.utc(moment timestamptz) RETURNS text
LANGUAGE plpgsql STABLE
AS $pgherald$
DECLARE
  year int;
BEGIN
  IF moment >= '0001-01-01 00:00:00+00' AND moment < '10000-01-01 00:00:00+00' THEN
    RETURN pg_catalog.replace(
      pg_catalog.to_char(moment, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000Z', 'Z');
  ELSIF NOT pg_catalog.isfinite(moment) THEN
    RETURN moment;
  END IF;
  year := pg_catalog.date_part('year', moment);  -- 1 BC is -1, and the year 0 of ISO 8601
  RETURN pg_catalog.to_char(CASE WHEN year < 0 THEN year + 1 ELSE year END, 'SG000000')
         || pg_catalog.replace(pg_catalog.to_char(moment, '-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000Z', 'Z');
END
$pgherald$;
CREATE OR REPLACE FUNCTION pgherald.utc(moment text) RETURNS text
LANGUAGE sql STABLE
AS $pgherald$
  SELECT pgherald.utc(moment::pg_catalog.timestamptz)
$pgherald$;

-- Which history a cursor belongs to: another cluster, timeline or installation is another epoch.
CREATE OR REPLACE FUNCTION pgherald.epoch() RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER  -- plpgsql keeps its plan: this is asked with every look
SET search_path = pg_catalog, pg_temp
AS $pgherald$
BEGIN
  RETURN (SELECT left(md5(concat_ws(' ', c.system_identifier,
                                    substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), m.epoch)), 8)
          FROM pg_control_system() AS c, pgherald.meta AS m);
END
$pgherald$;

-- The id of a row that is written even while the journal is closed: then the gate gives them, which
-- has taken over where the journal's own sequence ended.
CREATE OR REPLACE FUNCTION pgherald.next_id() RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $pgherald$
BEGIN
  RETURN nextval('pgherald.journal_id_seq');
EXCEPTION WHEN sequence_generator_limit_exceeded THEN
  RETURN nextval('pgherald.gate');
END
$pgherald$;

-- Why a trigger should not record a statement of n rows as they are: 'storm' or 'size' are told as "fetch
-- again", '' is not even that. Beyond 500 rows of a topic in a transaction it is cheaper to fetch again;
-- each statement costs a subtransaction id (xmin of its rows), and PostgreSQL caches 64 of them. A
-- statement of the quick way is recorded when it asks, with n = 0.
CREATE OR REPLACE FUNCTION pgherald.too_much(of_topic text, n int) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $pgherald$
#variable_conflict use_column
DECLARE
  -- A look at the journal would make a conflict with everybody who writes to it.
  blind CONSTANT boolean := current_setting('transaction_isolation') = 'serializable';
  tally text;
  rows  bigint;
  stmts bigint;
BEGIN
  -- The journal is as large as it may get: nothing is written but, each minute, one "fetch again",
  -- and each statement counts as a loss, which every daemon and every cursor notices. Only
  -- pgherald.prune opens it again.
  IF pg_sequence_last_value('pgherald.journal_id_seq') = 9223372036854775807 THEN
    PERFORM nextval('pgherald.loss');
    IF blind THEN
      RETURN '';
    END IF;
    IF EXISTS (SELECT FROM (SELECT * FROM pgherald.journal AS j
                            ORDER BY j.txid DESC, j.id DESC LIMIT 100) AS latest
               WHERE latest.topic = of_topic AND latest.op = 'r'
                 AND latest.at > clock_timestamp() - interval '1 minute') THEN
      RETURN '';
    END IF;
    RETURN 'size';
  END IF;

  IF NOT blind THEN
    SELECT count(*), count(DISTINCT j.xmin::text) INTO rows, stmts
    FROM pgherald.journal AS j
    WHERE j.txid = txid_current() AND j.topic = of_topic AND j.op <> 'r';
    rows := rows + n;
    stmts := stmts + sign(n);
  ELSE
    tally := current_setting('pgherald.n_' || of_topic, true);
    IF tally ~ ('^' || txid_current() || ' [0-9]{1,9} [0-9]{1,9}$') THEN
      rows := split_part(tally, ' ', 2);
      stmts := split_part(tally, ' ', 3);
    END IF;
    rows := coalesce(rows, 0) + greatest(n, 1);
    stmts := coalesce(stmts, 0) + 1;
    tally := set_config('pgherald.n_' || of_topic, concat_ws(' ', txid_current(), rows, stmts), true);
  END IF;
  RETURN CASE WHEN rows > 500 OR stmts > 32 THEN 'storm' END;
END
$pgherald$;

-- Writes a "fetch again" and remembers where it stands, so that this transaction says so once. Whoever
-- forges the setting makes us look, and there is no such row of his transaction: silence cannot be had.
CREATE OR REPLACE FUNCTION pgherald.refetch(of_topic text, reason text, n int) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $pgherald$
#variable_conflict use_column
DECLARE
  new_id   bigint;
  place    text;
BEGIN
  INSERT INTO pgherald.journal (id, topic, op, n, data) OVERRIDING SYSTEM VALUE
  VALUES (pgherald.next_id(), of_topic, 'r', refetch.n, ('{"reason":"' || reason || '"}')::json)
  RETURNING id, ctid::text INTO new_id, place;
  place := set_config('pgherald.tx_' || of_topic, place, true);
  RETURN new_id;
END
$pgherald$;

-- Rows of this topic have other owners, and nobody can say which: "fetch again", once in a transaction.
CREATE OR REPLACE FUNCTION pgherald.rescope(of_topic text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $pgherald$
#variable_conflict use_column
DECLARE
  place CONSTANT text := nullif(current_setting('pgherald.tx_' || of_topic, true), '');
BEGIN
  IF place IS NULL OR NOT EXISTS (SELECT FROM pgherald.journal AS j
                                  WHERE j.ctid = place::tid AND j.txid = txid_current_if_assigned()
                                    AND j.topic = of_topic AND j.op = 'r') THEN
    PERFORM pgherald.refetch(of_topic, 'rescope', 1);
  END IF;
END
$pgherald$;

-- A change could not be recorded: counts it, which no rollback takes back, and says "fetch again".
CREATE OR REPLACE FUNCTION pgherald.lost(of_topic text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $pgherald$
BEGIN
  BEGIN
    PERFORM nextval('pgherald.loss');
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'pgherald: loss not counted: %', SQLERRM;
  END;
  BEGIN
    PERFORM pgherald.refetch(of_topic, 'loss', 1);
  EXCEPTION
    WHEN serialization_failure THEN
      RAISE;
    WHEN OTHERS THEN
      NULL;  -- the counter has told the daemon
  END;
END
$pgherald$;

-- Whether an index of this table begins with this column.
CREATE OR REPLACE FUNCTION pgherald.indexed(name text, col text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $pgherald$
  SELECT EXISTS (SELECT FROM pg_index AS i
                 JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                 WHERE i.indrelid = to_regclass(name) AND a.attname = col AND i.indisvalid
                   AND i.indpred IS NULL)
$pgherald$;

-- Whether the journal has become too large; the sequence's end closes it.
CREATE OR REPLACE FUNCTION pgherald.shut_when_full() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $pgherald$
BEGIN
  IF pg_total_relation_size('pgherald.journal') > (SELECT m.stop_bytes FROM pgherald.meta AS m) THEN
    PERFORM setval('pgherald.gate', seq.at), setval('pgherald.journal_id_seq', 9223372036854775807)
    FROM (SELECT pg_sequence_last_value('pgherald.journal_id_seq') AS at OFFSET 0) AS seq
    WHERE seq.at < 9223372036854775807;
  END IF;
END
$pgherald$;

-- Whether a value of this type can be read, made text or compared without running code of a role of the
-- application, or (`enter`) be made of text: its own types are PostgreSQL's; those of others must belong to
-- a superuser, since an owner may add casts to json or text. A domain runs its checks only when
-- something becomes one. `kind` is a NULL of the type. Declared immutable, so that the planner asks, and the
-- statement's plan has the answer: pgherald.plain(CASE WHEN false THEN t.column END) costs nothing when
-- the statement is run, and is asked again when the table is altered.
CREATE OR REPLACE FUNCTION pgherald.plain(kind anyelement, enter boolean DEFAULT false) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
AS $pgherald$
BEGIN
  RETURN pg_catalog.pg_typeof(kind)::pg_catalog.oid OPERATOR(pg_catalog.<) '16384'::pg_catalog.oid
         OR pgherald.plain_type(pg_catalog.pg_typeof(kind)::pg_catalog.oid, enter);
END
$pgherald$;
CREATE OR REPLACE FUNCTION pgherald.plain_type(type oid, enter boolean) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $pgherald$
  -- What is not found (it may be newer than this transaction's snapshot) is not plain.
  WITH RECURSIVE part AS (
    SELECT type AS oid
    UNION
    SELECT inner_type.oid
    FROM part
    JOIN pg_type AS t ON t.oid = part.oid
    CROSS JOIN LATERAL (
      SELECT t.typelem WHERE t.typcategory = 'A'
      UNION ALL
      SELECT t.typbasetype
      UNION ALL
      SELECT a.atttypid FROM pg_attribute AS a
      WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) AS inner_type (oid)
    WHERE inner_type.oid >= 16384)
  SELECT coalesce(bool_and(coalesce(r.rolsuper OR t.typcategory = 'A' OR t.typtype = 'd' AND NOT enter, false)
                           AND NOT EXISTS (SELECT FROM pg_cast AS c
                                           JOIN pg_proc AS p ON p.oid = c.castfunc
                                           JOIN pg_roles AS u ON u.oid = p.proowner
                                           WHERE c.castsource = t.oid AND NOT u.rolsuper)), false)
  FROM part
  LEFT JOIN pg_type AS t ON t.oid = part.oid
  LEFT JOIN pg_roles AS r ON r.oid = t.typowner
$pgherald$;
-- The same for a WHERE that must not be passed otherwise.
CREATE OR REPLACE FUNCTION pgherald.only_plain(kind anyelement, enter boolean DEFAULT false) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
AS $pgherald$
BEGIN
  IF pgherald.plain(kind, enter) THEN
    RETURN true;
  END IF;
  RAISE EXCEPTION 'a value of type % could run code of a role of the application', pg_catalog.pg_typeof(kind)
    USING ERRCODE = 'insufficient_privilege', HINT = 'pgherald sql check';
END
$pgherald$;

-- A value as text: as PostgreSQL casts it where that is plain, else by the type's output function, which only
-- a superuser can have made. So simple that PostgreSQL inlines it.
CREATE OR REPLACE FUNCTION pgherald.as_text(value anyelement) RETURNS text
LANGUAGE sql STABLE
AS $pgherald$
  SELECT CASE WHEN pgherald.plain(CASE WHEN false THEN value END) THEN value::pg_catalog.text
              WHEN NOT (value IS NULL) THEN pg_catalog.concat(value) END
$pgherald$;
-- The same as json: what is not plain is a string, or an array of strings.
CREATE OR REPLACE FUNCTION pgherald.as_jsonb(value anyelement) RETURNS jsonb
LANGUAGE sql STABLE
AS $pgherald$
  SELECT CASE WHEN pgherald.plain(CASE WHEN false THEN value END) THEN pg_catalog.to_jsonb(value)
              WHEN value IS NULL THEN NULL
              WHEN pgherald.is_array(CASE WHEN false THEN value END)
              THEN pg_catalog.to_jsonb(pg_catalog.concat(value)::pg_catalog.text[])
              ELSE pg_catalog.to_jsonb(pg_catalog.concat(value)) END
$pgherald$;
CREATE OR REPLACE FUNCTION pgherald.is_array(kind anyelement) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $pgherald$
BEGIN
  RETURN coalesce((SELECT t.typcategory = 'A' AND t.typtype <> 'd' FROM pg_type AS t WHERE t.oid = pg_typeof(kind)),
                  false);
END
$pgherald$;
-- Whether values of this type that are equal are spelled alike, as 1.0 and 1.00 of numeric are not, nor those of a
-- collation without capitals. Asked by the planner, as pgherald.plain().
CREATE OR REPLACE FUNCTION pgherald.spelled_once(kind anyelement) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $pgherald$
BEGIN
  RETURN pg_typeof(kind) IN ('boolean', 'smallint', 'integer', 'bigint', 'oid', 'uuid', 'date', 'timestamptz');
END
$pgherald$;
-- Text as a value of this type, by its input function: no cast is looked for.
CREATE OR REPLACE FUNCTION pgherald.typed(value text, kind anyelement) RETURNS anyelement
LANGUAGE plpgsql IMMUTABLE
AS $pgherald$
BEGIN
  kind := value;
  RETURN kind;
END
$pgherald$;

-- Keys: whom a row is for, where that may be somebody else than users (hub/scope.h). That of a user is his id,
-- behind a '=' when it looks like another kind of key; that of a channel '#' and its name. What is no name of a
-- channel is nobody's. So simple that PostgreSQL inlines them.
CREATE OR REPLACE FUNCTION pgherald.user_key(id text) RETURNS text
LANGUAGE sql IMMUTABLE
AS $pgherald$
  SELECT pg_catalog.regexp_replace(id, '^(?=[#*=])', '=')
$pgherald$;
CREATE OR REPLACE FUNCTION pgherald.channel_key(name text) RETURNS text
LANGUAGE sql IMMUTABLE
AS $pgherald$
  SELECT '#' OPERATOR(pg_catalog.||) pg_catalog."substring"(name, '^[A-Za-z0-9_.:@-]{1,128}$')
$pgherald$;

-- Tells the daemon that rights of these users have changed ('{}': of everybody; NULL: whose could not be found
-- out, so everybody's, and if that fails it is counted as a loss). It looks them up again. False when this
-- transaction has said so already.
CREATE OR REPLACE FUNCTION pgherald.revoked(users text[]) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $pgherald$
#variable_conflict use_column
DECLARE
  max_users CONSTANT int := 500;
  max_stmts CONSTANT int := 32;  -- per transaction; each costs a subtransaction id
  tx CONSTANT text := txid_current();
  whose   text[] := users;
  tally   text := current_setting('pgherald.tx_auth', true);
            -- of this transaction: "txid statements", or "txid all place" when everybody was named
  n_stmts int := 0;
  place   tid;  -- of the row: a look there is no conflict of SERIALIZABLE transactions
BEGIN
  IF users IS NULL THEN
    BEGIN
      RETURN pgherald.revoked('{}');
    EXCEPTION WHEN OTHERS THEN
      PERFORM nextval('pgherald.loss');
      RETURN false;
    END;
  END IF;
  IF split_part(tally, ' ', 1) = tx THEN
    IF split_part(tally, ' ', 2) <> 'all' THEN
      n_stmts := split_part(tally, ' ', 2);
    ELSIF EXISTS (SELECT FROM pgherald.journal AS j
                  WHERE j.ctid = split_part(tally, ' ', 3)::tid AND j.txid = tx::bigint
                    AND j.op = 'a' AND j.own_old = '{}') THEN
      RETURN false;
    END IF;
  END IF;
  IF cardinality(whose) > max_users OR n_stmts >= max_stmts THEN
    whose := '{}';
  END IF;
  INSERT INTO pgherald.journal (id, topic, op, own_old) OVERRIDING SYSTEM VALUE
  VALUES (pgherald.next_id(), 'auth', 'a', whose)
  RETURNING ctid INTO place;
  IF whose = '{}' THEN
    tally := set_config('pgherald.tx_auth', tx || ' all ' || place, true);
  ELSE
    tally := set_config('pgherald.tx_auth', tx || ' ' || n_stmts + 1, true);
  END IF;
  RETURN true;
END
$pgherald$;

-- What roles of `[publish]` call, in any transaction of theirs: a message to a channel, to everybody ('*'), or
-- without a channel to a user. It is told like a change of a row, in order, when the transaction has committed. A
-- `key` that has been published to the same audience is not told again within the time that the journal reaches
-- back; unless the message is to be kept for who comes later (`persist`) and says something else: then it takes the
-- place of the one before. The id of the row in the journal. What is wrong is an error, and the caller's affair.
CREATE OR REPLACE FUNCTION pgherald.publish(channel text, type text, payload jsonb, user_id text DEFAULT NULL,
                                            key text DEFAULT NULL, persist boolean DEFAULT false)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $pgherald$
#variable_conflict use_variable
DECLARE
  max_payload CONSTANT int := 1048576;
  max_actor   CONSTANT int := 200;  -- the caller's own setting, and no way around the bound of the journal
  max_kept    CONSTANT int := 100;  -- of an audience
  family      CONSTANT text := split_part(type, '.', 1);
  said        CONSTANT text := payload::text;
  keep        CONSTANT boolean := coalesce(persist, false);
  audience    text;
  new_id      bigint;
BEGIN
  audience := CASE WHEN (channel IS NULL) = (user_id IS NULL) THEN NULL
                   WHEN channel = '*' THEN '*'
                   WHEN channel IS NOT NULL THEN pgherald.channel_key(channel)
                   WHEN octet_length(user_id) BETWEEN 1 AND 1000 THEN pgherald.user_key(user_id) END;
  IF audience IS NULL THEN
    RAISE EXCEPTION 'a message goes to a channel, to ''*'' or to a user' USING ERRCODE = 'invalid_parameter_value',
      DETAIL = 'A channel has 1 to 128 letters of ASCII, digits and any of _.:@-, a user''s id 1 to 1000 bytes.';
  ELSIF type !~ '^[A-Za-z0-9_.:-]{1,128}$' IS NOT FALSE THEN
    RAISE EXCEPTION 'a type has 1 to 128 letters of ASCII, digits and any of _.:-'
      USING ERRCODE = 'invalid_parameter_value';
  ELSIF family IN ('system', 'pgherald', 'herald', 'connected', 'keepalive', 'heartbeat', 'ping', 'pong', 'error',
                   'stream-error') THEN
    RAISE EXCEPTION 'type % is the daemon''s own', type USING ERRCODE = 'insufficient_privilege';
  ELSIF EXISTS (SELECT FROM pg_proc AS p
                WHERE p.pronamespace = 'pgherald'::regnamespace AND p.proname = 'on_' || family) THEN
    RAISE EXCEPTION 'type % is that of changes of a watched table', type USING ERRCODE = 'insufficient_privilege';
  ELSIF octet_length(said) > max_payload IS NOT FALSE THEN
    RAISE EXCEPTION 'a message has a payload of at most % bytes', max_payload
      USING ERRCODE = CASE WHEN payload IS NULL THEN 'null_value_not_allowed' ELSE 'program_limit_exceeded' END;
  ELSIF octet_length(key) NOT BETWEEN 1 AND 200 THEN
    RAISE EXCEPTION 'a key has 1 to 200 bytes' USING ERRCODE = 'invalid_parameter_value';
  ELSIF keep AND key IS NULL THEN
    RAISE EXCEPTION 'what is kept needs a key' USING ERRCODE = 'invalid_parameter_value',
      HINT = 'The next message with the same key takes its place.';
  END IF;
  -- The last eighth is for changes of tables; and what is kept is no more than another one.
  IF pg_sequence_last_value('pgherald.journal_id_seq') = 9223372036854775807
     OR pg_total_relation_size('pgherald.journal') > (SELECT m.stop_bytes / 8 * 7 FROM pgherald.meta AS m)
     OR key IS NOT NULL
        AND pg_total_relation_size('pgherald.kept') > (SELECT m.max_bytes / 8 FROM pgherald.meta AS m) THEN
    RAISE EXCEPTION 'there is no room for messages' USING ERRCODE = 'configuration_limit_exceeded',
      HINT = 'pgherald sql prune, or a larger journal_size.';
  END IF;

  IF key IS NULL THEN
    new_id := nextval('pgherald.journal_id_seq');
  ELSE
    -- Who publishes the same at the same time waits here, and only then takes his number: so the order of
    -- transactions is that of this row, too.
    INSERT INTO pgherald.kept AS k (audience, key, id, type, payload)
    VALUES (audience, key, nextval('pgherald.journal_id_seq'), CASE WHEN keep THEN type END,
            CASE WHEN keep THEN said::json END)
    ON CONFLICT ON CONSTRAINT kept_pkey DO UPDATE
    SET id = nextval('pgherald.journal_id_seq'), type = excluded.type, payload = excluded.payload,
        txid = excluded.txid, at = clock_timestamp()
    WHERE keep AND (k.type, k.payload::text) IS DISTINCT FROM (excluded.type, excluded.payload::text)
    RETURNING k.id INTO new_id;
    IF new_id IS NULL THEN
      RETURN (SELECT k.id FROM pgherald.kept AS k WHERE k.audience = audience AND k.key = key);
    END IF;
    IF keep THEN
      -- Whoever has one of them locked is not waited for: it goes the next time.
      DELETE FROM pgherald.kept AS k
      WHERE k.ctid = ANY (ARRAY(
        SELECT old.ctid FROM pgherald.kept AS old
        WHERE old.audience = audience AND old.type IS NOT NULL
          AND old.id <= (SELECT b.id FROM pgherald.kept AS b
                         WHERE b.audience = audience AND b.type IS NOT NULL
                         ORDER BY b.id DESC OFFSET max_kept LIMIT 1)
        FOR UPDATE SKIP LOCKED));
    END IF;
  END IF;
  INSERT INTO pgherald.journal (id, topic, op, pk, own_new, data, past, actor) OVERRIDING SYSTEM VALUE
  VALUES (new_id, '#', 'm', key, ARRAY[audience], said::json, to_json(type),
          nullif(left(current_setting('pgherald.actor', true), max_actor), ''));
  IF new_id % 64 = 0 OR octet_length(said) > 8192 THEN
    PERFORM pgherald.shut_when_full();
  END IF;
  IF {{may_ring}} THEN
    PERFORM pg_notify('pgherald', '{"v":1,"topic":"#"}');
  END IF;
  RETURN new_id;
END
$pgherald$;

-- Messages that are kept for these audiences, the latest of each key, in order: what somebody gets who has just
-- come, as pgherald.tell() has them. The latest thousand, and no more than 4 MiB.
CREATE OR REPLACE FUNCTION pgherald.kept_for(audiences text[])
RETURNS TABLE (place bigint, txid bigint, id bigint, at timestamptz, topic text, op "char", own_old text[],
               own_new text[], doc json, leave json)
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $pgherald$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT row_number() OVER (ORDER BY k.id), k.txid, k.id, k.at, '#', 'm'::"char", '{}'::text[], ARRAY[k.audience],
         k.payload, to_json(k.type)
  FROM (SELECT latest.*, sum(octet_length(latest.payload::text)) OVER (ORDER BY latest.id DESC) AS upto
        FROM (SELECT * FROM pgherald.kept AS every
              WHERE every.audience = ANY (audiences) AND every.type IS NOT NULL
              ORDER BY every.id DESC LIMIT 1000) AS latest) AS k
  WHERE k.upto <= 4194304
  ORDER BY k.id;
END
$pgherald$;

-- Those of an earlier version returned other columns, which CREATE OR REPLACE cannot change.
DO $pgherald$
DECLARE
  earlier regprocedure;
BEGIN
  FOR earlier IN SELECT p.oid FROM pg_proc AS p
                 WHERE p.pronamespace = 'pgherald'::regnamespace
                   AND p.proname ~ '^tell(_|$)' AND p.proargnames[2] <> 'place' AND p.pronargs = 1 LOOP
    EXECUTE format('DROP FUNCTION %s', earlier);
  END LOOP;
END
$pgherald$;

-- No roll-back undoes a PREPARE: with the name of a statement of the daemon it would be run instead of that. The
-- daemon makes its own without SQL, and goes on without them when one is gone.
CREATE OR REPLACE FUNCTION pgherald.forget_prepared(name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $pgherald$
BEGIN
  EXECUTE format('DEALLOCATE %I', name);
END
$pgherald$;

-- What is told of a topic with follow = yes, and behind it what others have changed of the ways that the former's
-- transactions have not seen: all that was written since, and of those that were running then. Not more than
-- 10,000 rows and a mebibyte; where there is more, a last row (!) says up to where this goes. A row that is too
-- large is without its values, so that what it has changed is not known.
CREATE OR REPLACE FUNCTION pgherald.beside(written pgherald.journal[]) RETURNS pgherald.journal[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $pgherald$
#variable_conflict use_column
DECLARE
  of_topic CONSTANT text := (written[1]).topic;
  low      bigint;    -- the first transaction that none of these can have seen
  running  bigint[];  -- those before
  said     bigint[];  -- those that are told
  txids    bigint[];  -- of what is added, with
  ids      bigint[];
  cut      bigint;
  others   pgherald.journal[];
BEGIN
  SELECT min(txid_snapshot_xmax(v.snap)), array_agg(DISTINCT v.txid) INTO low, said
  FROM (SELECT w.txid, CASE WHEN w.op = 'v' THEN w.data->>10 END::txid_snapshot AS snap FROM unnest(written) AS w) AS v;
  IF low IS NULL THEN
    RETURN written;
  END IF;
  running := ARRAY(SELECT DISTINCT xip.txid
                   FROM (SELECT CASE WHEN w.op = 'v' THEN w.data->>10 END::txid_snapshot AS snap
                         FROM unnest(written) AS w) AS v
                   CROSS JOIN LATERAL txid_snapshot_xip(v.snap) AS xip (txid)
                   WHERE xip.txid < low);
  SELECT array_agg(s.txid) FILTER (WHERE s.wanted), array_agg(s.id) FILTER (WHERE s.wanted),
         CASE WHEN count(*) FILTER (WHERE s.ahead) > 10000 OR bool_or(NOT s.fits)
              THEN max(s.txid) FILTER (WHERE s.fits) END
  INTO txids, ids, cut
  FROM (SELECT j.txid, j.id, j.ahead, j.fits,
               j.fits AND j.topic = of_topic AND j.op <> 'w' AND (j.op <> 'u' OR j.moved)
               AND j.txid <> ALL (said) AS wanted
        FROM (SELECT l.*, sum(l.size) OVER (ORDER BY l.txid, l.id ROWS UNBOUNDED PRECEDING) <= 1048576 AS fits
              FROM (SELECT j.txid, j.id, j.topic, j.op, j.past IS NOT NULL AS moved, false AS ahead,
                           CASE WHEN j.topic = of_topic THEN least(pg_column_size(j.data), 65536) ELSE 0 END AS size
                    FROM unnest(running) AS r (txid)
                    JOIN pgherald.journal AS j ON j.txid = r.txid
                    UNION ALL
                    (SELECT j.txid, j.id, j.topic, j.op, j.past IS NOT NULL, true,
                            CASE WHEN j.topic = of_topic THEN least(pg_column_size(j.data), 65536) ELSE 0 END
                     FROM pgherald.journal AS j
                     WHERE j.txid >= low
                     ORDER BY j.txid, j.id LIMIT 10001)) AS l) AS j) AS s;
  others := ARRAY(SELECT ROW(j.txid, j.id, j.at, j.topic, j.op, j.pk, j.own_old, j.own_new,
                             CASE WHEN pg_column_size(j.data) <= 65536 THEN j.data END,
                             CASE WHEN pg_column_size(j.data) <= 65536 THEN j.past END, NULL, j.n)::pgherald.journal
                  FROM unnest(txids, ids) AS k (txid, id)
                  JOIN pgherald.journal AS j ON j.txid = k.txid AND j.id = k.id);
  IF cut IS NOT NULL THEN
    others := others
              || ROW(cut, 0, clock_timestamp(), of_topic, '!', NULL, '{}', '{}', NULL, NULL, NULL, 0)::pgherald.journal;
  END IF;
  RETURN written || others;
END
$pgherald$;

-- What these transactions changed, as clients are told: tell_TOPIC() makes the documents of its watch, and
-- settle_TOPIC() when one of them wrote more than once of a row. `place` is that of the transaction in the
-- list. An op in capitals is that of a row whose owners are keys. An op `x` is told to nobody: what it was is in
-- another row of its transaction. What cannot be told
-- says "fetch again" instead: nothing is left out, and no topic stops another. Who has a table locked from
-- which names come, a migration for one, is waited for, but not for long. How it is planned is left to the
-- session: the daemon's plans once, and with nothing but index look-ups. Whatever is done while a topic's tables are
-- read is undone: were it by code of who owns one of them (PostgreSQL runs it when it plans), which could alter
-- these functions, drop them, or leave settings behind in the session.
CREATE OR REPLACE FUNCTION pgherald.tell(txids bigint[])
RETURNS TABLE (place bigint, txid bigint, id bigint, at timestamptz, topic text, op "char", own_old text[],
               own_new text[], doc json, leave json)
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'  -- the documents must not depend on the session
SET datestyle = 'ISO, YMD'
SET intervalstyle = 'iso_8601'
SET bytea_output = 'hex'
SET extra_float_digits = 1
SET lock_timeout = '50ms'  -- revocations wait as well
AS $pgherald$
#variable_conflict use_column
DECLARE
  of_topic text;
  often    boolean;  -- whether one of the transactions wrote more than once of a row
  told     boolean;
  topics   text[];
  places   bigint[];
  written  pgherald.journal[];
  all_places  bigint[];
  all_written pgherald.journal[];
BEGIN
  -- All of a topic is made before the first row of it is returned, and an error leaves none behind. No loop over
  -- a query: its cursor could be fetched from, or broken, by code that runs where a topic's tables are read.
  SELECT coalesce(array_agg(DISTINCT j.topic), '{}'), array_agg(page.place), array_agg(j)
  INTO topics, all_places, all_written
  FROM unnest(txids) WITH ORDINALITY AS page(txid, place)
  JOIN pgherald.journal AS j ON j.txid = page.txid;
  FOREACH of_topic IN ARRAY topics LOOP
    IF cardinality(topics) = 1 THEN
      places := all_places;
      written := all_written;
    ELSE
      SELECT array_agg(w.place),
             array_agg(ROW(w.txid, w.id, w.at, w.topic, w.op, w.pk, w.own_old, w.own_new, w.data, w.past, w.actor,
                           w.n)::pgherald.journal)
      INTO places, written
      FROM unnest(all_places, all_written)
        AS w (place, txid, id, at, topic, op, pk, own_old, own_new, data, past, actor, n)
      WHERE w.topic = of_topic;
    END IF;
    IF of_topic = '#' THEN  -- messages are as they were published
      RETURN QUERY
      SELECT w.place, w.txid, w.id, w.at, w.topic, w.op, w.own_old, w.own_new, w.data, w.past
      FROM unnest(places, written) AS w (place, txid, id, at, topic, op, pk, own_old, own_new, data, past);
      CONTINUE;
    END IF;
    IF cardinality(written) > 1 THEN
      often := EXISTS (SELECT FROM pgherald.journal AS j WHERE j.txid = ANY (txids) AND j.topic = of_topic
                       GROUP BY j.txid, j.pk HAVING count(j.pk) > 1);
    ELSE
      often := false;
    END IF;
    told := false;
    BEGIN
      {{tellers}} to_regprocedure(format('pgherald.%I(bigint[], pgherald.journal[])',
                                         'settle_' || of_topic)) IS NOT NULL THEN
        -- Of another configuration for the same database, or of the extension's dump.
        IF to_regprocedure(format('pgherald.%I()', 'way_' || of_topic || '_1')) IS NOT NULL THEN
          RETURN QUERY EXECUTE format('SELECT * FROM pgherald.%I($1, $2)', 'settle_' || of_topic)
            USING places, pgherald.beside(written);
        ELSIF often THEN
          RETURN QUERY EXECUTE format('SELECT * FROM pgherald.%I($1, $2)', 'settle_' || of_topic)
            USING places, written;
        ELSE
          RETURN QUERY EXECUTE format('SELECT t.place, t.txid, t.id, t.at, t.topic, t.op, t.own_old, t.own_new, '
                                      't.doc, t.leave FROM pgherald.%I($1, $2, false) AS t',
                                      'tell_' || of_topic) USING places, written;
        END IF;
        told := true;
      END IF;
      IF told THEN  -- what is returned stays, and so does this variable
        RAISE 'undo this';
      END IF;
    EXCEPTION WHEN query_canceled THEN  -- statement_timeout: who reads learns which topic took the time
      PERFORM pgherald.forget_prepared(p.name) FROM pg_prepared_statement() AS p
      WHERE p.from_sql AND p.prepare_time >= statement_timestamp();
      RAISE EXCEPTION USING ERRCODE = 'query_canceled', TABLE = of_topic,
        MESSAGE = format('it takes too long to tell %s', of_topic);
    WHEN OTHERS OR assert_failure THEN
      CONTINUE WHEN told;
      -- Its functions are still those of version 3: until they are replaced, nothing is left out.
      IF SQLSTATE = '42883' AND to_regprocedure(format('pgherald.%I(bigint[])', 'settle_' || of_topic)) IS NOT NULL THEN
        RETURN QUERY EXECUTE format('SELECT * FROM pgherald.%I($1) ORDER BY place, id',
                                    CASE WHEN often THEN 'settle_' ELSE 'tell_' END || of_topic) USING txids;
        CONTINUE;
      END IF;
      -- What may be one row's fault (a NUL in json, one nested too deep, a check of a domain): only its
      -- transaction says "fetch again". Not what is everybody's: a lock, no room, a server that ends,
      -- something that is missing; but if that is the watched table itself, it is read for few transactions.
      IF (SQLSTATE !~ '^(25|40|42|53|55|57|58)' OR often AND SQLSTATE ~ '^42') AND cardinality(txids) > 1 THEN
        RETURN QUERY
        SELECT page.place, t.txid, t.id, t.at, t.topic, t.op, t.own_old, t.own_new, t.doc, t.leave
        FROM unnest(txids) WITH ORDINALITY AS page(txid, place),
             LATERAL pgherald.tell(ARRAY[page.txid]) AS t
        WHERE t.topic = of_topic;
        CONTINUE;
      END IF;
      RAISE WARNING 'pgherald: % not told: % (%)', of_topic, SQLERRM, SQLSTATE;
      IF SQLSTATE = '55P03' THEN  -- locked: that was long enough for all topics together
        PERFORM set_config('lock_timeout', '1ms', true);
      END IF;
    END;
    RETURN QUERY
    SELECT page.place, j.txid, j.id, j.at, j.topic,
           CASE WHEN j.op IN ('i', 'u', 'd', 'w', 'v', 'I', 'U', 'D') THEN 'r' ELSE j.op END, j.own_old, j.own_new,
           CASE WHEN j.op IN ('i', 'u', 'd', 'w', 'v', 'I', 'U', 'D') THEN '{"reason":"loss"}' ELSE j.data END,
           NULL::json
    FROM unnest(txids) WITH ORDINALITY AS page(txid, place)
    JOIN pgherald.journal AS j ON j.txid = page.txid
    WHERE j.topic = of_topic;
  END LOOP;
  PERFORM pgherald.forget_prepared(p.name) FROM pg_prepared_statement() AS p
  WHERE p.from_sql AND p.prepare_time >= statement_timestamp();
END
$pgherald$;

-- The same of these rows alone, for somebody who was away and hears only his own: of others no documents are
-- made. What cannot be told is left to tell().
CREATE OR REPLACE FUNCTION pgherald.replay(txids bigint[], ids bigint[])
RETURNS TABLE (place bigint, txid bigint, id bigint, at timestamptz, topic text, op "char", own_old text[],
               own_new text[], doc json, leave json)
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO, YMD'
SET intervalstyle = 'iso_8601'
SET bytea_output = 'hex'
SET extra_float_digits = 1
SET lock_timeout = '50ms'
AS $pgherald$
#variable_conflict use_column
DECLARE
  of_topic text;
  told     boolean;
  topics   text[];
  places   bigint[];
  written  pgherald.journal[];
  all_places  bigint[];
  all_written pgherald.journal[];
BEGIN
  SELECT coalesce(array_agg(DISTINCT j.topic), '{}'), array_agg(page.place), array_agg(j)
  INTO topics, all_places, all_written
  FROM unnest(txids) WITH ORDINALITY AS page(txid, place)
  JOIN pgherald.journal AS j ON j.txid = page.txid
  WHERE j.id = ANY (ids);
  FOREACH of_topic IN ARRAY topics LOOP
    SELECT array_agg(w.place),
           array_agg(ROW(w.txid, w.id, w.at, w.topic, w.op, w.pk, w.own_old, w.own_new, w.data, w.past, w.actor,
                         w.n)::pgherald.journal)
    INTO places, written
    FROM unnest(all_places, all_written)
      AS w (place, txid, id, at, topic, op, pk, own_old, own_new, data, past, actor, n)
    WHERE w.topic = of_topic;
    IF of_topic = '#' THEN
      RETURN QUERY
      SELECT w.place, w.txid, w.id, w.at, w.topic, w.op, w.own_old, w.own_new, w.data, w.past
      FROM unnest(places, written) AS w (place, txid, id, at, topic, op, pk, own_old, own_new, data, past);
      CONTINUE;
    END IF;
    told := false;
    BEGIN
      IF to_regprocedure(format('pgherald.%I()', 'way_' || of_topic || '_1')) IS NOT NULL
         OR EXISTS (SELECT FROM unnest(written) AS w GROUP BY w.txid, w.pk HAVING count(w.pk) > 1) THEN
        RAISE 'what is told of a row the whole transaction says';
      END IF;
      RETURN QUERY EXECUTE format('SELECT t.place, t.txid, t.id, t.at, t.topic, t.op, t.own_old, t.own_new, '
                                  't.doc, t.leave FROM pgherald.%I($1, $2, false) AS t',
                                  'tell_' || of_topic) USING places, written;
      told := true;
      RAISE 'undo this';
    EXCEPTION WHEN query_canceled THEN
      PERFORM pgherald.forget_prepared(p.name) FROM pg_prepared_statement() AS p
      WHERE p.from_sql AND p.prepare_time >= statement_timestamp();
      RAISE;
    WHEN OTHERS OR assert_failure THEN
      CONTINUE WHEN told;
      RETURN QUERY SELECT t.* FROM pgherald.tell(txids) AS t WHERE t.topic = of_topic AND t.id = ANY (ids);
    END;
  END LOOP;
  PERFORM pgherald.forget_prepared(p.name) FROM pg_prepared_statement() AS p
  WHERE p.from_sql AND p.prepare_time >= statement_timestamp();
END
$pgherald$;

-- "Fetch again" for these topics, since their tables or triggers have changed: asked by the daemon, which
-- has looked. `findings` is what it has found of each; when several daemons, or one that has been
-- started again, find the same, it is told once.
CREATE OR REPLACE FUNCTION pgherald.fetch_again(topics text[], findings text[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $pgherald$
BEGIN
  INSERT INTO pgherald.journal (id, topic, op, data) OVERRIDING SYSTEM VALUE
  SELECT pgherald.next_id(), told.topic, 'r',
         ('{"reason":"schema","found":' || to_json(told.found) || '}')::json
  FROM unnest(topics, findings) AS told (topic, found)
  WHERE told.found IS DISTINCT FROM (
    SELECT latest.data->>'found'
    FROM (SELECT * FROM pgherald.journal AS j ORDER BY j.txid DESC, j.id DESC LIMIT 1000) AS latest
    WHERE latest.topic = told.topic AND latest.op = 'r' AND latest.data->>'reason' = 'schema'
    ORDER BY latest.txid DESC, latest.id DESC
    LIMIT 1);
  PERFORM pg_notify('pgherald', '{"v":1,"topic":"*"}');
END
$pgherald$;

-- Deletes whole transactions from the journal's old end, about max_rows at a time, and raises the
-- floor with them: those older than max_age, and those beyond three quarters of max_bytes (the rest is
-- for what autovacuum has not yet collected). NULL for either is no limit. Transactions from the
-- oldest running one on are kept, so that the floor never passes a cursor that is still being handed
-- out. Opens the journal again when it was too large. One session at a time: -1 for the others.
DROP FUNCTION IF EXISTS pgherald.prune(interval, int);
CREATE OR REPLACE FUNCTION pgherald.prune(max_age interval, max_rows int, max_bytes bigint DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $pgherald$
#variable_conflict use_column
DECLARE
  running CONSTANT bigint := txid_snapshot_xmin(txid_current_snapshot());
  on_disk CONSTANT bigint := pg_total_relation_size('pgherald.journal');
  budget    bigint := max_bytes / 4 * 3;
  row_bytes bigint;        -- of a row with its index entry, on average
  newest_id bigint;
  keep_id   bigint := 0;   -- the first row to keep for the sake of size
  keep      bigint;        -- the first transaction to keep
  n         bigint;
  newest    bigint;
BEGIN
  -- Not waited for; it ends with the transaction; and nobody else can take it, as an advisory lock.
  PERFORM FROM pgherald.meta AS m FOR NO KEY UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN -1;
  END IF;

  IF on_disk > budget THEN
    SELECT 120 + avg(pg_column_size(sample.data) + coalesce(pg_column_size(sample.past), 0)
                     + pg_column_size(sample.own_old) + pg_column_size(sample.own_new)),
           max(sample.id)
    INTO row_bytes, newest_id
    FROM ((SELECT * FROM pgherald.journal AS j ORDER BY j.txid, j.id LIMIT 200)
          UNION ALL
          (SELECT * FROM pgherald.journal AS j ORDER BY j.txid DESC, j.id DESC LIMIT 200)) AS sample;
    keep_id := newest_id - budget / coalesce(row_bytes, 120);
  END IF;

  -- The oldest max_rows rows; the last transaction among them may go on beyond, so it stays too
  -- unless it is the only one.
  SELECT least(running,
               min(head.txid) FILTER (WHERE coalesce(head.at >= clock_timestamp() - max_age, true)
                                        AND head.id >= keep_id),
               CASE WHEN count(*) >= max_rows AND min(head.txid) < max(head.txid)
                    THEN max(head.txid) ELSE max(head.txid) + 1 END)
  INTO keep
  FROM (SELECT j.txid, j.id, j.at
        FROM pgherald.journal AS j
        ORDER BY j.txid, j.id
        LIMIT greatest(max_rows, 1)) AS head;

  WITH gone AS (DELETE FROM pgherald.journal AS j WHERE j.txid < keep RETURNING j.txid)
  SELECT count(*), max(gone.txid) INTO n, newest FROM gone;

  IF n > 0 THEN
    UPDATE pgherald.meta AS m SET floor_txid = greatest(m.floor_txid, newest);
  END IF;

  -- (Before `install` has run again there are none.)
  IF to_regclass('pgherald.kept') IS NOT NULL THEN
    DELETE FROM pgherald.kept AS k
    WHERE k.ctid = ANY (ARRAY(SELECT old.ctid FROM pgherald.kept AS old
                              WHERE old.at < clock_timestamp() - max_age LIMIT greatest(max_rows, 1)
                              FOR UPDATE SKIP LOCKED));
  END IF;

  -- Room again: writers may fill what is on disk, but make it no larger. Whatever they left out
  -- meanwhile has been counted as a loss.
  IF coalesce((SELECT max(j.id) >= keep_id FROM pgherald.journal AS j
               WHERE j.txid = (SELECT min(oldest.txid) FROM pgherald.journal AS oldest)), true) THEN
    UPDATE pgherald.meta AS m
    SET stop_bytes = greatest(m.max_bytes, on_disk)
    WHERE m.stop_bytes <> greatest(m.max_bytes, on_disk);
    IF pg_sequence_last_value('pgherald.journal_id_seq') = 9223372036854775807 THEN
      -- Beyond what transactions that still run have got from next_id().
      PERFORM setval('pgherald.journal_id_seq',
                     100 + greatest(0, pg_sequence_last_value('pgherald.gate'),
                                    (SELECT max(j.id) FROM pgherald.journal AS j)));
    END IF;
  END IF;
  RETURN n;
END
$pgherald$;

-- Nothing for PUBLIC and nothing for the application's roles.
REVOKE ALL ON SCHEMA pgherald FROM PUBLIC;
REVOKE ALL ON FUNCTION pgherald.utc(timestamptz), pgherald.utc(text), pgherald.epoch(), pgherald.next_id(),
  pgherald.plain(anyelement, boolean), pgherald.plain_type(oid, boolean),
  pgherald.only_plain(anyelement, boolean), pgherald.as_text(anyelement), pgherald.as_jsonb(anyelement),
  pgherald.is_array(anyelement), pgherald.spelled_once(anyelement), pgherald.typed(text, anyelement),
  pgherald.user_key(text), pgherald.channel_key(text), pgherald.revoked(text[]),
  pgherald.publish(text, text, jsonb, text, text, boolean), pgherald.kept_for(text[]),
  pgherald.too_much(text, int), pgherald.refetch(text, text, int),
  pgherald.rescope(text), pgherald.lost(text),
  pgherald.indexed(text, text), pgherald.shut_when_full(),
  pgherald.forget_prepared(text), pgherald.beside(pgherald.journal[]),
  pgherald.tell(bigint[]), pgherald.replay(bigint[], bigint[]),
  pgherald.fetch_again(text[], text[]), pgherald.prune(interval, int, bigint) FROM PUBLIC;
GRANT USAGE ON SCHEMA pgherald TO pgherald_auth;
GRANT EXECUTE ON FUNCTION pgherald.plain(anyelement, boolean), pgherald.plain_type(oid, boolean),
  pgherald.only_plain(anyelement, boolean), pgherald.as_text(anyelement), pgherald.typed(text, anyelement),
  pgherald.revoked(text[]) TO pgherald_auth;
GRANT USAGE ON SCHEMA pgherald TO pgherald_teller;
GRANT EXECUTE ON FUNCTION pgherald.utc(timestamptz), pgherald.utc(text), pgherald.plain(anyelement, boolean),
  pgherald.plain_type(oid, boolean), pgherald.as_text(anyelement), pgherald.as_jsonb(anyelement),
  pgherald.is_array(anyelement), pgherald.typed(text, anyelement), pgherald.indexed(text, text),
  pgherald.user_key(text), pgherald.channel_key(text) TO pgherald_teller;
GRANT USAGE ON SCHEMA pgherald TO {{login}};
GRANT SELECT ON pgherald.meta, pgherald.journal, pgherald.loss TO {{login}};
GRANT EXECUTE ON FUNCTION pgherald.epoch(), pgherald.tell(bigint[]), pgherald.replay(bigint[], bigint[]),
  pgherald.kept_for(text[]),
  pgherald.fetch_again(text[], text[]), pgherald.prune(interval, int, bigint) TO {{login}};

-- Who may publish. Whoever was named before, and is no longer, may not.
DO $pgherald$
DECLARE
  former record;
BEGIN
  FOR former IN SELECT DISTINCT r.rolname AS name
                FROM pg_proc AS p
                CROSS JOIN LATERAL aclexplode(p.proacl) AS a
                JOIN pg_roles AS r ON r.oid = a.grantee
                WHERE p.oid = 'pgherald.publish(text, text, jsonb, text, text, boolean)'::regprocedure
                  AND a.grantee <> p.proowner AND r.rolname <> ALL (ARRAY[{{publisher_literals}}]::name[]) LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION pgherald.publish(text, text, jsonb, text, text, boolean) FROM %I',
                   former.name);
    IF former.name <> {{login_literal}} THEN
      EXECUTE format('REVOKE USAGE ON SCHEMA pgherald FROM %I', former.name);
    END IF;
  END LOOP;
END
$pgherald$;
{{publishers}}

COMMENT ON SCHEMA pgherald IS 'tells browsers what changed: journal and triggers of pgherald';
{{stamp}}

RESET ROLE;

-- Of version 2: members of pgherald_reader had these rights in every database of the cluster.
DO $pgherald$
BEGIN
  IF to_regrole('pgherald_reader') IS NOT NULL THEN
    SET LOCAL ROLE pgherald_owner;
    REVOKE ALL ON SCHEMA pgherald FROM pgherald_reader;
    REVOKE ALL ON ALL TABLES IN SCHEMA pgherald FROM pgherald_reader;
    REVOKE ALL ON ALL SEQUENCES IN SCHEMA pgherald FROM pgherald_reader;
    REVOKE ALL ON ALL FUNCTIONS IN SCHEMA pgherald FROM pgherald_reader;
    RESET ROLE;
    EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM pgherald_reader', current_database());
    IF shobj_description(to_regrole('pgherald_reader'), 'pg_authid') = 'made by pgherald sql install' THEN
      BEGIN
        DROP ROLE pgherald_reader;
      EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN
        NULL;  -- another database needs it until it has this version, too; check says so
      END;
    END IF;
  END IF;
  IF NOT has_database_privilege({{login_literal}}, current_database(), 'CONNECT') THEN
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), {{login_literal}});
    SET LOCAL ROLE pgherald_owner;
    UPDATE pgherald.meta SET connected = {{login_literal}};
    RESET ROLE;
  END IF;
END
$pgherald$;

-- For `check` this is the finding temp-files.
DO $pgherald$
BEGIN
  IF pg_catalog.current_setting('temp_file_limit') <> '-1' THEN
    RAISE WARNING 'temp_file_limit is %: a statement that changes more rows of a watched table than fit into '
      'work_mem writes them to temporary files, and fails beyond that limit',
      pg_catalog.current_setting('temp_file_limit');
  END IF;
END
$pgherald$;

-- Subscribers get what is published, and can do nothing with a journal of another server.
DO $pgherald$
DECLARE
  published record;
BEGIN
  FOR published IN SELECT DISTINCT t.pubname FROM pg_publication_tables AS t WHERE t.schemaname = 'pgherald' LOOP
    RAISE WARNING 'publication % takes the tables of pgherald along: its subscribers will stop, or mix up two journals',
      published.pubname
      USING HINT = 'Publish the tables of the application by name, or by schema.';
  END LOOP;
END
$pgherald$;
COMMIT;
