--# Part of auth.sql; sql/check/tables.sql (auth-owners) finds the same when it comes to be later.
-- Who owns one of the tables that credentials are looked up in, or a part of it, can run code as pgherald_auth, and
-- that reads all of them: tokens, hashes of passwords (SECURITY.md).
DO $pgherald$
DECLARE
  owners text;
BEGIN
  WITH RECURSIVE part AS (
    SELECT to_regclass(w.name)::oid AS oid FROM unnest(ARRAY[{{tables_of_all}}]::text[]) AS w (name)
    UNION
    SELECT i.inhrelid FROM part JOIN pg_inherits AS i ON i.inhparent = part.oid)
  SELECT string_agg(DISTINCT u.rolname::text, ', ') INTO owners
  FROM part
  JOIN pg_class AS c ON c.oid = part.oid
  JOIN pg_roles AS u ON u.oid = c.relowner
  HAVING count(DISTINCT CASE WHEN NOT u.rolsuper THEN u.oid END) + max(u.rolsuper::int) > 1  -- superusers are one
     AND NOT bool_and(u.rolsuper OR u.rolname::text = ANY (ARRAY[{{trusted}}]::text[]));
  IF owners IS NOT NULL THEN
    RAISE EXCEPTION 'the tables of the [auth] sections belong to %, and each of them could read the tokens and hashes '
      'of the others', owners
      USING HINT = 'Let one role own them, or a superuser; or name these roles as trusted_owners in [database].';
  END IF;
END
$pgherald$;
