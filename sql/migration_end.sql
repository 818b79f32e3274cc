--# How the text for a migration ends: the leave of `pgherald sql roles` is given back. Only its own function
--# may be called: another one under that name would run with the rights of whoever migrates.
DO $pgherald$
BEGIN
  IF EXISTS (SELECT FROM pg_proc AS p
             JOIN pg_namespace AS n ON n.oid = p.pronamespace
             JOIN pg_roles AS o ON o.oid = p.proowner
             JOIN pg_roles AS r ON r.rolname = current_user
             WHERE n.nspname = 'pgherald_lent' AND p.proname = 'give_back' AND p.pronargs = 0
               AND p.prosecdef AND n.nspowner = p.proowner AND (o.rolsuper OR o.rolcreaterole)
               AND NOT r.rolsuper  -- who needs no leave
               AND current_setting('pgherald.leave', true) IS DISTINCT FROM 'keep'  -- another text follows
               AND has_schema_privilege(n.oid, 'USAGE') AND has_function_privilege(p.oid, 'EXECUTE')) THEN
    PERFORM pgherald_lent.give_back();
  END IF;
END
$pgherald$;
SELECT set_config('default_tablespace', current_setting('pgherald.was_tablespace'), true),
       set_config('lock_timeout', current_setting('pgherald.was_lock_timeout'), true),
       set_config('client_min_messages', current_setting('pgherald.was_messages'), true),
       set_config('search_path', current_setting('pgherald.was_search_path'), true);
