/* SPDX-License-Identifier: PostgreSQL
 * `pgherald serve`. */
#ifndef PGHERALD_CLI_SERVE_H
#define PGHERALD_CLI_SERVE_H

/* Runs the daemon with a configuration file until it is told to stop; the exit status. */
int cli_serve(const char *conf_path);

#endif
