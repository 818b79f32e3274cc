--# The functions of the application that a route asks (authorize in [route]); sql/authorize.sql refuses the same.
--! authorize-function danger
--! The route asks this function who may hear what. Nobody comes in there while it cannot be asked.
SELECT a.signature,
       format('route %s: ', a.route)
       || CASE WHEN p.oid IS NULL THEN 'it does not exist'
               WHEN p.prorettype <> 'boolean'::regtype OR p.proretset OR p.prokind <> 'f'
               THEN 'it does not return a boolean'
               ELSE 'pgherald_authorize may not call it' END,
       CASE WHEN p.prorettype = 'boolean'::regtype THEN 'pgherald sql install --apply' END
FROM asked AS a
LEFT JOIN pg_proc AS p ON p.oid = a.oid
WHERE p.oid IS NULL OR p.prorettype <> 'boolean'::regtype OR p.proretset OR p.prokind <> 'f'
   OR NOT coalesce(has_function_privilege(to_regrole('pgherald_authorize'), p.oid, 'EXECUTE')
                   AND has_schema_privilege(to_regrole('pgherald_authorize'), p.pronamespace, 'USAGE'), true)

--! authorize-owner danger
--! Who owns this function, or the schema that it is in, says who hears what. It should be a superuser, who owns tables
--! that are watched or that credentials are looked up in, or one of trusted_owners.
SELECT a.signature, format('route %s: %s belongs to %s', a.route, x.what, u.rolname), NULL
FROM asked AS a
JOIN pg_proc AS p ON p.oid = a.oid
JOIN pg_namespace AS n ON n.oid = p.pronamespace
CROSS JOIN LATERAL (VALUES ('it', p.proowner), ('its schema', n.nspowner)) AS x (what, owner)
JOIN pg_database AS d ON d.datname = current_database()
JOIN pg_roles AS u ON u.oid = CASE WHEN x.owner = to_regrole('pg_database_owner') THEN d.datdba ELSE x.owner END
WHERE NOT u.rolsuper
  AND NOT EXISTS (SELECT FROM conf, jsonb_array_elements_text(c->'trusted_owners') AS t (name)
                  WHERE t.name = u.rolname)
  AND NOT EXISTS (SELECT FROM pg_class AS r
                  WHERE r.relowner = u.oid
                    AND (r.oid IN (SELECT auth_part.oid FROM auth_part) OR r.oid IN (SELECT watch.oid FROM watch)))

--! authorize-writes warning
--! What this function writes is refused, and then nobody comes in: it is asked, and nothing is told it. It should be
--! declared STABLE.
SELECT a.signature, format('route %s: it is VOLATILE', a.route),
       format('ALTER FUNCTION %s STABLE;', p.oid::regprocedure)
FROM asked AS a
JOIN pg_proc AS p ON p.oid = a.oid
WHERE p.provolatile = 'v'

--! authorize-path warning
--! This function is asked with the search_path of pgherald, which has nothing of the application, and with another one
--! by whoever else may call it: with rights of its owner it would then call what that one has put there.
SELECT a.signature, format('route %s: it is SECURITY DEFINER and sets no search_path', a.route),
       format('ALTER FUNCTION %s SET search_path = %s, pg_temp;', p.oid::regprocedure, p.pronamespace::regnamespace)
FROM asked AS a
JOIN pg_proc AS p ON p.oid = a.oid
WHERE p.prosecdef AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS s WHERE s LIKE 'search\_path=%')
