/* SPDX-License-Identifier: PostgreSQL
 * See catalog.h. */
#include "config.h"
#include "init/catalog.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static void free_all(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

static void table_clear(struct table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->columns[i].name);
		free(t->columns[i].type);
		free(t->columns[i].refers_key);
	}
	free(t->columns);
	free_all(t->key, t->n_key);
	free(t->schema);
	free(t->name);
}

void catalog_free(struct catalog *c)
{
	for (size_t i = 0; i < c->n; i++)
		table_clear(&c->tables[i]);
	free(c->tables);
	free_all(c->apps, c->n_apps);
	*c = (struct catalog){0};
}

struct table *catalog_add(struct catalog *c, const char *schema, const char *name)
{
	struct table *t;

	c->tables = xrealloc(c->tables, c->n + 1, sizeof(*c->tables));
	t = &c->tables[c->n++];
	*t = (struct table){.schema = xstrdup(schema), .name = xstrdup(name)};
	return t;
}

struct column *table_add(struct table *t, const char *name, const char *type, bool plain)
{
	struct column *col;

	t->columns = xrealloc(t->columns, t->n + 1, sizeof(*t->columns));
	col = &t->columns[t->n++];
	*col = (struct column){
		.name = xstrdup(name), .type = xstrdup(type), .plain = plain, .refers = NO_TABLE};
	return col;
}

static void add_text(char ***texts, size_t *n, const char *text)
{
	*texts = xrealloc(*texts, *n + 1, sizeof(**texts));
	(*texts)[(*n)++] = xstrdup(text);
}

void table_add_key(struct table *t, const char *column)
{
	add_text(&t->key, &t->n_key, column);
}

void catalog_add_app(struct catalog *c, const char *label)
{
	add_text(&c->apps, &c->n_apps, label);
}

size_t catalog_find(const struct catalog *c, const char *schema, const char *name)
{
	size_t first = NO_TABLE;

	for (size_t i = 0; i < c->n; i++) {
		if (strcmp(c->tables[i].name, name) != 0)
			continue;
		if (!strcmp(c->tables[i].schema, schema ? schema : "public"))
			return i;
		if (!schema && first == NO_TABLE)
			first = i;
	}
	return first;
}

const struct column *table_find(const struct table *t, const char *column)
{
	for (size_t i = 0; i < t->n; i++)
		if (!strcmp(t->columns[i].name, column))
			return &t->columns[i];
	return NULL;
}

bool word_in(const char *word, const char *words)
{
	size_t len = strlen(word);

	for (const char *p = words; *p; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");

		if (n == len && !memcmp(p, word, n))
			return true;
		p += n;
	}
	return false;
}

char *word_lower(const char *word)
{
	char *low = xstrdup(word);

	for (char *p = low; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return low;
}
