--# Only with capture = journal. See core.sql for {{names}}; sql/check/functions.sql has the same types.
-- What is recorded must not depend on the session. These types never do (nor does a time with ::utc, nor
-- dates as json, which are as ISO 8601 has them; keys and owners are recorded as text); for others the
-- settings are pinned, which each writer pays for.
DO $pgherald$
BEGIN
  IF EXISTS (SELECT FROM (VALUES
               {{text_columns}}
               (NULL, NULL, NULL, NULL)) AS c (nsp, rel, att, spelled)
             -- not regclass: that asks for rights on the schema
             JOIN pg_catalog.pg_namespace AS n ON n.nspname = c.nsp
             JOIN pg_catalog.pg_class AS r ON r.relnamespace = n.oid AND r.relname = c.rel
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attname = c.att
             JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
             WHERE t.typtype <> 'e'
               AND (coalesce(nullif(t.typelem, 0), t.oid) <> ALL (
                      '{bool,int2,int4,int8,numeric,oid,text,varchar,bpchar,"char",uuid,date,time,timestamp,
                        json,jsonb,inet,cidr,macaddr,bit,varbit}'::pg_catalog.regtype[])
                    OR c.spelled AND t.oid = ANY ('{date,timestamp}'::pg_catalog.regtype[]))) THEN
    ALTER FUNCTION pgherald.on_{{topic}}() SET timezone = 'UTC';
    ALTER FUNCTION pgherald.on_{{topic}}() SET datestyle = 'ISO, YMD';
    ALTER FUNCTION pgherald.on_{{topic}}() SET intervalstyle = 'iso_8601';
    ALTER FUNCTION pgherald.on_{{topic}}() SET bytea_output = 'hex';
    ALTER FUNCTION pgherald.on_{{topic}}() SET extra_float_digits = 1;
  END IF;
END
$pgherald$;
