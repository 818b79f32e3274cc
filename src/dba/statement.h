/* SPDX-License-Identifier: PostgreSQL
 * Cuts the SQL that render.h writes into statements and words. It is not for SQL at large: there is
 * one style of dollar quotes and no nested comment. */
#ifndef PGHERALD_DBA_STATEMENT_H
#define PGHERALD_DBA_STATEMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define STATEMENT_DOLLAR "$pgherald$"
#define STATEMENT_MAX	 ((size_t)1 << 20) /* bytes of one piece */

struct statement {
	struct {
		const char *p;
		size_t len;
	} all,	      /* with the comments above it and the semicolon */
		bare; /* from the first word to before the semicolon */
};

/* Cuts the next statement off `*text`; false at the end. */
bool statement_next(const char **text, struct statement *ret) MUST_CHECK;
bool statement_begins(const struct statement *s, const char *words) MUST_CHECK;
bool words_starts(const char *p, const char *word) MUST_CHECK;
/* [p, end) without comments, and with single spaces outside of quotes; the caller frees. */
char *words_squeeze(const char *p, const char *end);
/* The first `stop` outside of quotes and parentheses, or the end. */
const char *words_find(const char *p, char stop);
/* The next piece of "a, b"; the caller frees. NULL at the end. */
char *words_item(const char **list);

#endif
