/* SPDX-License-Identifier: PostgreSQL
 * `pgherald explain`: why a user is told of a row, or not. */
#ifndef PGHERALD_CLI_EXPLAIN_H
#define PGHERALD_CLI_EXPLAIN_H

int cli_explain(int argc, char **argv);

#endif
