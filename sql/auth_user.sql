--# The look-up by user; a part of auth.sql. It is that of an [auth] whose credential names a user, and stands
--# besides that of one whose table holds tokens, for pgherald explain.
-- One row per user that was found; n is the place in the argument, from 1. Where credentials name them the daemon
-- has verified those, and knows when each ends. What is done while the table is read is undone: see
-- pgherald.tell().
CREATE OR REPLACE FUNCTION pgherald.{{function}}(users text[])
RETURNS TABLE (n int, user_id text, role text, active boolean, expires timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
SET lock_timeout = '500ms'  -- look-ups of other tables wait behind this one; it is asked again
AS $pgherald$
#variable_conflict use_column
DECLARE
  found_out boolean := false;
BEGIN
  FOR i IN 1 .. cardinality(users) LOOP
    BEGIN
      RETURN QUERY
        SELECT i,
               pgherald.as_text(u.{{user_key}}),
               {{role}},
               {{active}},
               NULL::timestamptz
        FROM {{user_table}} AS u
        WHERE {{users_plain}}
          AND CASE WHEN pgherald.plain(CASE WHEN false THEN u.{{user_key}} END, true)
                   THEN u.{{user_key}} = pgherald.typed(users[i], CASE WHEN false THEN u.{{user_key}} END)
                   ELSE pgherald.as_text(u.{{user_key}}) = users[i] END;
    EXCEPTION WHEN data_exception THEN
      CONTINUE;  -- not a key of this table, so nobody's
    END;
  END LOOP;
  found_out := true;
  RAISE 'undo this';
EXCEPTION WHEN OTHERS THEN
  IF NOT found_out THEN
    RAISE;
  END IF;
END
$pgherald$;
