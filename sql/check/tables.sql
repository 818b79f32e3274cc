--# The watched tables, and those whose columns go into their documents.
--! table-missing danger
--! The table that a watch names is gone, renamed or in another schema. Its triggers went along with
--! it, and a later install would stop here.
SELECT w.rel,
       coalesce('it is now ' || (SELECT string_agg(DISTINCT h.tgrelid::regclass::text, ', ')
                                 FROM pg_trigger AS h WHERE h.tgfoid = w.fn)
                || ': change table in [watch ' || w.topic || ']',
                'it does not exist: take [watch ' || w.topic || '] out of the configuration'),
       NULL
FROM watch AS w
WHERE w.oid IS NULL

--! column-missing danger
--! The document would say null for this column; a missing key loses every change.
SELECT w.rel, 'there is no column ' || quote_ident(wanted.name), NULL
FROM watch AS w
CROSS JOIN LATERAL (SELECT unnest(w.key || w.columns) AS name) AS wanted
WHERE w.oid IS NOT NULL
  AND NOT EXISTS (SELECT FROM pg_attribute AS a
                  WHERE a.attrelid = w.oid AND a.attname = wanted.name AND a.attnum > 0
                    AND NOT a.attisdropped)
GROUP BY 1, 2

--! key-not-unique danger
--! Nothing says that the key identifies one row: two rows could be taken for one.
SELECT w.rel, 'no unique index on ' || array_to_string(w.key, ', '),
       format('CREATE UNIQUE INDEX CONCURRENTLY ON %s (%s);', w.rel,
              (SELECT string_agg(quote_ident(k), ', ') FROM unnest(w.key) AS k))
FROM watch AS w
JOIN pg_class AS r ON r.oid = w.oid AND r.relkind IN ('r', 'p')
WHERE NOT EXISTS (
    SELECT FROM pg_index AS i
    WHERE i.indrelid = w.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
      AND ARRAY(SELECT a.attname::text FROM pg_attribute AS a
                WHERE a.attrelid = i.indrelid
                  AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])) <@ w.key
      AND 0 <> ALL (i.indkey::int2[]))
  -- a missing key column is a finding of its own
  AND NOT EXISTS (SELECT FROM unnest(w.key) AS k
                  WHERE NOT EXISTS (SELECT FROM pg_attribute AS a
                                    WHERE a.attrelid = w.oid AND a.attname = k
                                      AND NOT a.attisdropped))

--! table-kind danger
--! Only tables fire statement triggers with transition tables: watch the table behind it.
SELECT w.rel, CASE r.relkind WHEN 'v' THEN 'it is a view' WHEN 'm' THEN 'it is a materialized view'
                             WHEN 'f' THEN 'it is a foreign table' ELSE 'it is no table' END, NULL
FROM watch AS w
JOIN pg_class AS r ON r.oid = w.oid
WHERE r.relkind NOT IN ('r', 'p')

--! foreign-part danger
--! PostgreSQL cannot show a trigger the rows of a foreign table: with our triggers in place it refuses
--! the application's statements that write to it through this table. Stop watching the table; one of tokens,
--! users, groups or sessions must not have such a part.
SELECT w.rel, format('the foreign table %s is a part of it', part.oid::regclass),
       'pgherald sql uninstall --watch ' || w.topic || ' --apply'
FROM (SELECT w.topic, w.rel, w.oid FROM watch AS w
      UNION
      SELECT y.topic, y.rel, to_regclass(y.rel) FROM way AS y WHERE y.follow
      UNION
      SELECT NULL, t.rel, t.relid FROM want_trigger AS t WHERE t.name ~ '^zz_pgherald_auth_') AS w
CROSS JOIN LATERAL (WITH RECURSIVE below AS (
                      SELECT w.oid
                      UNION ALL
                      SELECT i.inhrelid FROM below JOIN pg_inherits AS i ON i.inhparent = below.oid)
                    SELECT r.oid FROM below JOIN pg_class AS r ON r.oid = below.oid
                    WHERE r.relkind = 'f') AS part

