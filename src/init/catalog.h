/* SPDX-License-Identifier: PostgreSQL
 * What a database holds, as far as a configuration can be guessed from it: tables, columns, keys,
 * what refers to what. Pure data; init/look.c fills it from the server. */
#ifndef PGHERALD_INIT_CATALOG_H
#define PGHERALD_INIT_CATALOG_H

#include <stdbool.h>
#include <stddef.h>

#define CATALOG_MAX_TABLES 20000
#define NO_TABLE	   ((size_t)-1)

struct column {
	char *name;
	char *type;	  /* name in pg_type, of a domain that of its base: "int8", "varchar" */
	bool plain;	  /* the type is PostgreSQL's own */
	size_t refers;	  /* place of the table that a foreign key of this column alone points at */
	char *refers_key; /* and its column there */
	bool index;	  /* an index begins with it */
};

struct table {
	char *schema, *name;
	struct column *columns;
	size_t n;
	char **key; /* of the primary key */
	size_t n_key;
};

struct catalog {
	struct table *tables; /* sorted by schema and name */
	size_t n;
	char **apps; /* app_label of Django's content types */
	size_t n_apps;
};

void catalog_free(struct catalog *c);
/* A new, empty one at the end; valid until the next is added. */
struct table *catalog_add(struct catalog *c, const char *schema, const char *name);
struct column *table_add(struct table *t, const char *name, const char *type, bool plain);
void table_add_key(struct table *t, const char *column);
void catalog_add_app(struct catalog *c, const char *label);
/* The place of a table, or NO_TABLE; without `schema` that of public, else the
 * first of that name. */
size_t catalog_find(const struct catalog *c, const char *schema, const char *name);
/* NULL when there is none. */
const struct column *table_find(const struct table *t, const char *column);
/* Whether it is one of these words: "a b c". */
bool word_in(const char *word, const char *words);
/* A copy in lower case, as far as it is ASCII; the caller frees. */
char *word_lower(const char *word);

#endif
