/* SPDX-License-Identifier: PostgreSQL
 * Reads names and punctuation out of one setting. Every complaint names the setting, the item and
 * the text it stopped at. */
#ifndef PGHERALD_SQL_READER_H
#define PGHERALD_SQL_READER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* PostgreSQL cuts longer identifiers (NAMEDATALEN - 1); we refuse them instead. */
enum { READER_MAX_NAME = 63 };

/* A place in one setting. */
struct reader {
	const char *setting;
	const char *p;
	size_t item; /* from 1; 0 for a setting that is no list */
	struct buf *error;
};

/* Sets the error; always false, so that a caller can return it. */
bool reader_complain(const struct reader *r, const char *fmt, ...) PRINTF(2, 3);
void reader_skip_space(struct reader *r);
/* Steps over `token`, and white space before it, if it is there. */
bool reader_accept(struct reader *r, const char *token) MUST_CHECK;
/* The same, or a complaint. */
bool reader_expect(struct reader *r, const char *token, const char *after) MUST_CHECK;
/* An identifier as it stands in the catalog: bare, or "quoted" with "" for a quote. Replaces *ret,
 * which the caller frees; `what` is what a complaint says was expected. */
bool reader_name(struct reader *r, const char *what, char **ret) MUST_CHECK;

#endif
