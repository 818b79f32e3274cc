--# What a change of the session table means; a part of auth.sql. A session is named by the SHA-256 of
--# its key, as session_name() in src/auth/session.c does: the journal holds no key that still opens.
WHEN 'token DELETE' THEN  -- not of those that have ended: clearsessions has many, and nobody uses them
  users := ARRAY(
    SELECT 'session:' || encode(sha256(convert_to({{row_token}}, 'UTF8')), 'hex')
    FROM old_rows AS r
    WHERE {{row_expires}}::timestamptz > now()
    LIMIT it.max_users + 1);
WHEN 'token UPDATE' THEN  -- not one that only lives longer: the part before the first colon is the
                          -- content, the rest a time and a signature that are new with every save
  users := ARRAY(
    SELECT 'session:' || encode(sha256(convert_to(gone.key, 'UTF8')), 'hex')
    FROM (SELECT {{row_token}} AS key, split_part({{row_session_data}}, ':', 1),
                 {{row_expires}}::timestamptz > now()
          FROM old_rows AS r
          EXCEPT
          SELECT {{row_token}}, split_part({{row_session_data}}, ':', 1), {{row_expires}}::timestamptz > now()
          FROM new_rows AS r) AS gone
    LIMIT it.max_users + 1);
