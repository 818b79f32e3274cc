--# Parts of on_inline.sql, where names or owners stand in other tables. What is done while these are read is
--# undone: see pgherald.tell().
looked := false;
BEGIN
  {{looks}}
  looked := true;
  RAISE 'undo this';
EXCEPTION WHEN OTHERS THEN
  IF NOT looked THEN
    RAISE;
  END IF;
END;
