--# A part of refuse.sql and way.sql: what a table with triggers of ours must not have.
DO $pgherald$
DECLARE
  found text;
BEGIN
  -- PostgreSQL cannot show a trigger the rows of a foreign table: it refuses the statement.
  WITH RECURSIVE part AS (
    SELECT r.oid, r.relnamespace, r.relname, r.relkind
    FROM pg_catalog.pg_namespace AS n
    JOIN pg_catalog.pg_class AS r ON r.relnamespace = n.oid
    WHERE n.nspname = {{schema_literal}} AND r.relname = {{name_literal}}
    UNION ALL
    SELECT r.oid, r.relnamespace, r.relname, r.relkind
    FROM part
    JOIN pg_catalog.pg_inherits AS i ON i.inhparent = part.oid
    JOIN pg_catalog.pg_class AS r ON r.oid = i.inhrelid)
  SELECT pg_catalog.string_agg(pg_catalog.format('%I.%I', n.nspname, part.relname), ', ') INTO found
  FROM part
  JOIN pg_catalog.pg_namespace AS n ON n.oid = part.relnamespace
  WHERE part.relkind = 'f';
  IF found IS NOT NULL THEN
    RAISE EXCEPTION 'watch {{topic}}: % cannot be watched while the foreign table % is a part of it: '
      'PostgreSQL would refuse the statements that write to it', {{table_literal}}, found;
  END IF;
END
$pgherald$;
