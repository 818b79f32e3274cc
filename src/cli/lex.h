/* SPDX-License-Identifier: PostgreSQL
 * Cuts the SQL that render.h writes into statements and words. It is not for SQL at large: there is
 * one style of dollar quotes and no nested comment. */
#ifndef PGHERALD_CLI_LEX_H
#define PGHERALD_CLI_LEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define LEX_DOLLAR "$pgherald$"
#define LEX_MAX	   ((size_t)1 << 20) /* bytes of one piece */

struct statement {
	struct {
		const char *p;
		size_t len;
	} all,	      /* with the comments above it and the semicolon */
		bare; /* from the first word to before the semicolon */
};

/* Cuts the next statement off `*text`; false at the end. */
bool lex_statement(const char **text, struct statement *ret) MUST_CHECK;
bool statement_begins(const struct statement *s, const char *words) MUST_CHECK;
bool lex_starts(const char *p, const char *word) MUST_CHECK;
/* [p, end) without comments, and with single spaces outside of quotes; the caller frees. */
char *lex_squeeze(const char *p, const char *end);
/* The first `stop` outside of quotes and parentheses, or the end. */
const char *lex_find(const char *p, char stop);
/* The next piece of "a, b"; the caller frees. NULL at the end. */
char *lex_item(const char **list);

#endif
