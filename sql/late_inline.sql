--# Part of teller.sql with capture = notify.
RAISE WARNING 'watch {{topic}}: % can run code in the sessions of all who write to %, where capture = notify looks up '
  'what stands in tables of theirs', foreign_code, {{table_literal}};
