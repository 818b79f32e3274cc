--# With capture = notify there is nothing to tell; rows of an earlier installation say "fetch again".
DROP FUNCTION IF EXISTS pgherald.tell_{{topic}}(bigint[], pgherald.journal[], boolean),
  pgherald.settle_{{topic}}(bigint[], pgherald.journal[]);
