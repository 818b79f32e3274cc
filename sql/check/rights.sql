--# Who may do what: the roles, and every right in the schema.
--! role-missing danger stop
--! The installation makes these roles; without them nobody can record or read.
SELECT r.name, 'the role does not exist', 'pgherald sql install --apply'
FROM (SELECT unnest('{pgherald_owner,pgherald_teller,pgherald_auth}'::text[])
      UNION SELECT f.owner FROM want_function AS f) AS r (name)
WHERE to_regrole(r.name) IS NULL

--! role-attributes danger
--! These roles exist to hold few rights. Who could log in as pgherald_owner could forge events, as
--! pgherald_auth read the tokens.
SELECT r.rolname, concat_ws(', ', CASE WHEN r.rolcanlogin THEN 'it can log in' END,
                            CASE WHEN r.rolsuper THEN 'it is a superuser' END,
                            CASE WHEN r.rolbypassrls AND r.rolname IN ('pgherald_owner', 'pgherald_authorize')
                                 THEN 'it bypasses row level security' END,
                            CASE WHEN r.rolcreaterole THEN 'it may make roles' END,
                            CASE WHEN r.rolcreatedb THEN 'it may make databases' END,
                            CASE WHEN r.rolreplication THEN 'it may replicate' END),
       format('ALTER ROLE %I', r.rolname)
       || CASE WHEN r.rolcanlogin THEN ' NOLOGIN' ELSE '' END
       || CASE WHEN r.rolsuper THEN ' NOSUPERUSER' ELSE '' END
       || CASE WHEN r.rolbypassrls AND r.rolname IN ('pgherald_owner', 'pgherald_authorize') THEN ' NOBYPASSRLS' ELSE '' END
       || CASE WHEN r.rolcreaterole THEN ' NOCREATEROLE' ELSE '' END
       || CASE WHEN r.rolcreatedb THEN ' NOCREATEDB' ELSE '' END
       || CASE WHEN r.rolreplication THEN ' NOREPLICATION' ELSE '' END || ';'
FROM pg_roles AS r
WHERE (r.rolname IN ({{owner_literals}}, 'pgherald_authorize') OR r.oid IN (SELECT t.oid FROM teller AS t))
  AND (r.rolcanlogin OR r.rolsuper OR r.rolbypassrls AND r.rolname IN ('pgherald_owner', 'pgherald_authorize')
       OR r.rolcreaterole OR r.rolcreatedb
       OR r.rolreplication)

--! owner-member danger
--! A member of pgherald_owner can read the journal and write any event, and a member of pgherald_auth read
--! the tokens. Only who installs needs to be one.
SELECT m.member::regrole, 'it is a member of ' || m.roleid::regrole,
       format('REVOKE %s FROM %s;', m.roleid::regrole, m.member::regrole)
FROM pg_auth_members AS m
JOIN pg_roles AS r ON r.oid = m.member
WHERE (m.roleid IN (to_regrole('pgherald_owner'), to_regrole('pgherald_teller'), to_regrole('pgherald_auth'),
                    to_regrole('pgherald_authorize'))
       OR m.roleid IN (SELECT t.oid FROM teller AS t))
  AND NOT r.rolsuper AND NOT r.rolcreaterole
GROUP BY m.member, m.roleid

--! owner-in-role danger
--! Our role inherits the rights of this one, and what runs in the triggers or looks up tokens has them, too.
SELECT m.roleid::regrole, m.member::regrole || ' is a member of it',
       format('REVOKE %s FROM %s;', m.roleid::regrole, m.member::regrole)
FROM pg_auth_members AS m
WHERE m.member IN (to_regrole('pgherald_owner'), to_regrole('pgherald_teller'), to_regrole('pgherald_auth'),
                   to_regrole('pgherald_authorize')) OR m.member IN (SELECT t.oid FROM teller AS t)
GROUP BY m.roleid, m.member

