--# The triggers of the watched tables.
--! trigger-missing danger
--! Changes of this kind are not recorded.
SELECT t.rel, 'there is no trigger ' || t.name, t.def || ';'
FROM want_trigger AS t
WHERE t.relid IS NOT NULL
  AND NOT EXISTS (SELECT FROM pg_trigger AS h WHERE h.tgrelid = t.relid AND h.tgname = t.name)

--! trigger-disabled danger
--! Changes of this kind are not recorded while the trigger is off.
SELECT t.rel,
       CASE h.tgenabled WHEN 'D' THEN format('trigger %s is disabled', t.name)
            ELSE format('trigger %s fires in replica sessions only', t.name) END,
       format('ALTER TABLE %s ENABLE TRIGGER %I;', t.rel, t.name)
FROM want_trigger AS t
JOIN pg_trigger AS h ON h.tgrelid = t.relid AND h.tgname = t.name
WHERE h.tgenabled NOT IN ('O', 'A')

--! trigger-differs danger
--! A trigger of our name does something else: changes are recorded wrongly or not at all.
SELECT t.rel, format('trigger %s is %s', t.name, pg_get_triggerdef(h.oid)),
       format('DROP TRIGGER %I ON %s; %s;', t.name, t.rel, t.def)
FROM want_trigger AS t
JOIN pg_trigger AS h ON h.tgrelid = t.relid AND h.tgname = t.name
WHERE replace(pg_get_triggerdef(h.oid), '"', '') <> replace(t.def, '"', '')

--! trigger-unknown warning
--! A table calls us that this configuration does not watch: its changes are recorded for nobody.
SELECT h.tgrelid::regclass, format('trigger %s calls %s', h.tgname, h.tgfoid::regprocedure),
       format('DROP TRIGGER %I ON %s;', h.tgname, h.tgrelid::regclass)
FROM pg_trigger AS h
JOIN want_function AS f ON f.oid = h.tgfoid  -- an unknown function has a finding of its own
WHERE NOT h.tgisinternal
  AND h.tgparentid = 0
  AND NOT EXISTS (SELECT FROM want_trigger AS t WHERE t.relid = h.tgrelid AND t.name = h.tgname)
  -- a watched table that was renamed has one, too
  AND NOT EXISTS (SELECT FROM watch AS w WHERE w.fn = h.tgfoid AND w.oid IS NULL)

--! event-trigger warning
--! pgherald has no event trigger: somebody made it to run our functions with the owner's rights.
SELECT e.evtname, 'the event trigger calls ' || e.evtfoid::regprocedure,
       format('DROP EVENT TRIGGER %I;', e.evtname)
FROM pg_event_trigger AS e
JOIN pg_proc AS p ON p.oid = e.evtfoid
WHERE p.pronamespace = to_regnamespace('pgherald')
   OR p.proowner IN (to_regrole('pgherald_owner'), to_regrole('pgherald_teller'), to_regrole('pgherald_auth'),
                     to_regrole('pgherald_authorize'))
   OR p.proowner IN (SELECT t.oid FROM teller AS t)

--! replica-role danger
--! Sessions that begin with session_replication_role = replica fire no ordinary trigger: what they
--! write is not recorded.
SELECT CASE WHEN s.setrole <> 0 THEN 'role ' || s.setrole::regrole ELSE 'database' END
       || CASE WHEN s.setrole <> 0 AND s.setdatabase <> 0 THEN ' in this database' ELSE '' END,
       setting,
       CASE WHEN s.setrole = 0 THEN format('ALTER DATABASE %I', current_database())
            ELSE format('ALTER ROLE %s', s.setrole::regrole)
                 || CASE WHEN s.setdatabase <> 0 THEN format(' IN DATABASE %I', current_database())
                    ELSE '' END END
       || ' RESET session_replication_role;'
FROM pg_db_role_setting AS s
CROSS JOIN unnest(s.setconfig) AS setting
WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_database AS d
                            WHERE d.datname = current_database()))
  AND setting = 'session_replication_role=replica'
