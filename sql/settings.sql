--# Only with capture = journal. See core.sql for {{names}}; sql/check/functions.sql has the same types.
-- What is recorded must not depend on the session. The text of these types never does (nor does a
-- time's with ::utc); for others the settings are pinned, which each writer pays for.
DO $pgherald$
BEGIN
  IF EXISTS (SELECT FROM (VALUES
               {{text_columns}}) AS c (rel, name)
             JOIN pg_catalog.pg_attribute AS a
               ON a.attrelid = pg_catalog.to_regclass(c.rel) AND a.attname = c.name
             JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
             WHERE t.typtype <> 'e'
               AND coalesce(nullif(t.typelem, 0), t.oid) <> ALL (
                 '{bool,int2,int4,int8,numeric,oid,text,varchar,bpchar,"char",uuid,date,time,timestamp,
                   json,jsonb,inet,cidr,macaddr,bit,varbit}'::pg_catalog.regtype[])) THEN
    ALTER FUNCTION pgherald.on_{{topic}}() SET timezone = 'UTC';
    ALTER FUNCTION pgherald.on_{{topic}}() SET datestyle = 'ISO, YMD';
    ALTER FUNCTION pgherald.on_{{topic}}() SET intervalstyle = 'iso_8601';
    ALTER FUNCTION pgherald.on_{{topic}}() SET bytea_output = 'hex';
    ALTER FUNCTION pgherald.on_{{topic}}() SET extra_float_digits = 1;
  END IF;
END
$pgherald$;
