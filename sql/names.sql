--# What of a watch stands in other tables, one row at a time, for its trigger. See core.sql for {{names}}.
-- The names of one row, in the order of the fields; `keys` are the columns that lead to them, as text.
CREATE OR REPLACE FUNCTION pgherald.names_{{topic}}(keys text[]) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $pgherald$
BEGIN
  -- Nothing of a table is planned with other rights, whatever somebody has altered here.
  IF NOT pg_catalog.starts_with(current_user, 'pgherald_teller') THEN
    RAISE insufficient_privilege;
  END IF;
  RETURN {{names_of_keys}};
END
$pgherald$;
REVOKE ALL ON FUNCTION pgherald.names_{{topic}}(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgherald.names_{{topic}}(text[]) TO pgherald_owner;
