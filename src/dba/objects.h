/* SPDX-License-Identifier: PostgreSQL
 * What a piece of our own rendered SQL promises: its statements, and out of them the functions,
 * triggers and rights. So the templates of sql/ stay the only place that says how things are. */
#ifndef PGHERALD_DBA_OBJECTS_H
#define PGHERALD_DBA_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* A function as CREATE FUNCTION has it. */
struct object_function {
	char *signature; /* pgherald.prune(interval, int) */
	char *body;	 /* what prosrc must be */
	char *settings;	 /* of its SET clauses: "search_path=pg_catalog, pg_temp" a line */
	char *owner;	 /* the role that made it */
	bool definer;
	char volatility; /* as in provolatile */
};

struct object_trigger {
	char *name, *table;
	char *def; /* CREATE TRIGGER ..., with single spaces */
};

/* A right of a role: on pgherald's own object, or on columns of a table of the application. */
struct object_right {
	char *role;
	char *kind; /* "schema", "table" (sequences too), "function", "column" */
	char *privilege;
	char *object; /* as SQL */
	char *column; /* as in the catalog; NULL but for kind "column" */
};

struct objects {
	struct object_function *functions;
	size_t n_functions;
	struct object_trigger *triggers;
	size_t n_triggers;
	struct object_right *rights;
	size_t n_rights;
	unsigned schema_version; /* 0 where the text does not say */
	char *role;		 /* while reading: who the statement is run as */
};

/* Adds what one piece has to `r`, which begins as {0}; what is there already is not doubled. */
void objects_read(struct objects *r, const char *text);
/* Whether `r` has this right. */
bool objects_has_right(const struct objects *r, const struct object_right *right) MUST_CHECK;
void objects_free(struct objects *r);

#endif
