--# The journal: is it safe, is it kept short, does it still say everything?
--! loss warning
--! So many times a change could not be recorded. The application's statements succeeded and clients
--! were told to fetch again; the server's log has "pgherald: ... not recorded" with the reason. Mend
--! that first, then set the counter back while the daemon is stopped.
SELECT 'pgherald.loss', s.last_value || ' changes were not recorded',
       'ALTER SEQUENCE pgherald.loss RESTART;'
FROM pgherald.loss AS s
WHERE s.is_called

--! journal-unlogged danger
--! A crash of the server empties it, and clients that come back are not told what they missed.
SELECT r.oid::regclass, 'it is unlogged', format('ALTER TABLE %s SET LOGGED;', r.oid::regclass)
FROM pg_class AS r
WHERE r.relnamespace = to_regnamespace('pgherald') AND r.relpersistence = 'u' AND r.relkind = 'r'
  AND r.relname <> 'ticket'

--! journal-key danger
--! The daemon reads along the primary key; without it every poll reads the whole journal, and
--! positions are not unique.
SELECT 'pgherald.journal', 'it has no primary key (txid, id)',
       'ALTER TABLE pgherald.journal ADD PRIMARY KEY (txid, id);'
WHERE NOT EXISTS (SELECT FROM pg_index AS i
                  WHERE i.indrelid = to_regclass('pgherald.journal') AND i.indisprimary
                    AND ARRAY(SELECT a.attname::text
                              FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
                              JOIN pg_attribute AS a
                                ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                              ORDER BY k.place) = '{txid,id}')

--! journal-meddled danger
--! Triggers, rules and policies of others on our tables change what is recorded or who hears it.
SELECT r.oid::regclass, found.what, found.fix
FROM pg_class AS r
CROSS JOIN LATERAL (
  SELECT 'it has a trigger ' || t.tgname AS what,
         format('DROP TRIGGER %I ON %s;', t.tgname, r.oid::regclass) AS fix
  FROM pg_trigger AS t WHERE t.tgrelid = r.oid AND NOT t.tgisinternal
  UNION ALL
  SELECT 'it has a rule ' || w.rulename, format('DROP RULE %I ON %s;', w.rulename, r.oid::regclass)
  FROM pg_rewrite AS w WHERE w.ev_class = r.oid
  UNION ALL
  SELECT 'it has row level security',
         format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY;', r.oid::regclass)
  WHERE r.relrowsecurity) AS found
WHERE r.relnamespace = to_regnamespace('pgherald') AND r.relkind IN ('r', 'p')

--! autovacuum warning
--! What is pruned becomes free space only by VACUUM: the journal grows without end.
SELECT 'pgherald.journal', 'autovacuum is off for it',
       'ALTER TABLE pgherald.journal RESET (autovacuum_enabled, toast.autovacuum_enabled);'
FROM pg_class AS r
LEFT JOIN pg_class AS t ON t.oid = r.reltoastrelid
WHERE r.oid = to_regclass('pgherald.journal')
  AND EXISTS (SELECT FROM pg_options_to_table(coalesce(r.reloptions, '{}')
                                              || coalesce(t.reloptions, '{}')) AS o
              WHERE o.option_name = 'autovacuum_enabled' AND NOT o.option_value::boolean)

--! journal-old warning
--! Rows are deleted by the daemon when they are older than retention: it has not run for a while,
--! cannot prune, or a transaction that was begun before them is still open.
SELECT 'pgherald.journal',
       format('the oldest row is of %s, retention is %s', date_trunc('second', oldest.at),
              (c->>'retention_ms')::bigint * interval '1 millisecond'),
       'pgherald sql prune --apply'
FROM conf
CROSS JOIN LATERAL (SELECT j.at FROM pgherald.journal AS j ORDER BY j.txid, j.id LIMIT 1) AS oldest
WHERE (c->>'retention_ms')::bigint > 0
  AND oldest.at < clock_timestamp()
                  - (c->>'retention_ms')::bigint * interval '1 millisecond' - interval '15 minutes'

--! journal-big warning
--! The journal takes more room than it is allowed to. The daemon would have deleted the oldest rows:
--! it has not run, or a transaction that is open for long keeps them.
SELECT 'pgherald.journal',
       format('%s, limit %s', pg_size_pretty(pg_total_relation_size('pgherald.journal')),
              pg_size_pretty((c->>'journal_size')::bigint)),
       'pgherald sql prune --apply'
FROM conf
WHERE pg_total_relation_size('pgherald.journal') > (c->>'journal_size')::bigint
  -- after a flood the file stays as large as it was, but is mostly empty
  AND pg_total_relation_size('pgherald.journal') > (SELECT m.stop_bytes FROM pgherald.meta AS m)

--! journal-closed danger
--! The journal has reached its limit, and changes are not recorded any more: each is counted as a
--! loss, and clients are told to fetch again.
SELECT 'pgherald.journal', 'it is closed: its sequence of ids stands at its end',
       'pgherald sql prune --apply'
FROM (SELECT CASE WHEN has_sequence_privilege('pgherald.journal_id_seq', 'SELECT')  -- the daemon may not look
                  THEN pg_sequence_last_value('pgherald.journal_id_seq') END AS at) AS seq
WHERE seq.at = 9223372036854775807

--! journal-limit warning
--! The triggers go by this value, and the daemon by its configuration.
SELECT 'pgherald.meta', format('max_bytes is %s, journal_size is %s', m.max_bytes,
                               c->>'journal_size'),
       format('UPDATE pgherald.meta SET max_bytes = %1$s, stop_bytes = %1$s;', c->>'journal_size')
FROM conf, pgherald.meta AS m
WHERE m.max_bytes <> (c->>'journal_size')::bigint

--! journal-future danger
--! These rows have transaction numbers that this server has not reached: they came from another one,
--! by dump and restore. They would be told late or never, and are never pruned.
SELECT 'pgherald.journal', count(*) || ' rows are of transactions that are yet to come',
       format('DELETE FROM pgherald.journal WHERE txid >= %s;', now_at.xmax)
FROM (SELECT txid_snapshot_xmax(txid_current_snapshot()) AS xmax) AS now_at
JOIN pgherald.journal AS j ON j.txid >= now_at.xmax
GROUP BY now_at.xmax

--! floor danger
--! The floor says up to which transaction rows may be gone. It is ahead of this server, so every
--! client that comes back must fetch everything again.
SELECT 'pgherald.meta', format('floor %s, the next transaction is %s', m.floor_txid, now_at.xmax),
       'UPDATE pgherald.meta SET floor_txid = pg_catalog.txid_snapshot_xmin('
       || 'pg_catalog.txid_current_snapshot()) - 1;'
FROM pgherald.meta AS m,
     (SELECT txid_snapshot_xmax(txid_current_snapshot()) AS xmax) AS now_at
WHERE m.floor_txid >= now_at.xmax