--! utc-type danger
--! Each change would be told as "fetch again": ::utc is for a column that is a time.
SELECT c.rel, format('column %I is of type %s', c.name, format_type(a.atttypid, NULL)), NULL
FROM watch AS w
CROSS JOIN LATERAL jsonb_to_recordset(w.utc_columns) AS c (rel text, name text)
JOIN pg_attribute AS a ON a.attrelid = to_regclass(c.rel) AND a.attname = c.name
CROSS JOIN LATERAL (WITH RECURSIVE base AS (
                      SELECT t.oid, t.typbasetype FROM pg_type AS t WHERE t.oid = a.atttypid
                      UNION ALL
                      SELECT t.oid, t.typbasetype FROM base JOIN pg_type AS t ON t.oid = base.typbasetype)
                    SELECT base.oid FROM base WHERE base.typbasetype = 0) AS b
WHERE b.oid <> ALL ('{timestamptz,timestamp,date}'::regtype[])
GROUP BY 1, 2

--! virtual-column danger
--! PostgreSQL computes a virtual column when it is read, and not for triggers: each change would be told as "fetch
--! again" or with null, and an end of rights would be noticed by recheck only. Make it STORED, or name another one.
SELECT c.rel, format('column %I is virtual', c.col), NULL
FROM (SELECT w.oid, w.rel, col FROM watch AS w CROSS JOIN LATERAL unnest(w.columns) AS u (col)
      UNION
      SELECT to_regclass(y.rel), y.rel, u.col
      FROM way AS y CROSS JOIN LATERAL unnest(ARRAY[y.key, y.value]) AS u (col)
      WHERE y.follow
      UNION
      SELECT CASE r.kind WHEN 'column' THEN to_regclass(r.object) END, r.object, r.col
      FROM want_right AS r
      WHERE r.kind = 'column' AND r.role = 'pgherald_auth') AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = c.col
WHERE a.attgenerated = 'v'

--! partitioned notice
--! What is written through this table is recorded. A statement that names a partition directly
--! fires only that partition's triggers, and is not.
SELECT w.rel, format('it has %s partitions', (SELECT count(*) FROM pg_inherits AS i
                                              WHERE i.inhparent = w.oid)), NULL
FROM watch AS w
JOIN pg_class AS r ON r.oid = w.oid
WHERE r.relkind = 'p'

--! partition warning
--! Statements that name the parent do not fire this table's triggers: watch the parent.
SELECT w.rel, 'it is a part of ' || i.inhparent::regclass, NULL
FROM watch AS w
JOIN pg_inherits AS i ON i.inhrelid = w.oid

--! unlogged-table warning
--! A crash of the server empties an unlogged table, and nobody is told.
SELECT w.rel, 'it is unlogged', format('ALTER TABLE %s SET LOGGED;', w.rel)
FROM watch AS w
JOIN pg_class AS r ON r.oid = w.oid
WHERE r.relpersistence = 'u'

--! rls-watched notice
--! Policies do not filter events: who may hear of a row is decided by its owner columns and the
--! [role] sections alone. A transaction that writes more than once of a row is told as "fetch again" while
--! pgherald_teller has no BYPASSRLS: no policy is run for it.
SELECT w.rel, 'it has row level security', NULL
FROM watch AS w
JOIN pg_class AS r ON r.oid = w.oid
WHERE r.relrowsecurity

--! rls-joined danger
--! Our functions run no policy of anybody: where one would apply they fail. Changes are told as "fetch again", or
--! every token is refused.
SELECT j.rel, 'it has row level security, to which ' || j.role || ' is subject',
       format('ALTER ROLE %s BYPASSRLS;', j.role)
FROM joined AS j
JOIN pg_class AS r ON r.oid = j.oid
JOIN pg_roles AS u ON u.oid = to_regrole(j.role)
WHERE j.looks AND r.relrowsecurity AND NOT u.rolbypassrls

--! owners-unfollowed notice
--! A change of this table changes who owns rows of another one, and nobody is told: who gains a row does not
--! hear of it, who loses one keeps it on his screen. In the configuration, follow = yes says who comes and goes.
SELECT y.rel, format('it decides who owns rows of [watch %s]; follow = yes there tells them', y.topic),
       NULL
FROM way AS y
WHERE NOT y.follow
  AND NOT EXISTS (SELECT FROM watch AS w
                  WHERE w.oid = to_regclass(y.rel) AND y.topic = ANY (w.rescope) AND y.value = ANY (w.owners))
GROUP BY y.rel, y.topic

