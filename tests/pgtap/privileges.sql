-- SPDX-License-Identifier: PostgreSQL
-- Who may do what with what pgherald installed. Run by tests/system/test_privileges.py as a
-- superuser on a database with pgTAP, after `pgherald sql install`; "app" is the application's role.
BEGIN;
SET LOCAL search_path = public, pg_temp;
SELECT no_plan();

-- --- The roles ----------------------------------------------------------------------------------
SELECT has_role(r) FROM unnest('{pgherald_owner,pgherald_teller,pgherald_auth,pgherald}'::name[]) AS r;
SELECT hasnt_role('pgherald_reader');
SELECT isnt_superuser(r) FROM unnest('{pgherald_owner,pgherald_teller,pgherald_auth,pgherald,app}'::name[]) AS r;
SELECT set_eq(
  $$SELECT rolname::text FROM pg_roles WHERE rolname ~ '^pgherald' AND rolcanlogin$$,
  ARRAY['pgherald'], 'only the daemon''s role can log in');
SELECT is_empty(
  $$SELECT rolname FROM pg_roles WHERE rolname ~ '^pgherald'
    AND (rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication)$$,
  'no role has powers over the server');
SELECT is_empty(
  $$SELECT m.member::regrole, m.roleid::regrole FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.member
    WHERE m.roleid::regrole::text ~ '^pgherald' AND NOT r.rolsuper$$,
  'nobody is a member of one of our roles, not even the daemon');
SELECT is_empty(
  $$SELECT m.roleid::regrole FROM pg_auth_members AS m WHERE m.member::regrole::text ~ '^pgherald'$$,
  'none of our roles is a member of another');

-- --- The three owners -----------------------------------------------------------------------------
SELECT schema_owner_is('pgherald', 'pgherald_owner');
SELECT is_empty(
  $$SELECT oid::regclass FROM pg_class WHERE relnamespace = 'pgherald'::regnamespace
    AND relowner <> 'pgherald_owner'::regrole$$, 'it owns every table, index and sequence');
SELECT function_owner_is('pgherald', proname, string_to_array(oidvectortypes(proargtypes), ', ')::name[],
                         CASE WHEN proname ~ '^(auth|session|who|revoke)_' THEN 'pgherald_auth'
                              WHEN proname ~ '^(tell|settle|names|owners)_' THEN 'pgherald_teller'
                              ELSE 'pgherald_owner' END::name)
FROM pg_proc WHERE pronamespace = 'pgherald'::regnamespace;
SELECT is_definer('pgherald', proname, string_to_array(oidvectortypes(proargtypes), ', ')::name[])
FROM pg_proc
WHERE pronamespace = 'pgherald'::regnamespace
  AND (prorettype = 'trigger'::regtype OR proname LIKE 'auth%' OR proname IN ('epoch', 'prune', 'revoked', 'fetch_again'));
SELECT is_empty(
  $$SELECT oid::regprocedure FROM pg_proc
    WHERE pronamespace = 'pgherald'::regnamespace AND prosecdef
      AND NOT 'search_path=pg_catalog, pg_temp' = ANY (coalesce(proconfig, '{}'))$$,
  'every definer function pins its search_path, with pg_temp last');
SELECT is_empty(
  $$SELECT oid::regprocedure FROM pg_proc
    WHERE proowner IN ('pgherald_auth'::regrole, 'pgherald_teller'::regrole)
      AND NOT 'row_security=off' = ANY (coalesce(proconfig, '{}'))$$,
  'what reads tables of the application runs no policy');
SELECT is_empty(
  $$SELECT a.attrelid::regclass, a.attname FROM pg_attribute AS a
    JOIN pg_class AS r ON r.oid = a.attrelid
    WHERE r.relnamespace = 'public'::regnamespace AND r.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
      AND has_column_privilege('pgherald_owner', a.attrelid, a.attnum, 'SELECT, INSERT, UPDATE')$$,
  'what has the journal reads no table of the application');
SELECT is_empty(
  $$SELECT a.attrelid::regclass, a.attname FROM pg_attribute AS a
    WHERE a.attrelid IN ('authtoken_token'::regclass)
      AND a.attnum > 0 AND has_column_privilege('pgherald_teller', a.attrelid, a.attnum, 'SELECT')$$,
  'what tells reads no token');
SELECT is_empty(
  $$SELECT r.oid::regclass FROM pg_class AS r
    WHERE r.relnamespace = 'pgherald'::regnamespace AND r.relkind = 'r'
      AND (has_any_column_privilege('pgherald_auth', r.oid, 'SELECT, INSERT, UPDATE')
           OR has_any_column_privilege('pgherald_teller', r.oid, 'SELECT, INSERT, UPDATE'))$$,
  'what reads tables of the application reads and writes no event');

-- --- Rights on our objects: the whole table -----------------------------------------------------
-- object, role, rights; whatever is not here must be nothing
CREATE TEMP TABLE expected (object text, role text, rights text);
INSERT INTO expected VALUES
  ('schema pgherald', 'pgherald', 'USAGE'),
  ('pgherald.journal', 'pgherald', 'SELECT'),
  ('pgherald.meta', 'pgherald', 'SELECT'),
  ('pgherald.loss', 'pgherald', 'SELECT'),
  ('schema pgherald', 'pgherald_auth', 'USAGE'),
  ('schema pgherald', 'pgherald_teller', 'USAGE');
INSERT INTO expected
SELECT oid::regprocedure::text, 'pgherald', 'EXECUTE'
FROM pg_proc
WHERE pronamespace = 'pgherald'::regnamespace AND proname IN ('epoch', 'tell', 'replay', 'kept_for', 'fetch_again', 'prune',
                                                                 'auth_drf', 'who_drf');
