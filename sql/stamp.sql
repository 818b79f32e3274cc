--# Version and hash of function bodies, so that a change by hand can be found later.
DO $pgherald$
DECLARE
  f record;
BEGIN
  FOR f IN SELECT p.oid::pg_catalog.regprocedure AS name, pg_catalog.md5(p.prosrc) AS hash
           FROM pg_catalog.pg_proc AS p
           WHERE p.pronamespace = 'pgherald'::pg_catalog.regnamespace
             AND p.proname IN ({{functions}})
  LOOP
    EXECUTE pg_catalog.format('COMMENT ON FUNCTION %s IS %L', f.name,
                              'pgherald {{version}} md5 ' || f.hash);
  END LOOP;
END
$pgherald$;
