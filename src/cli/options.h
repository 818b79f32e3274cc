/* SPDX-License-Identifier: PostgreSQL
 * The options of a command as a table. */
#ifndef PGHERALD_CLI_OPTIONS_H
#define PGHERALD_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#define DEFAULT_CONF SYSCONFDIR "/pgherald/pgherald.conf"

/* With exactly one of `text`, which takes the value, and `flag`. Every command takes --config FILE
 * also as -c, and --help also as -h, where it has them. */
struct cli_option {
	const char *name; /* without the two dashes; NULL ends the table */
	const char **text;
	bool *flag;
	size_t *n;  /* of `text`, an array, when the option may be given again; or NULL */
	size_t max; /* so often */
};

/* Reads them all. argv[0] is the command, argv[*ret_rest] the first of the words that are no
 * options. False, with the reason on standard error, for an option that there is none of, or that
 * lacks its value. */
bool cli_options(int argc, char **argv, const struct cli_option *options, int *ret_rest);
/* For a command that takes no other words: whether there is none, else false after saying which. */
bool cli_no_more(int argc, char **argv, int rest);

#endif