INSERT INTO expected
SELECT oid::regprocedure::text, 'pgherald_auth', 'EXECUTE'
FROM pg_proc
WHERE pronamespace = 'pgherald'::regnamespace
  AND proname IN ('plain', 'plain_type', 'only_plain', 'as_text', 'typed', 'revoked');
INSERT INTO expected
SELECT oid::regprocedure::text, 'pgherald_teller', 'EXECUTE'
FROM pg_proc
WHERE pronamespace = 'pgherald'::regnamespace
  AND proname IN ('utc', 'plain', 'plain_type', 'as_text', 'as_jsonb', 'is_array', 'typed', 'indexed',
                  'user_key', 'channel_key');
INSERT INTO expected  -- of pgherald_teller
SELECT oid::regprocedure::text, 'pgherald_owner', 'EXECUTE'
FROM pg_proc
WHERE pronamespace = 'pgherald'::regnamespace AND proname ~ '^(tell|settle|names|owners)_';
CREATE TEMP VIEW granted AS
  SELECT o.object, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS role,
         string_agg(a.privilege_type, ',' ORDER BY a.privilege_type) AS rights
  FROM (SELECT 'schema ' || nspname AS object, nspowner AS owner,
               coalesce(nspacl, acldefault('n', nspowner)) AS acl
        FROM pg_namespace WHERE nspname = 'pgherald'
        UNION ALL
        SELECT oid::regclass::text, relowner,
               coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char",
                                           relowner))
        FROM pg_class WHERE relnamespace = 'pgherald'::regnamespace AND relkind IN ('r', 'S', 'v')
        UNION ALL
        SELECT oid::regprocedure::text, proowner, coalesce(proacl, acldefault('f', proowner))
        FROM pg_proc WHERE pronamespace = 'pgherald'::regnamespace) AS o
  CROSS JOIN LATERAL aclexplode(o.acl) AS a
  WHERE a.grantee <> o.owner
  GROUP BY 1, 2;
SELECT set_eq('SELECT * FROM granted', 'SELECT * FROM expected',
              'exactly these rights are granted, and none to PUBLIC');
SELECT is_empty(
  $$SELECT attrelid::regclass, attname FROM pg_attribute AS a
    JOIN pg_class AS c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'pgherald'::regnamespace AND attacl IS NOT NULL$$,
  'none on single columns');
-- those that the daemon calls, and only those
SELECT function_privs_are('pgherald', 'epoch', '{}'::name[], 'pgherald', '{EXECUTE}'::name[]);
SELECT function_privs_are('pgherald', 'auth_drf', '{text[]}'::name[], 'pgherald', '{EXECUTE}'::name[]);
SELECT function_privs_are('pgherald', 'who_drf', '{text[]}'::name[], 'pgherald', '{EXECUTE}'::name[]);
SELECT is_empty(
  $$SELECT oid::regprocedure FROM pg_proc
    WHERE pronamespace = 'pgherald'::regnamespace AND prorettype = 'trigger'::regtype
      AND has_function_privilege('pgherald', oid, 'EXECUTE')$$,
  'the daemon may execute no trigger function');

-- --- The daemon and the tables of the application -----------------------------------------------
SELECT table_privs_are('public', t, r, '{}'::name[])
FROM unnest('{api_user,authtoken_token,api_project,api_estimate}'::name[]) AS t,
     unnest('{pgherald,pgherald_auth,pgherald_teller,pgherald_owner}'::name[]) AS r;
SELECT is_empty(
  $$SELECT a.attrelid::regclass, a.attname, x.* FROM pg_attribute AS a, aclexplode(a.attacl) AS x
    WHERE x.grantee = 'pgherald'::regrole$$,
  'the daemon reads no column of the application');
SELECT is_empty(
  $$SELECT a.attrelid::regclass, a.attname, x.privilege_type
    FROM pg_attribute AS a, aclexplode(a.attacl) AS x
    WHERE x.grantee IN ('pgherald_owner'::regrole, 'pgherald_teller'::regrole, 'pgherald_auth'::regrole)
      AND (x.privilege_type <> 'SELECT' OR x.is_grantable)$$,
  'the owners read named columns and do nothing else');
SELECT is_empty(
  $$SELECT FROM pg_attribute AS a, aclexplode(a.attacl) AS x
    WHERE x.grantee IN ('pgherald_owner'::regrole, 'pgherald_teller'::regrole, 'pgherald_auth'::regrole)
      AND a.attname IN ('note', 'password')$$,
  'not a column more than the configuration names');

-- --- The application's role ---------------------------------------------------------------------
SELECT schema_privs_are('pgherald', 'app', '{}'::name[]);
SELECT table_privs_are('pgherald', 'journal', 'app', '{}'::name[]);
SELECT table_privs_are('pgherald', 'meta', 'app', '{}'::name[]);
SELECT sequence_privs_are('pgherald', 'loss', 'app', '{}'::name[]);
SELECT is_empty(
  $$SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'pgherald'::regnamespace
      AND has_function_privilege('app', oid, 'EXECUTE') AND prosecdef$$,
  'app may execute no definer function of ours');
SELECT isnt_member_of(r, ARRAY['app']::name[])
FROM unnest('{pgherald_owner,pgherald_teller,pgherald_auth}'::name[]) AS r;

-- --- The triggers -------------------------------------------------------------------------------
SELECT has_trigger('public'::name, t, ('zz_pgherald_' || k)::name)
FROM unnest('{api_project,api_estimate}'::name[]) AS t, unnest('{i,u,d,t}'::name[]) AS k;
SELECT trigger_is('public'::name, 'api_estimate', ('zz_pgherald_' || k)::name, 'pgherald', 'on_estimate')
FROM unnest('{i,u,d,t}'::name[]) AS k;

SELECT * FROM finish();
ROLLBACK;
