/* SPDX-License-Identifier: PostgreSQL
 * See options.h. */
#include "config.h"
#include "cli/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { FIRST = 256 }; /* what getopt_long() calls the first of the table: no letter */

/* The place of an option in the table, which has it. */
static int place(const struct cli_option *options, const char *name)
{
	int i = 0;

	while (options[i].name && strcmp(options[i].name, name) != 0)
		i++;
	return options[i].name ? i : -1;
}

static bool take(const struct cli_option *o, const char *value)
{
	if (o->flag) {
		*o->flag = true;
		return true;
	}
	if (!o->n) {
		*o->text = value;
		return true;
	}
	if (*o->n == o->max) {
		fprintf(stderr, "pgherald: --%s is given more than %zu times\n", o->name, o->max);
		return false;
	}
	o->text[(*o->n)++] = value;
	return true;
}

bool cli_options(int argc, char **argv, const struct cli_option *options, int *ret_rest)
{
	autofree struct option *names = NULL;
	size_t n = 0;
	int c;

	while (options[n].name)
		n++;
	names = xcalloc(n + 1, sizeof(*names));
	for (size_t i = 0; i < n; i++)
		names[i] = (struct option){options[i].name,
					   options[i].flag ? no_argument : required_argument, NULL,
					   FIRST + (int)i};
	optind = 1;
	while ((c = getopt_long(argc, argv, "c:h", names, NULL)) != -1) {
		int i = c >= FIRST ? c - FIRST
			: c == '?' ? -1
				   : place(options, c == 'c' ? "config" : "help");

		if (i < 0 || !take(&options[i], optarg))
			return false;
	}
	*ret_rest = optind;
	return true;
}

bool cli_no_more(int argc, char **argv, int rest)
{
	if (rest < argc)
		fprintf(stderr, "pgherald: %s: too many words: %s\n", argv[0], argv[rest]);
	return rest >= argc;
}
