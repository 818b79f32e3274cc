/* SPDX-License-Identifier: PostgreSQL
 * SQL as a list of named steps, each one transaction. */
#ifndef PGHERALD_DBA_SCRIPT_H
#define PGHERALD_DBA_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct step {
	char *title; /* "watch estimate (public.api_estimate)" */
	char *sql;
};

struct script {
	struct step *items;
	size_t n;
};

/* Takes both strings over. */
void script_add(struct script *s, char *title, char *sql);
void script_free(struct script *s);
/* All the text to stdout. */
bool script_print(const struct script *s) MUST_CHECK;
/* What a step that is no template of sql/ begins with. */
void script_begin(struct buf *out);

#endif
