--# Parts of on_journal.sql, where names or owners stand in other tables.
IF current_setting('transaction_isolation') <> 'serializable' THEN  -- see pgherald_own
  BEGIN
    PERFORM set_config('lock_timeout', '5ms', true);
    {{looks}}
    RAISE 'undo this';  -- all that was done meanwhile: see pgherald.tell()
  EXCEPTION WHEN OTHERS OR assert_failure THEN
    NULL;
  END;
END IF;
