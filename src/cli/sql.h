/* SPDX-License-Identifier: PostgreSQL
 * `pgherald sql`: shows or runs the SQL that puts pgherald into a database and takes it out. */
#ifndef PGHERALD_CLI_SQL_H
#define PGHERALD_CLI_SQL_H

/* argv[0] is "sql". The exit status: 0 done, 1 not done and said why on stderr;
 * of check 0 clean, 1 findings, 2 could not look. */
int cli_sql(int argc, char **argv);

#endif
