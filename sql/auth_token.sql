--# The look-up of an [auth] whose table holds tokens; a part of auth.sql.
-- One row per token that was found; n is its place in the argument, from 1. expires is when the
-- token ends by itself, NULL for never; channels, where a column has them, is their text. What is done while the tables are read is undone: see pgherald.tell().
CREATE OR REPLACE FUNCTION pgherald.{{function}}(tokens text[])
RETURNS TABLE (n int, user_id text, role text, active boolean, expires timestamptz{{channels_result}})
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
SET lock_timeout = '500ms'  -- look-ups of other tables wait behind this one; it is asked again
AS $pgherald$
#variable_conflict use_column
DECLARE
  found_out boolean := false;
BEGIN
  RETURN QUERY
  SELECT asked.n::int,
         pgherald.as_text(u.{{user_key}}),
         {{role}},
         {{active}},
         {{expires}}::timestamptz{{channels}}
  FROM unnest(tokens) WITH ORDINALITY AS asked(token, n)
  JOIN {{token_table}} AS t ON {{token_match}}
  JOIN {{user_table}} AS u ON u.{{user_key}} = t.{{token_user}}
  WHERE {{plain}}
    {{token_valid}};
  found_out := true;
  RAISE 'undo this';
EXCEPTION WHEN OTHERS THEN
  IF NOT found_out THEN
    RAISE;
  END IF;
END
$pgherald$;
