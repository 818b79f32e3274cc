/* SPDX-License-Identifier: PostgreSQL
 * `pgherald sql`: shows or runs the SQL that puts pgherald into a database and takes it out. */
#ifndef PGHERALD_CLI_SQL_H
#define PGHERALD_CLI_SQL_H

/* argv[0] is "sql". The exit status: 0 done, 1 not done and said why on stderr. */
int cli_sql(int argc, char **argv);

#endif
