/* SPDX-License-Identifier: PostgreSQL
 * What the parser knows while it reads a file, for itself and for the checks of the whole. */
#ifndef PGHERALD_CONF_PARSER_H
#define PGHERALD_CONF_PARSER_H

#include <stdbool.h>

#include "base/buf.h"
#include "conf/table.h"

#define NAMED_MAX    64 /* sections of one kind */
#define SETTINGS_MAX 32 /* of one section */

struct parser {
	struct conf *conf;
	struct buf *error;
	unsigned line;
	const struct section *kind; /* NULL before the first section */
	void *base;
	const struct setting *setting; /* of the value being read */
	unsigned setting_line;
	struct buf value;
	/* The line of each setting of the singletons, against doubles. */
	unsigned seen[N_SECTIONS][SETTINGS_MAX];
	unsigned *seen_here;
	unsigned named_seen[SETTINGS_MAX];
	unsigned lines[N_SECTIONS][NAMED_MAX]; /* where each named section begins */
};

/* Puts "file:line: what" into the parser's error; returns false. */
bool parser_fail(struct parser *p, unsigned line, const char *fmt, ...) PRINTF(3, 4);
/* check.c: fills in what follows from the rest, and says what one line alone cannot tell. */
bool check_conf(struct parser *p) MUST_CHECK;

#endif
