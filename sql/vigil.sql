--# Parts of on_journal.sql with follow = yes.
-- A row (v) with the snapshot in which this transaction has looked, see settle_{{topic}}.
INSERT INTO pgherald.journal (topic, op, data)
VALUES ('{{topic}}', 'v', json_build_array('{{way_mark}}', 0, true, '{}'::text[], '{}'::text[], '{}'::text[],
                                           '{}'::text[], '{}'::text[], '{}'::text[], '{}'::text[],
                                           coalesce(pgherald_snap, txid_current_snapshot()::text)))