--! right-unknown danger
--! Only the daemon's role and our own may use anything here. Who reads the journal sees every row of the
--! watched tables; who writes it, or moves the counter, forges events.
, object AS (
  SELECT 'SCHEMA' AS kind, 'pgherald' AS name, 'schema' AS wanted, n.nspowner AS owner,
         coalesce(n.nspacl, acldefault('n', n.nspowner)) AS acl
  FROM pg_namespace AS n WHERE n.nspname = 'pgherald'
  UNION ALL
  SELECT CASE r.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, r.oid::regclass::text, 'table',
         r.relowner,
         coalesce(r.relacl, acldefault(CASE r.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char",
                                       r.relowner))
  FROM pg_class AS r
  WHERE r.relnamespace = to_regnamespace('pgherald') AND r.relkind IN ('r', 'v', 'm', 'p', 'S')
  UNION ALL
  SELECT 'FUNCTION', p.oid::regprocedure::text, 'function', p.proowner,
         coalesce(p.proacl, acldefault('f', p.proowner))
  FROM pg_proc AS p WHERE p.pronamespace = to_regnamespace('pgherald'))
SELECT o.name, format('%s has %s', CASE a.grantee WHEN 0 THEN 'PUBLIC'
                                   ELSE a.grantee::regrole::text END,
                      string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type)),
       format('REVOKE %s ON %s %s FROM %s;', string_agg(a.privilege_type, ', '), o.kind, o.name,
              CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END)
FROM object AS o
CROSS JOIN LATERAL aclexplode(o.acl) AS a
WHERE a.grantee NOT IN (o.owner, to_regrole('pgherald_owner'))
  AND NOT (a.privilege_type = CASE o.kind WHEN 'SCHEMA' THEN 'USAGE' ELSE 'SELECT' END AND o.kind <> 'FUNCTION'
           AND a.grantee IN (SELECT d.oid FROM dumper AS d WHERE d.reads))
  AND NOT EXISTS (
    SELECT FROM want_right AS w
    WHERE (to_regrole(w.role) = a.grantee
           OR w.role = 'pgherald_teller' AND a.grantee IN (SELECT t.oid FROM teller AS t))
      AND w.privilege = a.privilege_type AND w.kind = o.wanted
      AND o.name = CASE w.kind WHEN 'schema' THEN w.object
                               WHEN 'table' THEN to_regclass(w.object)::text
                               WHEN 'function' THEN to_regprocedure(w.object)::text END)
GROUP BY o.name, o.kind, a.grantee

--! right-on-column danger
--! Rights on single columns of the journal are not shown by \dp pgherald.journal at first sight, and
--! let somebody read or forge events all the same.
SELECT t.attrelid::regclass || '.' || t.attname,
       format('%s has %s', CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
              a.privilege_type),
       format('REVOKE %s (%I) ON %s FROM %s;', a.privilege_type, t.attname, t.attrelid::regclass,
              CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END)
FROM pg_attribute AS t
JOIN pg_class AS r ON r.oid = t.attrelid AND r.relnamespace = to_regnamespace('pgherald')
CROSS JOIN LATERAL aclexplode(t.attacl) AS a
WHERE a.grantee <> to_regrole('pgherald_owner')

--! right-by-membership warning
--! Members of the server's roles for all data need no grant of ours: they read or write the journal
--! as they do every table.
SELECT m.member::regrole, 'it is a member of ' || m.roleid::regrole,
       format('REVOKE %s FROM %s;', m.roleid::regrole, m.member::regrole)
FROM pg_auth_members AS m
JOIN pg_roles AS r ON r.oid = m.member
WHERE m.roleid IN (to_regrole('pg_read_all_data'), to_regrole('pg_write_all_data'))
  AND NOT r.rolsuper

--! right-missing danger
--! The daemon needs this to read the journal, to prune it, or to look up who a token belongs to; or
--! pgherald_auth, to do that for it.
SELECT w.object, format('%s lacks %s', w.role, w.privilege),
       format('GRANT %s ON %s %s TO %s;', w.privilege, upper(w.kind), w.object, w.role)
