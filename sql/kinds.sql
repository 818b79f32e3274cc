--# In front of the GRANTs of a piece. See core.sql for {{names}}.
-- What the functions below read besides the rows of the statement. Tables only: reading a view runs the
-- functions in it, with the rights of whoever reads.
DO $pgherald$
DECLARE
  other record;
BEGIN
  WITH RECURSIVE part AS (
    SELECT to_regclass(t.name)::oid AS oid FROM unnest(ARRAY[{{tables}}]::text[]) AS t (name)
    UNION
    SELECT i.inhrelid FROM part JOIN pg_inherits AS i ON i.inhparent = part.oid)
  SELECT r.oid::regclass AS name, CASE r.relkind WHEN 'v' THEN 'view' WHEN 'f' THEN 'foreign table'
                                                 ELSE 'relation of another kind' END AS kind
  INTO other
  FROM part
  JOIN pg_class AS r ON r.oid = part.oid
  WHERE r.relkind NOT IN ('r', 'p', 'm')
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION '% is a %: name the table behind it', other.name, other.kind;
  END IF;
END
$pgherald$;
