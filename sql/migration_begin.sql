--# How the text for a migration begins: the transaction is the migration tool's, which goes on afterwards
--# with the settings that it had.
-- pgherald {{version}}: for a migration, within its transaction
SELECT pg_catalog.set_config('pgherald.was_search_path', pg_catalog.current_setting('search_path'), true),
       pg_catalog.set_config('pgherald.was_tablespace', pg_catalog.current_setting('default_tablespace'), true),
       pg_catalog.set_config('pgherald.was_lock_timeout', pg_catalog.current_setting('lock_timeout'), true),
       pg_catalog.set_config('pgherald.was_messages', pg_catalog.current_setting('client_min_messages'), true),
       pg_catalog.set_config('pgherald.was_role', pg_catalog.current_setting('role'), true);
SET LOCAL search_path = pg_catalog, pg_temp;
DO $pgherald$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY[{{owner_literals}}] LOOP
    IF (CASE WHEN to_regrole(name) IS NOT NULL THEN pg_has_role(current_user, name, 'USAGE') END)
       OR EXISTS (SELECT FROM pg_roles AS r
                  WHERE r.rolname = current_user AND (r.rolsuper OR r.rolcreaterole)) THEN
      CONTINUE;
    END IF;
    RAISE insufficient_privilege
      USING MESSAGE = format('the role %I may not put pgherald into this database: it is no member of %s',
                             current_user, name),
            HINT = format('An administrator of the database runs once what "pgherald sql roles --for %s" prints.',
                          current_user);
  END LOOP;
END
$pgherald$;
