--# What a change of the token table means; a part of auth.sql.
WHEN 'token DELETE' THEN
  users := ARRAY(SELECT DISTINCT to_jsonb(r)->>{{token_user_literal}} FROM old_rows AS r
                 LIMIT max_users + 1);
WHEN 'token UPDATE' THEN
  users := ARRAY(
    SELECT DISTINCT gone.id
    FROM (SELECT to_jsonb(r)->>{{token_user_literal}} AS id, to_jsonb(r)->>{{token_column_literal}}
          FROM old_rows AS r
          EXCEPT
          SELECT to_jsonb(r)->>{{token_user_literal}}, to_jsonb(r)->>{{token_column_literal}}
          FROM new_rows AS r) AS gone
    LIMIT max_users + 1);
