--# The functions of the schema, against what this program and this configuration render.
--! function-missing danger
--! A trigger or the daemon calls this function; without it changes are lost or nobody gets in.
SELECT f.signature, 'it does not exist', 'pgherald sql install --apply'
FROM want_function AS f
WHERE f.oid IS NULL

--! function-differs danger
--! What runs inside the application's transactions, or tells clients of them, is not what this
--! program and this configuration would put there.
SELECT f.signature,
       CASE WHEN obj_description(p.oid, 'pg_proc') LIKE '% md5 ' || md5(p.prosrc)
            THEN 'its body is that of another version or configuration: '
                 || obj_description(p.oid, 'pg_proc')
            ELSE 'its body was changed by hand: it is not the one that its comment has the hash of'
       END,
       'pgherald sql upgrade --apply'
FROM want_function AS f
JOIN pg_proc AS p ON p.oid = f.oid
WHERE p.prosrc <> f.body

--! function-head danger
--! Without SECURITY DEFINER the function has only the writer's rights; without its pinned settings
--! a session could change what it does or whose functions it calls.
SELECT f.signature,
       concat_ws(', ',
         CASE WHEN p.prosecdef <> f.definer
              THEN CASE WHEN f.definer THEN 'it is not SECURITY DEFINER'
                                       ELSE 'it is SECURITY DEFINER' END END,
         CASE WHEN p.provolatile <> f.volatility THEN 'its volatility differs' END,
         CASE WHEN has.settings <> want.settings
              THEN format('its settings are %s instead of %s', nullif(has.settings, '{}'),
                          nullif(want.settings, '{}')) END),
       'pgherald sql upgrade --apply'
FROM want_function AS f
JOIN pg_proc AS p ON p.oid = f.oid
CROSS JOIN LATERAL (SELECT ARRAY(SELECT lower(s) FROM unnest(p.proconfig) AS s
                                 -- where the server knows it
                                 WHERE s NOT LIKE 'restrict_nonsystem_relation_kind=%'
                                   AND NOT EXISTS (  -- a finding of its own
                                         SELECT FROM watch AS w, pinned
                                         WHERE w.fn = f.oid AND w.text_columns <> '[]'
                                           AND lower(s) = ANY (pinned.settings))
                                 ORDER BY 1) AS settings) AS has
CROSS JOIN LATERAL (SELECT ARRAY(SELECT lower(s) FROM unnest(string_to_array(
                                   nullif(f.settings, ''), E'\n')) AS s
                                 ORDER BY 1) AS settings) AS want
WHERE p.prosecdef <> f.definer OR p.provolatile <> f.volatility OR has.settings <> want.settings

--! settings-free warning
--! The text of this column's values depends on settings of the session, and the function that records
--! them does not pin these: the column has had another type when the function was made.
SELECT w.fn, string_agg(DISTINCT format('column %I of %s is of type %s', c.name, c.rel,
                                        format_type(a.atttypid, NULL)), ', '),
       'pgherald sql upgrade --apply'
FROM watch AS w
JOIN pg_proc AS p ON p.oid = w.fn
JOIN pinned ON NOT pinned.settings <@ ARRAY(SELECT lower(s) FROM unnest(p.proconfig) AS s)
CROSS JOIN LATERAL jsonb_to_recordset(w.text_columns) AS c (rel text, name text, spelled boolean)
JOIN pg_attribute AS a ON a.attrelid = to_regclass(c.rel) AND a.attname = c.name
JOIN pg_type AS t ON t.oid = a.atttypid
WHERE t.typtype <> 'e'
  AND (coalesce(nullif(t.typelem, 0), t.oid) <> ALL (
         '{bool,int2,int4,int8,numeric,oid,text,varchar,bpchar,"char",uuid,date,time,timestamp,
           json,jsonb,inet,cidr,macaddr,bit,varbit}'::regtype[])
       OR c.spelled AND t.oid = ANY ('{date,timestamp}'::regtype[]))
GROUP BY w.fn

--! function-owner danger
--! A definer function has its owner's rights: a superuser's would be far too many, somebody else's
--! too few or the wrong ones, and that somebody could change it.
SELECT f.signature, format('it belongs to %s', p.proowner::regrole),
       format('ALTER FUNCTION %s OWNER TO %s;', p.oid::regprocedure, f.owner)
FROM want_function AS f
JOIN pg_proc AS p ON p.oid = f.oid
WHERE p.proowner <> to_regrole(f.owner)
  AND NOT (f.owner = 'pgherald_teller' AND p.proowner IN (SELECT t.oid FROM teller AS t))  -- see teller-shared
  -- a missing role is a finding of its own

--! function-unknown warning
--! This configuration does not make it: it is left over from a section that is gone, or somebody
--! else's. Triggers that still call it go on recording.
SELECT p.oid::regprocedure, 'it is not of this configuration',
       coalesce((SELECT string_agg(format('DROP TRIGGER %I ON %s; ', t.tgname,
                                          t.tgrelid::regclass), '' ORDER BY t.oid)
                 FROM pg_trigger AS t WHERE t.tgfoid = p.oid), '')
       || format('DROP %s %s;', CASE p.prokind WHEN 'p' THEN 'PROCEDURE' WHEN 'a' THEN 'AGGREGATE'
                                ELSE 'FUNCTION' END, p.oid::regprocedure)
FROM pg_proc AS p
WHERE p.pronamespace = to_regnamespace('pgherald')
  AND NOT EXISTS (SELECT FROM want_function AS f WHERE f.oid = p.oid)
