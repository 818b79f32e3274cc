--# In front of the GRANTs of a piece. See core.sql for {{names}}.
-- What the functions below read besides the rows of the statement. Tables only: reading a view runs the
-- functions in it, with the rights of whoever reads.
DO $pgherald$
DECLARE
  other record;
BEGIN
  SELECT r.oid::regclass AS name, CASE r.relkind WHEN 'v' THEN 'view' WHEN 'f' THEN 'foreign table'
                                                 ELSE 'relation of another kind' END AS kind
  INTO other
  FROM unnest(ARRAY[{{tables}}]) AS t (name)
  JOIN pg_class AS r ON r.oid = to_regclass(t.name)
  WHERE r.relkind NOT IN ('r', 'p', 'm')
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION '% is a %: name the table behind it', other.name, other.kind;
  END IF;
END
$pgherald$;