FROM want_right AS w
WHERE w.kind <> 'column' AND (w.kind <> 'schema' OR w.object = 'pgherald')
  AND to_regrole(w.role) IS NOT NULL
  AND NOT EXISTS (SELECT FROM lookup AS l  -- see looks-late
                  WHERE l.signature = w.object AND l.others IS NOT NULL AND w.role = 'pgherald_owner')
  AND NOT CASE w.kind
      WHEN 'schema' THEN has_schema_privilege(to_regrole(w.role), to_regnamespace(w.object), w.privilege)
      WHEN 'function' THEN coalesce(has_function_privilege(to_regrole(w.role), to_regprocedure(w.object),
                                                           w.privilege), true)
      ELSE CASE (SELECT r.relkind FROM pg_class AS r WHERE r.oid = to_regclass(w.object))
           WHEN 'S' THEN has_sequence_privilege(to_regrole(w.role), to_regclass(w.object), w.privilege)
           ELSE coalesce(has_table_privilege(to_regrole(w.role), to_regclass(w.object), w.privilege), true) END
      END

--! joined-column danger
--! A function reads this column with the rights of this role. Without it every change is counted as lost
--! or told as "fetch again", or every token refused.
SELECT w.object || coalesce('.' || quote_ident(w.col), ''),
       CASE WHEN w.kind = 'schema' AND to_regnamespace(w.object) IS NULL
              OR w.kind = 'column' AND a.attnum IS NULL THEN 'it does not exist'
            ELSE format('%s lacks %s', w.role, w.privilege) END,
       CASE WHEN w.kind = 'schema' AND to_regnamespace(w.object) IS NOT NULL
            THEN format('GRANT USAGE ON SCHEMA %s TO %s;', w.object, w.role)
            WHEN a.attnum IS NOT NULL
            THEN format('GRANT SELECT (%I) ON %s TO %s;', w.col, w.object, w.role) END
FROM want_right AS w
LEFT JOIN pg_attribute AS a
  ON a.attrelid = to_regclass(w.object) AND a.attname = w.col AND a.attnum > 0
  AND NOT a.attisdropped
WHERE (w.kind = 'column' OR w.kind = 'schema' AND w.object <> 'pgherald')
  AND CASE w.kind
      WHEN 'schema' THEN NOT coalesce(has_schema_privilege(to_regrole(w.role), to_regnamespace(w.object),
                                                           'USAGE'), false)
                         AND NOT (w.role = 'pgherald_teller'
                                  AND EXISTS (SELECT FROM told
                                              WHERE told.teller <> to_regrole(w.role)
                                                AND has_schema_privilege(told.teller, to_regnamespace(w.object),
                                                                         'USAGE')))
      ELSE a.attnum IS NULL
           OR NOT has_column_privilege(to_regrole(w.role), a.attrelid, a.attnum, w.privilege)
              AND NOT (w.role = 'pgherald_teller'
                       AND EXISTS (SELECT FROM read JOIN told ON told.topic = read.topic
                                   WHERE read.oid = a.attrelid
                                     AND has_column_privilege(told.teller, a.attrelid, a.attnum, w.privilege))) END
  -- what a watched table lacks is a finding of its own
  AND NOT (w.kind = 'column' AND a.attnum IS NULL
           AND EXISTS (SELECT FROM watch AS x WHERE x.rel = w.object AND w.col = ANY (x.key || x.columns)))

--! right-beyond danger
--! What runs in the triggers or looks up tokens needs no more than the configuration names: this is what
--! somebody's code would have if it ever ran there.
SELECT x.rel, format('%s has %s', x.grantee::regrole, x.what),
       format('REVOKE %s ON %s FROM %s;', x.what, x.rel, x.grantee::regrole)
