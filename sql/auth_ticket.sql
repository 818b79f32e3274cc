--# Tickets, which are good once. See core.sql for {{names}}.
-- pgherald {{version}}: the table of tickets
-- Locks: none on tables of the application. What is kept is sealed with the tickets themselves, which
-- are not here, for 30 s; nothing of it needs to survive a crash.
{{begin}}
SET LOCAL ROLE pgherald_owner;

CREATE UNLOGGED TABLE IF NOT EXISTS pgherald.ticket (
  hash   text PRIMARY KEY,
  route  text NOT NULL,
  sealed text NOT NULL,
  ends   timestamptz NOT NULL);
CREATE INDEX IF NOT EXISTS ticket_ends ON pgherald.ticket (ends);

-- Keeps them for so long, and throws away some that nobody has come for.
CREATE OR REPLACE FUNCTION pgherald.tickets_keep(hashes text[], routes text[], seals text[], seconds int)
RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '500ms'
AS $pgherald$
DECLARE
  n int;
BEGIN
  DELETE FROM pgherald.ticket AS t
  WHERE t.hash IN (SELECT old.hash FROM pgherald.ticket AS old
                   WHERE old.ends < clock_timestamp()
                   ORDER BY old.ends LIMIT 1000
                   FOR UPDATE SKIP LOCKED);
  INSERT INTO pgherald.ticket (hash, route, sealed, ends)
  SELECT k.hash, k.route, k.sealed, clock_timestamp() + make_interval(secs => tickets_keep.seconds)
  FROM unnest(tickets_keep.hashes, tickets_keep.routes, tickets_keep.seals) AS k(hash, route, sealed);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$pgherald$;

-- One row per ticket that was there for its route; n is its place in the arguments, from 1. Of several
-- who ask at once, whoever deletes the row has it.
CREATE OR REPLACE FUNCTION pgherald.tickets_take(hashes text[], routes text[])
RETURNS TABLE (n int, sealed text)
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '500ms'
AS $pgherald$
  DELETE FROM pgherald.ticket AS t
  USING unnest(hashes, routes) WITH ORDINALITY AS asked(hash, route, n)
  WHERE t.hash = asked.hash AND t.route = asked.route AND t.ends > clock_timestamp()
  RETURNING asked.n::int, t.sealed
$pgherald$;

REVOKE ALL ON FUNCTION pgherald.tickets_keep(text[], text[], text[], int), pgherald.tickets_take(text[], text[])
  FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgherald.tickets_keep(text[], text[], text[], int), pgherald.tickets_take(text[], text[])
  TO {{login}};
{{stamp}}
RESET ROLE;
COMMIT;
