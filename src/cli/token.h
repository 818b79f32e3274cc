/* SPDX-License-Identifier: PostgreSQL
 * `pgherald token`: makes API keys and their lines, and JSON Web Tokens for tests. */
#ifndef PGHERALD_CLI_TOKEN_H
#define PGHERALD_CLI_TOKEN_H

/* The process's exit status. `argv[0]` is the word "token". */
int cli_token(int argc, char **argv);

#endif