--! way-index warning
--! Rows are looked for by this column when owners have changed on the way to them. Without an index nobody looks
--! back: those concerned are told to fetch again; and on each event the table is read as a whole for its owners.
SELECT i.rel, format('no index begins with %I, by which [watch %s] is followed', i.col, i.topic),
       format('CREATE INDEX CONCURRENTLY ON %s (%I);', i.rel, i.col)
FROM (SELECT y.topic, y.back_rel AS rel, y.back AS col FROM way AS y WHERE y.follow
      UNION
      SELECT y.topic, y.rel, y.key FROM way AS y WHERE y.follow) AS i
JOIN pg_attribute AS a ON a.attrelid = to_regclass(i.rel) AND a.attname = i.col AND NOT a.attisdropped
WHERE NOT EXISTS (SELECT FROM pg_index AS x
                  WHERE x.indrelid = a.attrelid AND x.indkey[0] = a.attnum AND x.indisvalid AND x.indpred IS NULL)

--! children notice
--! What is written into a child by its own name is not recorded: a statement fires the triggers of
--! the table it names. Write through the parent, or watch the children, too.
SELECT w.rel, format('%s %s inherit%s from it', count(*), CASE count(*) WHEN 1 THEN 'table' ELSE 'tables' END,
                     CASE count(*) WHEN 1 THEN 's' ELSE '' END), NULL
FROM watch AS w
JOIN pg_class AS r ON r.oid = w.oid AND r.relkind = 'r'
JOIN pg_inherits AS i ON i.inhparent = r.oid
GROUP BY w.rel

--! foreign-code warning
--! PostgreSQL computes constant parts of an index, a constraint or a partition key whenever a statement on the
--! table is planned, with the rights of whoever plans it: who owns this function could run code as our
--! role, and have what that may read; what else it did would be undone. Give the function to a superuser, or trust its
--! owner with that.
SELECT DISTINCT CASE WHEN below.oid = j.oid THEN j.rel ELSE below.oid::regclass::text END,
       format('%s calls %s, a function of %s; %s reads this table', pg_describe_object(d.classid, d.objid, d.objsubid),
              p.oid::regprocedure, p.proowner::regrole, j.role),
       format('ALTER FUNCTION %s OWNER TO %I;', p.oid::regprocedure,
              (SELECT u.rolname FROM pg_roles AS u WHERE u.oid = 10))
FROM joined AS j
CROSS JOIN LATERAL (WITH RECURSIVE part AS (
                      SELECT j.oid
                      UNION
                      SELECT i.inhrelid FROM part JOIN pg_inherits AS i ON i.inhparent = part.oid)
                    SELECT part.oid FROM part) AS below
CROSS JOIN LATERAL (
  SELECT 'pg_class'::regclass AS classid, below.oid AS objid
  UNION ALL
  SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index AS i WHERE i.indrelid = below.oid
  UNION ALL
  SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint AS k WHERE k.conrelid = below.oid
  UNION ALL
  SELECT 'pg_statistic_ext'::regclass, s.oid FROM pg_statistic_ext AS s WHERE s.stxrelid = below.oid) AS part
JOIN pg_depend AS d ON d.classid = part.classid AND d.objid = part.objid
LEFT JOIN pg_operator AS o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
JOIN pg_proc AS p ON p.oid = CASE d.refclassid WHEN 'pg_proc'::regclass THEN d.refobjid ELSE o.oprcode END
JOIN pg_roles AS r ON r.oid = p.proowner
WHERE NOT r.rolsuper

--! teller-shared danger
--! Who owns a table that is read, or a part of it, can run code as the role that reads it: here it could read what
--! is read for watches whose tables are another role's. A table has changed its owner, or got a part.
SELECT t.teller::regrole, 'it tells of ' || string_agg(
         format('watch %s (tables of %s)', t.topic, coalesce(nullif(t.owners, ''), 'superusers')), ', ' ORDER BY t.topic),
       'pgherald sql install --apply'
FROM told AS t
GROUP BY t.teller
HAVING count(DISTINCT t.owners) > 1

--! owners-mixed warning
--! What is told of this watch stands in tables of several roles. Each of them can run code that reads what the
--! watch has of the others' while one of its rows is told; no other watch's. Let one role own them, or a superuser,
--! or name no columns of the one in watches on tables of the other.
SELECT w.rel, format('watch %s reads tables of %s', w.topic, t.owners), NULL
FROM (SELECT DISTINCT told.topic, told.owners FROM told WHERE strpos(told.owners, ', ') > 0) AS t
JOIN watch AS w ON w.topic = t.topic

