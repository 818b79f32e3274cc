--# In front of the GRANTs of a piece whose triggers see these columns. See core.sql for {{names}}.
-- PostgreSQL (18) computes a virtual column when it is read, and not for triggers: they would see null, or fail.
DO $pgherald$
DECLARE
  virtual text;
BEGIN
  SELECT format('%s.%I', a.attrelid::regclass, a.attname) INTO virtual
  FROM (VALUES
          {{columns}}
          (NULL, NULL)) AS c (name, att)
  JOIN pg_attribute AS a ON a.attrelid = to_regclass(c.name) AND a.attname = c.att
  WHERE a.attgenerated = 'v'
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION '% is a virtual column, which triggers are not given', virtual
      USING HINT = 'Make it STORED, or name another one.';
  END IF;
END
$pgherald$;
