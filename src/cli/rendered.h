/* SPDX-License-Identifier: PostgreSQL
 * What a piece of our own rendered SQL promises: its statements, and out of them the functions,
 * triggers and rights. So the templates of sql/ stay the only place that says how things are. */
#ifndef PGHERALD_CLI_RENDERED_H
#define PGHERALD_CLI_RENDERED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* A function as CREATE FUNCTION has it. */
struct rendered_function {
	char *signature; /* pgherald.prune(interval, int) */
	char *body;	 /* what prosrc must be */
	char *settings;	 /* of its SET clauses: "search_path=pg_catalog, pg_temp" a line */
	bool definer;
	char volatility; /* as in provolatile */
};

struct rendered_trigger {
	char *name, *table;
	char *def; /* CREATE TRIGGER ..., with single spaces */
};

/* A right of a role: on pgherald's own object, or on columns of a table of the application. */
struct rendered_right {
	char *role;
	char *kind; /* "schema", "table" (sequences too), "function", "column" */
	char *privilege;
	char *object; /* as SQL */
	char *column; /* as in the catalog; NULL but for kind "column" */
};

struct rendered {
	struct rendered_function *functions;
	size_t n_functions;
	struct rendered_trigger *triggers;
	size_t n_triggers;
	struct rendered_right *rights;
	size_t n_rights;
	unsigned schema_version; /* 0 where the text does not say */
};

/* Adds what one piece has to `r`, which begins as {0}; what is there already is not doubled. */
void rendered_read(struct rendered *r, const char *text);
/* Whether `r` has this right. */
bool rendered_has_right(const struct rendered *r, const struct rendered_right *right) MUST_CHECK;
void rendered_free(struct rendered *r);

#endif
