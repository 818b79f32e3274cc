--# One [auth] section: who a token belongs to. See core.sql for {{names}}.
-- pgherald {{version}}: look-up of credentials {{name_comment}}
-- Locks: none. The daemon may call this function, but cannot read the tables behind it.
BEGIN;
SET LOCAL lock_timeout = '2s';
SET LOCAL client_min_messages = warning;

{{grants}}

SET LOCAL ROLE pgherald_owner;

-- One row per token that was found; n is its place in the argument, from 1.
CREATE OR REPLACE FUNCTION pgherald.{{function}}(tokens text[])
RETURNS TABLE (n int, user_id text, role text, active boolean)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $pgherald$
  SELECT asked.n::int,
         u.{{user_key}}::text,
         {{role}},
         {{active}}
  FROM unnest(tokens) WITH ORDINALITY AS asked(token, n)
  JOIN {{token_table}} AS t ON t.{{token_column}} = asked.token
  JOIN {{user_table}} AS u ON u.{{user_key}} = t.{{token_user}}
$pgherald$;

REVOKE ALL ON FUNCTION pgherald.{{function}}(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgherald.{{function}}(text[]) TO pgherald_reader;
{{stamp}}

RESET ROLE;
COMMIT;
