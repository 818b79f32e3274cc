/* SPDX-License-Identifier: PostgreSQL
 * `pgherald serve` and `pgherald -t`. */
#ifndef PGHERALD_CLI_SERVE_H
#define PGHERALD_CLI_SERVE_H

/* Runs the daemon with a configuration file until it is told to stop; the exit status. */
int cli_serve(const char *conf_path);
/* Checks a configuration file; with `print`, shows it with every default. The exit status. */
int cli_check(const char *conf_path, int print);

#endif
