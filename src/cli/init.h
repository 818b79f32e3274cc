/* SPDX-License-Identifier: PostgreSQL
 * `pgherald init`: looks at a database and writes a configuration. */
#ifndef PGHERALD_CLI_INIT_H
#define PGHERALD_CLI_INIT_H

/* argv[0] is "init". The exit status: 0 written, 1 not written and said why on stderr, 2 misuse. */
int cli_init(int argc, char **argv);

#endif