--! looks-early danger
--! This is looked up in the session of whoever writes, and planned there on a table of somebody who could run code
--! of his as he does: it could read from the writer's cursors, replace a prepared statement of his, or keep him
--! waiting. A table has changed its owner.
SELECT l.rel, format('%s looks at tables of %s', l.oid::regprocedure, l.others), 'pgherald sql install --apply'
FROM lookup AS l
WHERE l.oid IS NOT NULL AND l.others IS NOT NULL AND NOT l.notify
  AND has_function_privilege('pgherald_owner', l.oid, 'EXECUTE')

--! looks-inline warning
--! With capture = notify what stands in other tables is looked up in the session of whoever writes, and the owners
--! of these tables can run code there: it could read from the writer's cursors, replace a prepared statement of
--! his, or keep him waiting. Use capture = journal, or trust them with that.
SELECT l.rel, format('%s looks at tables of %s', l.oid::regprocedure, l.others), NULL
FROM lookup AS l
WHERE l.oid IS NOT NULL AND l.others IS NOT NULL AND l.notify

--! auth-owners danger
--! Who owns one of these tables, or a part of it, can run code that reads what pgherald_auth reads of the others':
--! tokens, hashes of passwords. Let one role own all of them, or a superuser; or name them as trusted_owners.
SELECT 'pgherald_auth', 'it reads tables of ' || string_agg(DISTINCT u.rolname::text, ', '), NULL
FROM auth_part AS a
JOIN pg_class AS r ON r.oid = a.oid
JOIN pg_roles AS u ON u.oid = r.relowner
HAVING count(DISTINCT CASE WHEN NOT u.rolsuper THEN u.oid END) + max(u.rolsuper::int) > 1
   AND NOT bool_and(u.rolsuper OR EXISTS (SELECT FROM conf, jsonb_array_elements_text(c->'trusted_owners') AS t (name)
                            WHERE t.name = u.rolname))

--! joined-kind danger
--! Reading a view runs the functions in it, a foreign table asks somebody's server: our functions do neither
--! where PostgreSQL can be told so, and fail; where not, its owner has what our role may read.
SELECT CASE WHEN r.oid = j.oid THEN j.rel ELSE r.oid::regclass::text END,
       CASE r.relkind WHEN 'v' THEN 'it is a view' ELSE 'it is a foreign table' END
       || CASE WHEN r.oid = j.oid THEN '' ELSE ' and a part of ' || j.rel END || ', and ' || j.role || ' would read it', NULL
FROM joined AS j
CROSS JOIN LATERAL (WITH RECURSIVE below AS (
                      SELECT j.oid
                      UNION
                      SELECT i.inhrelid FROM below JOIN pg_inherits AS i ON i.inhparent = below.oid)
                    SELECT below.oid FROM below) AS part
JOIN pg_class AS r ON r.oid = part.oid
WHERE r.relkind IN ('v', 'f')
  AND (r.oid = j.oid OR j.looks)  -- a part of a watched table is a finding of its own

--! open-type warning
--! Who owns this type may add casts to it: our functions read such values by their output function or not at
--! all. Written as ::text in fields it is no trouble; a key, an owner or a column of tokens, users and groups
--! should be of a type of PostgreSQL's, or of a superuser's.
SELECT c.rel, format('column %I is of type %s, which belongs to %s', c.name, format_type(a.atttypid, NULL),
                     t.typowner::regrole),
       format('ALTER TYPE %s OWNER TO %I;', format_type(a.atttypid, NULL),
              (SELECT u.rolname FROM pg_roles AS u WHERE u.oid = 10))
FROM (SELECT r.object AS rel, r.col AS name, r.kind FROM want_right AS r
      WHERE r.kind = 'column' AND r.role = 'pgherald_auth') AS c
JOIN pg_attribute AS a ON a.attrelid = CASE c.kind WHEN 'column' THEN to_regclass(c.rel) END AND a.attname = c.name
JOIN pg_type AS t ON t.oid = a.atttypid
JOIN pg_roles AS u ON u.oid = t.typowner
WHERE a.atttypid >= 16384 AND NOT u.rolsuper