FROM (SELECT a.attrelid::regclass AS rel, acl.grantee, format('%s (%I)', acl.privilege_type, a.attname) AS what
      FROM pg_attribute AS a
      CROSS JOIN LATERAL aclexplode(a.attacl) AS acl
      WHERE NOT a.attisdropped
        AND NOT EXISTS (SELECT FROM want_right AS w
                        WHERE (to_regrole(w.role) = acl.grantee
                               OR w.role = 'pgherald_teller' AND acl.grantee IN (SELECT t.oid FROM teller AS t))
                          AND CASE w.kind WHEN 'column' THEN to_regclass(w.object) END = a.attrelid
                          AND w.col = a.attname AND w.privilege = acl.privilege_type)
      UNION ALL
      SELECT r.oid::regclass, acl.grantee, acl.privilege_type
      FROM pg_class AS r
      CROSS JOIN LATERAL aclexplode(r.relacl) AS acl
      WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f') AND r.relnamespace <> to_regnamespace('pgherald')) AS x
WHERE (x.grantee IN (to_regrole('pgherald_owner'), to_regrole('pgherald_teller'), to_regrole('pgherald_auth'),
                     to_regrole('pgherald_authorize'))
       OR x.grantee IN (SELECT t.oid FROM teller AS t))
  -- functions of a configuration that is gone, and tables that are, have findings of their own
  AND NOT EXISTS (SELECT FROM pg_proc AS p
                  WHERE p.pronamespace = to_regnamespace('pgherald')
                    AND NOT EXISTS (SELECT FROM want_function AS f WHERE f.oid = p.oid))
  AND NOT EXISTS (SELECT FROM joined AS j WHERE j.oid IS NULL)
  AND NOT EXISTS (SELECT FROM watch AS w WHERE w.oid IS NULL)

--! login-missing danger
--! The daemon cannot connect.
SELECT c->>'login', 'the role does not exist', 'pgherald sql install --apply'
FROM conf
WHERE NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = c->>'login')

--! login-rights danger
--! The daemon cannot connect.
SELECT r.rolname,
       CASE WHEN NOT r.rolcanlogin THEN 'it may not log in'
            ELSE 'it may not connect to database ' || current_database() END,
       CASE WHEN NOT r.rolcanlogin THEN format('ALTER ROLE %I LOGIN;', r.rolname)
            ELSE format('GRANT CONNECT ON DATABASE %I TO %I;', current_database(), r.rolname) END
FROM conf
JOIN pg_roles AS r ON r.rolname = c->>'login'
WHERE NOT r.rolcanlogin
   OR NOT has_database_privilege(r.oid, current_database(), 'CONNECT')

--! login-reader warning
--! pgherald_reader is of an earlier version: its members may read the journal, and look tokens up, in every
--! database of the cluster where that still is. Install this version there, too, and it goes away.
SELECT r.rolname, 'it is a member of pgherald_reader',
       format('REVOKE pgherald_reader FROM %I;', r.rolname)
FROM conf
JOIN pg_roles AS r ON r.rolname = c->>'login'
JOIN pg_auth_members AS m ON m.member = r.oid AND m.roleid = to_regrole('pgherald_reader')
GROUP BY 1

--! login-powers warning
--! The daemon needs to read the journal and nothing else; what it could do, somebody who takes it
--! over could do.
SELECT r.rolname, concat_ws(', ', CASE WHEN r.rolsuper THEN 'it is a superuser' END,
                            CASE WHEN r.rolcreaterole THEN 'it may make roles' END,
                            CASE WHEN r.rolbypassrls THEN 'it bypasses row level security' END),
       format('ALTER ROLE %I', r.rolname)
       || CASE WHEN r.rolsuper THEN ' NOSUPERUSER' ELSE '' END
       || CASE WHEN r.rolcreaterole THEN ' NOCREATEROLE' ELSE '' END
       || CASE WHEN r.rolbypassrls THEN ' NOBYPASSRLS' ELSE '' END || ';'
FROM conf
JOIN pg_roles AS r ON r.rolname = c->>'login'
WHERE r.rolsuper OR r.rolcreaterole OR r.rolbypassrls

--! dump notice
--! pg_dump by this role fails at pgherald's tables. One that may read all that the journal can hold is
--! granted to read them; another one leaves them out, or a superuser makes the dump.
SELECT d.rolname, 'it owns watched tables and cannot dump this database',
       CASE WHEN d.reads THEN 'pgherald sql install --apply' END
FROM dumper AS d
WHERE EXISTS (SELECT FROM pg_class AS r
              WHERE r.relnamespace = to_regnamespace('pgherald') AND r.relkind IN ('r', 'S')
                AND NOT CASE r.relkind WHEN 'S' THEN has_sequence_privilege(d.oid, r.oid, 'SELECT')
                                       ELSE has_table_privilege(d.oid, r.oid, 'SELECT') END)
   OR NOT has_schema_privilege(d.oid, 'pgherald', 'USAGE')
