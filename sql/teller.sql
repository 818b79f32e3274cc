--# The end of a piece whose functions read tables of the application. See core.sql for {{names}}.
-- Who owns a table that is read, or a part of it, can run code as the role that reads it (SECURITY.md). So where the
-- tables of all watches are not one role's, those of this watch are read by a role of their owners, which
-- can read no others; superusers count as one, and pgherald_teller reads what is theirs alone.
DO $pgherald$
DECLARE
  teller  text := 'pgherald_teller';
  owners  text;      -- of this watch
  n       int;       -- of all
  foreign_code text; -- who is not who could run code as whoever writes to the table anyway
  r       record;
BEGIN
  WITH RECURSIVE part AS (
    SELECT t.oid, bool_or(t.mine) AS mine
    FROM (SELECT to_regclass(w.name) AS oid, true AS mine FROM unnest(ARRAY[{{tables_of_this}}]::text[]) AS w (name)
          UNION ALL
          SELECT to_regclass(w.name), false FROM unnest(ARRAY[{{tables_of_all}}]::text[]) AS w (name)
          UNION ALL
          SELECT a.attrelid, false
          FROM pg_attribute AS a
          CROSS JOIN LATERAL aclexplode(a.attacl) AS acl
          WHERE acl.grantee = 'pgherald_teller'::regrole AND NOT a.attisdropped) AS t
    WHERE t.oid IS NOT NULL
    GROUP BY t.oid
    UNION
    SELECT i.inhrelid, part.mine FROM part JOIN pg_inherits AS i ON i.inhparent = part.oid)
  SELECT string_agg(DISTINCT u.rolname::text, ', ') FILTER (WHERE part.mine AND NOT u.rolsuper),
         count(DISTINCT CASE WHEN u.rolsuper THEN '' ELSE u.rolname END)
  INTO owners, n
  FROM part
  JOIN pg_class AS c ON c.oid = part.oid
  JOIN pg_roles AS u ON u.oid = c.relowner;
  IF strpos(owners, ', ') > 0 THEN
    RAISE WARNING 'watch {{topic}}: its tables belong to %, and each of them can run code that reads what the watch has '
      'of the others', owners;
  END IF;

  IF n > 1 AND owners IS NOT NULL THEN
    teller := format('pgherald_teller_%s_%s',
                     left(btrim(regexp_replace(lower(current_database() || '_' || owners), '[^a-z0-9]+', '_', 'g'),
                                '_'), 38),
                     left(md5(current_database() || ' ' || owners), 8));
    IF to_regrole(teller) IS NULL THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN', teller);
      EXCEPTION WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'the tables of the watches are not one role''s, and % may make no role that reads those of % '
          'alone', current_user, owners
          USING ERRCODE = 'insufficient_privilege',
                HINT = 'Let a superuser install, or a role that may make roles.';
      END;
      EXECUTE format('COMMENT ON ROLE %I IS %L', teller, 'made by pgherald sql install');
    ELSIF shobj_description(to_regrole(teller), 'pg_authid') IS DISTINCT FROM 'made by pgherald sql install'
          OR EXISTS (SELECT FROM pg_roles AS u WHERE u.rolname = teller AND (u.rolsuper OR u.rolcanlogin))
          -- of those who may be one, each installs
          OR EXISTS (SELECT FROM pg_auth_members AS m
                     JOIN pg_roles AS u ON u.oid = m.member
                     WHERE m.roleid = to_regrole(teller) AND NOT u.rolsuper
                       AND NOT pg_has_role(u.oid, 'pgherald_owner', 'MEMBER')) THEN
      RAISE EXCEPTION 'role % is there already, and not as pgherald makes it', teller
        USING HINT = 'It must have the comment ''made by pgherald sql install'', no members, and may not log in.';
    END IF;
    IF NOT pg_has_role(current_user, teller, 'USAGE') THEN
      EXECUTE format('GRANT %I TO CURRENT_USER', teller);
    END IF;

    -- What pgherald_teller may do in this schema, and read for this watch.
    SET LOCAL ROLE pgherald_owner;
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA pgherald TO %I', teller);
    FOR r IN SELECT p.oid::regprocedure AS function
             FROM pg_proc AS p
             CROSS JOIN LATERAL aclexplode(p.proacl) AS acl
             WHERE p.pronamespace = 'pgherald'::regnamespace AND p.proowner = 'pgherald_owner'::regrole
               AND acl.grantee = 'pgherald_teller'::regrole
               AND NOT has_function_privilege(teller, p.oid, 'EXECUTE') LOOP
      EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', r.function, teller);
    END LOOP;
    RESET ROLE;
    FOR r IN SELECT c.oid::regclass AS name, n.nspname, a.attname,
                    has_schema_privilege(teller, n.oid, 'USAGE') AS enters,
                    has_column_privilege(teller, a.attrelid, a.attnum, 'SELECT') AS reads,
                    format('%s.%s', a.attrelid, a.attnum) = ANY (current_setting('pgherald.had')::text[]) AS had
             FROM (VALUES
               {{columns_of_this}}
               (NULL, NULL)) AS w (rel, col)
             JOIN pg_class AS c ON c.oid = to_regclass(w.rel)
             JOIN pg_namespace AS n ON n.oid = c.relnamespace
             JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = w.col AND NOT a.attisdropped LOOP
      IF NOT r.enters THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', r.nspname, teller);
      END IF;
      IF NOT r.reads THEN
        EXECUTE format('GRANT SELECT (%I) ON %s TO %I', r.attname, r.name, teller);
      END IF;
      IF NOT r.had THEN
        EXECUTE format('REVOKE SELECT (%I) ON %s FROM pgherald_teller', r.attname, r.name);
      END IF;
    END LOOP;
    FOR r IN SELECT p.oid::regprocedure AS function
             FROM pg_proc AS p
             WHERE p.pronamespace = 'pgherald'::regnamespace AND p.proname ~ '{{readers}}' LOOP
      EXECUTE format('ALTER FUNCTION %s OWNER TO %I', r.function, teller);
    END LOOP;
    SET LOCAL ROLE pgherald_owner;
    EXECUTE format('REVOKE CREATE ON SCHEMA pgherald FROM %I', teller);
    RESET ROLE;
  END IF;
  -- What is looked up in the writer's session is planned there, and no roll-back takes back all that code can do in a
  -- session. Whoever has the rights of the owner of the table that is written to has triggers there; of
  -- tables of others nothing is looked up, and who reads the journal does it later.
  WITH RECURSIVE part AS (
    SELECT to_regclass(w.name) AS oid FROM unnest(ARRAY[{{tables_of_this}}]::text[]) AS w (name)
    WHERE to_regclass(w.name) <> {{table_literal}}::regclass
    UNION
    SELECT i.inhrelid FROM part JOIN pg_inherits AS i ON i.inhparent = part.oid)
  SELECT string_agg(DISTINCT c.relowner::regrole::text, ', ') INTO foreign_code
  FROM part
  JOIN pg_class AS c ON c.oid = part.oid
  WHERE NOT pg_has_role(c.relowner, (SELECT w.relowner FROM pg_class AS w WHERE w.oid = {{table_literal}}::regclass),
                        'USAGE');
  IF foreign_code IS NOT NULL THEN
    {{late}}
  END IF;

  {{gone}}
END
$pgherald$;
