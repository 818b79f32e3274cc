--# What a change of the session table means; a part of auth.sql. A session is named by the SHA-256 of
--# its key, as session_name() in src/auth/session.c does: the journal holds no key that still opens.
WHEN 'token DELETE' THEN  -- not of those that have ended: clearsessions has many, and nobody uses them
  users := ARRAY(
    SELECT 'session:' || encode(sha256(convert_to(r->>{{token_column_literal}}, 'UTF8')), 'hex')
    FROM (SELECT to_jsonb(o) FROM old_rows AS o) AS gone(r)
    WHERE (r->>{{token_expires_literal}})::timestamptz > now()
    LIMIT max_users + 1);
WHEN 'token UPDATE' THEN  -- not one that only lives longer: the part before the first colon is the
                          -- content, the rest a time and a signature that are new with every save
  users := ARRAY(
    SELECT 'session:' || encode(sha256(convert_to(gone.key, 'UTF8')), 'hex')
    FROM (SELECT r->>{{token_column_literal}} AS key, split_part(r->>'session_data', ':', 1),
                 (r->>{{token_expires_literal}})::timestamptz > now()
          FROM (SELECT to_jsonb(o) FROM old_rows AS o) AS was(r)
          EXCEPT
          SELECT r->>{{token_column_literal}}, split_part(r->>'session_data', ':', 1),
                 (r->>{{token_expires_literal}})::timestamptz > now()
          FROM (SELECT to_jsonb(n) FROM new_rows AS n) AS is_now(r)) AS gone
    LIMIT max_users + 1);
