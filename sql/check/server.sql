--# The server, and what stands between it and us.
--! pooler warning
--! Something stands between this program and the server, such as PgBouncer. Where it pools
--! transactions, LISTEN does not work and the daemon has only its poll: give it a direct connection.
SELECT c->>'pid', 'the server knows this connection as ' || pg_backend_pid(), NULL
FROM conf
WHERE (c->>'pid')::int <> pg_backend_pid()

--! prepared-old warning
--! A prepared transaction that nobody ends holds its locks, keeps the journal from being pruned and
--! what it wrote from being told.
SELECT x.gid, format('prepared by %s at %s', x.owner, date_trunc('second', x.prepared)), NULL
FROM conf, pg_prepared_xacts AS x
WHERE x.database = current_database()
  AND x.prepared < clock_timestamp()
                   - least(interval '10 minutes',
                           nullif((c->>'retention_ms')::bigint, 0) * interval '1 millisecond')

--! prepared-possible notice
--! The server refuses to prepare a transaction that has sent a NOTIFY. With doorbell = auto writers
--! therefore never ring here, and the daemon hears of a change by its poll; with doorbell = notify, or
--! capture = notify, two-phase commits that write to watched tables can fail.
SELECT 'max_prepared_transactions',
       format('it is %s, and doorbell = %s', current_setting('max_prepared_transactions'),
              c->>'doorbell'), NULL
FROM conf
WHERE current_setting('max_prepared_transactions')::int > 0 AND c->>'doorbell' <> 'poll'

--! notify-queue warning
--! A session that listens and stays in a transaction holds the queue of notifications. When it is
--! full, commits that notify fail; from one half on ours do not ring any more, and the daemon polls.
SELECT 'notification queue', round(pg_notification_queue_usage()::numeric * 100) || ' % full',
       NULL
WHERE pg_notification_queue_usage() > 0.1

--! server-version notice
--! This minor version removes transaction status that the notification queue still needs: LISTEN
--! can fail with "could not access status of transaction". The daemon then polls; update the server.
SELECT 'server', current_setting('server_version'), NULL
FROM (SELECT current_setting('server_version_num')::int AS n) AS v
WHERE n < 140021 OR n BETWEEN 150000 AND 150015 OR n BETWEEN 160000 AND 160011
   OR n BETWEEN 170000 AND 170007 OR n BETWEEN 180000 AND 180001

--! temp-files notice
--! A statement that changes more rows of a watched table than fit into work_mem writes them to
--! temporary files for our triggers, as a sort would, and fails when these grow beyond temp_file_limit.
--! Give such a session more work_mem, or uninstall the watch before it: DISABLE TRIGGER is not enough.
SELECT l.whose, 'temp_file_limit is ' || l.amount, NULL
FROM (SELECT 'server' AS whose, current_setting('temp_file_limit') AS amount
      UNION ALL
      SELECT CASE WHEN s.setrole <> 0 THEN 'role ' || s.setrole::regrole ELSE 'database' END,
             split_part(setting, '=', 2)
      FROM pg_db_role_setting AS s
      CROSS JOIN unnest(s.setconfig) AS setting
      WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()))
        AND setting LIKE 'temp\_file\_limit=%') AS l
WHERE l.amount <> '-1'

--! commits-unflushed warning
--! A commit is seen, and told, before it is safe: when the server crashes, changes that clients have been
--! told of are gone, and those that get their numbers then are not told to clients that come back. Let the
--! application's sessions that write to watched tables commit with synchronous_commit = on.
SELECT l.whose, 'synchronous_commit is off', NULL
FROM (SELECT 'server' AS whose, current_setting('synchronous_commit') AS value
      UNION ALL
      SELECT CASE WHEN s.setrole <> 0 THEN 'role ' || s.setrole::regrole ELSE 'database' END,
             split_part(setting, '=', 2)
      FROM pg_db_role_setting AS s
      CROSS JOIN unnest(s.setconfig) AS setting
      WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()))
        AND setting LIKE 'synchronous\_commit=%') AS l
WHERE lower(l.value) IN ('off', 'false', 'no', '0')

--! published danger
--! Subscribers get the journal as well: where there is no pgherald they stop with an error, and where
--! there is one, its clients are told what happened here. Name the tables to publish, or their schemas.
SELECT 'publication ' || quote_ident(p.pubname),
       CASE WHEN p.puballtables THEN 'it is FOR ALL TABLES'
            ELSE 'it has ' || string_agg(t.tablename::text, ', ' ORDER BY t.tablename) END,
       CASE WHEN count(r.prrelid) = count(*) THEN
         format('ALTER PUBLICATION %I DROP TABLE %s;', p.pubname,
                string_agg(format('pgherald.%I', t.tablename), ', ' ORDER BY t.tablename)) END
FROM pg_publication AS p
JOIN pg_publication_tables AS t ON t.pubname = p.pubname AND t.schemaname = 'pgherald'
LEFT JOIN pg_publication_rel AS r
  ON r.prpubid = p.oid AND r.prrelid = to_regclass(format('pgherald.%I', t.tablename))
GROUP BY p.oid, p.pubname, p.puballtables

--! lock-held warning
--! Daemons and writers agree by advisory locks, which any role of the database may hold. They are tried and
--! never waited for: while somebody else holds one, events come by the poll.
SELECT format('advisory lock (%s, %s)', l.classid, l.objid),
       format('process %s of role %s holds it', l.pid, coalesce(a.usename, '?'))
       || coalesce(format(' (%s)', nullif(a.application_name, '')), ''),
       format('SELECT pg_catalog.pg_terminate_backend(%s);', l.pid)
FROM conf
JOIN pg_locks AS l ON l.locktype = 'advisory' AND l.classid = 1885825394 AND l.objsubid = 2 AND l.granted
  AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE a.usename IS DISTINCT FROM c->>'login'
