--# The end of functions that read tables of the application. See core.sql for {{names}}.
-- A table may become a view later: these functions then fail, where the server has a word for it.
DO $pgherald$
DECLARE
  f regprocedure;
BEGIN
  IF current_setting('restrict_nonsystem_relation_kind', true) IS NOT NULL THEN
    FOR f IN SELECT p.oid FROM pg_proc AS p
             WHERE p.pronamespace = 'pgherald'::regnamespace AND p.proname IN ({{functions}}) LOOP
      EXECUTE format('ALTER FUNCTION %s SET restrict_nonsystem_relation_kind = %L', f, 'view, foreign-table');
    END LOOP;
  END IF;
END
$pgherald$;
