--# What `upgrade` grants. See core.sql for {{names}}.
-- What the functions read besides the rows of the statement, where it is not granted yet: a GRANT that
-- changes nothing locks the table, on newer servers.
DO $pgherald$
DECLARE
  r record;
BEGIN
  FOR r IN SELECT w.role, w.object, w.col, a.attnum, a.attrelid
           FROM (SELECT coalesce(CASE WHEN v.role = 'pgherald_teller' THEN (
                                   -- or who has taken its place, where the tables are not one role's
                                   SELECT min(p.proowner::regrole::text) FROM pg_proc AS p
                                   WHERE p.oid IN (SELECT to_regprocedure(f.name) FROM unnest(ARRAY[
                                                     {{functions}}]::text[]) AS f (name))
                                     AND p.proowner::regrole::text ~ '^pgherald_teller_') END, v.role),
                        v.object, v.col
                 FROM (VALUES
                   {{rights}}
                   (NULL, NULL, NULL)) AS v (role, object, col)) AS w (role, object, col)
           LEFT JOIN pg_attribute AS a
             ON a.attrelid = to_regclass(w.object) AND a.attname = w.col AND NOT a.attisdropped
           WHERE w.role IS NOT NULL
  LOOP
    IF r.col IS NULL THEN
      IF NOT has_schema_privilege(r.role, to_regnamespace(r.object), 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %s TO %I', r.object, r.role);
      END IF;
    ELSIF r.attnum IS NULL THEN
      RAISE EXCEPTION 'there is no column % of %, which a function reads', r.col, r.object;
    ELSIF NOT has_column_privilege(r.role, r.attrelid, r.attnum, 'SELECT') THEN
      EXECUTE format('GRANT SELECT (%I) ON %s TO %I', r.col, r.object, r.role);
    END IF;
  END LOOP;
END
$pgherald$;
