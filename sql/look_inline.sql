--# Parts of on_inline.sql, where names or owners stand in other tables. What is done while these are read is
--# undone: see pgherald.tell(). Who has one of these tables locked is not waited for, and under SERIALIZABLE none is
--# looked at: this row and what comes behind it say "fetch again".
looked := false;
BEGIN
  IF current_setting('transaction_isolation') = 'serializable' THEN
    RAISE lock_not_available;  -- a look would be a promise that outlives it: see on_journal.sql
  END IF;
  PERFORM set_config('lock_timeout', '5ms', true);
  {{looks}}
  looked := true;
  RAISE 'undo this';
EXCEPTION WHEN lock_not_available THEN
  PERFORM pg_notify('pgherald_inline', '{"v":1,"topic":"{{topic}}","op":"r","reason":"loss"}');
  {{rescope_all}}
  RETURN NULL;
WHEN OTHERS THEN
  IF NOT looked THEN
    RAISE;
  END IF;
END;
