--# What a change of the token table means; a part of auth.sql.
WHEN 'token DELETE' THEN
  users := ARRAY(SELECT DISTINCT {{row_token_user}} FROM old_rows AS r LIMIT it.max_users + 1);
WHEN 'token UPDATE' THEN  -- another token or user, or one that ends earlier now; not one that lives longer
  users := ARRAY(
    WITH was AS (
      SELECT {{row_token_user}} AS id, {{row_token}} AS token,
             coalesce({{row_expires}}::timestamptz, 'infinity') AS ends
      FROM old_rows AS r),
    is_now AS (
      SELECT {{row_token_user}} AS id, {{row_token}} AS token,
             coalesce({{row_expires}}::timestamptz, 'infinity') AS ends
      FROM new_rows AS r)
    SELECT gone.id
    FROM (SELECT was.id, was.token FROM was EXCEPT SELECT is_now.id, is_now.token FROM is_now) AS gone
    UNION
    SELECT was.id FROM was JOIN is_now ON is_now.token = was.token WHERE is_now.ends < was.ends
    LIMIT it.max_users + 1);
