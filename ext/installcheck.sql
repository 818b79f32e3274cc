-- SPDX-License-Identifier: PostgreSQL
-- What ext/installcheck.sh runs. The roles stay: they are the cluster's.
SET client_min_messages = warning;
CREATE EXTENSION pgherald;
DO $$
BEGIN
  ASSERT (SELECT count(*) FROM pgherald.meta) = 1, 'meta has its row';
  ASSERT length(pgherald.epoch()) = 8, 'epoch';
  INSERT INTO pgherald.journal (topic, op) VALUES ('check', 't');
  ASSERT pgherald.prune('1 day', 100) = 0, 'prune';
  ASSERT NOT EXISTS (SELECT FROM pg_proc AS p
                     WHERE p.pronamespace = 'pgherald'::regnamespace
                       AND (p.proowner <> 'pgherald_owner'::regrole
                            OR obj_description(p.oid) NOT LIKE '% md5 ' || md5(p.prosrc))),
         'owner and stamp of the functions';
  ASSERT NOT has_schema_privilege('public', 'pgherald', 'USAGE'), 'nothing for PUBLIC';
END
$$;
DROP EXTENSION pgherald;
DO $$
BEGIN
  ASSERT to_regnamespace('pgherald') IS NULL, 'nothing is left';
END
$$;
