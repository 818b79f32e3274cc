/* SPDX-License-Identifier: PostgreSQL
 * `pgherald types`: what the events of a configuration hold, for who writes a client. */
#ifndef PGHERALD_CLI_TYPES_H
#define PGHERALD_CLI_TYPES_H

/* Runs it; `argv[0]` is "types". The program's exit status. */
int cli_types(int argc, char **argv);

#endif
