--# What a change of the token table means; a part of auth.sql.
WHEN 'token DELETE' THEN
  users := ARRAY(SELECT DISTINCT {{row_token_user}} FROM old_rows AS r LIMIT it.max_users + 1);
WHEN 'token UPDATE' THEN  -- another token, user or channels, or one that ends earlier now; not one that lives longer
  users := ARRAY(
    WITH was AS (
      SELECT {{row_token_user}} AS id, {{row_token}} AS token,
             coalesce({{row_expires}}::timestamptz, 'infinity') AS ends{{row_channels}}
      FROM old_rows AS r),
    is_now AS (
      SELECT {{row_token_user}} AS id, {{row_token}} AS token,
             coalesce({{row_expires}}::timestamptz, 'infinity') AS ends{{row_channels}}
      FROM new_rows AS r)
    SELECT gone.id
    FROM (SELECT was.id, was.token{{was_channels}} FROM was
          EXCEPT SELECT is_now.id, is_now.token{{is_now_channels}} FROM is_now) AS gone
    UNION
    SELECT was.id FROM was JOIN is_now ON is_now.token = was.token WHERE is_now.ends < was.ends
    LIMIT it.max_users + 1);
