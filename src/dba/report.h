/* SPDX-License-Identifier: PostgreSQL
 * Findings: what is wrong, what that means and what mends it; as text for a terminal or as JSON. */
#ifndef PGHERALD_DBA_REPORT_H
#define PGHERALD_DBA_REPORT_H

#include <stdbool.h>

#include "base/buf.h"

struct report {
	bool json;
	unsigned n, n_bad; /* findings; those that are no mere notice */
	unsigned n_blind;  /* questions without an answer */
	struct buf out;	   /* JSON, which is printed at the end */
};

/* What a finding is made of; `fix` may be NULL. Nothing is kept. */
struct finding {
	const char *id;
	const char *severity; /* danger, warning, notice */
	const char *object, *message;
	const char *means;
	const char *fix;
};

void report_begin(struct report *r, bool json);
/* In text it is on stdout at once. */
void report_add(struct report *r, const struct finding *f);
/* A question that had no answer, with the reason, on stderr. */
void report_blind(struct report *r, const char *id, const char *why);
/* The last line, or all of the JSON; frees. The exit status: 0 clean, 1 something is to be mended,
 * 2 something could not be looked at. */
int report_end(struct report *r);

#endif
