--# What of a watch stands in other tables, one row at a time, for its trigger. See core.sql for {{names}}.
-- The owners of one row that stand in other tables; `keys` are the columns that lead to them, as text.
CREATE OR REPLACE FUNCTION pgherald.owners_{{topic}}(keys text[]) RETURNS text[]
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $pgherald$
BEGIN
  -- Nothing of a table is planned with other rights, whatever somebody has altered here.
  IF NOT pg_catalog.starts_with(current_user, 'pgherald_teller') THEN
    RAISE insufficient_privilege;
  END IF;
  RETURN {{owners_of_keys}};
END
$pgherald$;
REVOKE ALL ON FUNCTION pgherald.owners_{{topic}}(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgherald.owners_{{topic}}(text[]) TO pgherald_owner;
