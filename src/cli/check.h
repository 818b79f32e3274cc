/* SPDX-License-Identifier: PostgreSQL
 * `pgherald -t` and `pgherald -p`. */
#ifndef PGHERALD_CLI_CHECK_H
#define PGHERALD_CLI_CHECK_H

/* Checks a configuration file; with `print`, shows it with every default. The exit status. */
int cli_check(const char *conf_path, int print);

#endif
