--# The look-ups of an [auth] with preset = session; a part of auth.sql.
-- One row per session that was found and has not ended; n is its place in the argument, from 1. Whose
-- it is stands inside of session_data, signed with a key that never comes into the database. The
-- daemon reads no longer ones than this. What is done while tables are read is undone: see pgherald.tell().
CREATE OR REPLACE FUNCTION pgherald.{{function}}(tokens text[])
RETURNS TABLE (n int, session_data text, expires timestamptz)
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
  SELECT asked.n::int, pgherald.as_text(t.session_data), {{expires}}::timestamptz
  FROM unnest(tokens) WITH ORDINALITY AS asked(token, n)
  JOIN {{token_table}} AS t ON {{token_match}}
  WHERE {{plain}}
    AND {{expires}} > now()
    AND octet_length(pgherald.as_text(t.session_data)) <= 65536;
  found_out := true;
  RAISE 'undo this';
EXCEPTION WHEN OTHERS THEN
  IF NOT found_out THEN
    RAISE;
  END IF;
END
$pgherald$;

-- One row per user that was found. proofs are HMAC-SHA256 of what the user table has as his password,
-- one for each pair of pads, into which the daemon has mixed its key (RFC 2104): so the password's
-- hash does not leave the database, nor does the key come into it.
CREATE OR REPLACE FUNCTION pgherald.{{users_function}}(users text[], inner_pads bytea[], outer_pads bytea[])
RETURNS TABLE (n int, user_id text, role text, active boolean, proofs text[])
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
               ARRAY(SELECT encode(sha256(pads.o || sha256(pads.i || convert_to(
                                     pgherald.as_text(u.{{user_password}}), 'UTF8'))), 'hex')
                     FROM unnest(inner_pads, outer_pads) AS pads(i, o))
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
REVOKE ALL ON FUNCTION pgherald.{{users_function}}(text[], bytea[], bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgherald.{{users_function}}(text[], bytea[], bytea[]) TO {{login}};
