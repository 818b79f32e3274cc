--# Before the end: a daemon that still runs asks nothing more here. See core.sql for {{names}}.
-- pgherald {{version}}: the daemon may use the schema pgherald no more
-- As soon as the schema has gone anybody who may make schemas could make another one by its name, and what
-- is asked there would be his code, as the daemon's role. So it loses its right first, and does not come back without.
{{begin}}
DO $pgherald$
BEGIN
  IF to_regnamespace('pgherald') IS NOT NULL AND to_regrole(quote_ident({{login_literal}})) IS NOT NULL THEN
    EXECUTE format('REVOKE USAGE ON SCHEMA pgherald FROM %I', {{login_literal}});
  END IF;
END
$pgherald$;
COMMIT;
