/* SPDX-License-Identifier: PostgreSQL
 * See proposal.h. */
#include "config.h"
#include "init/proposal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "init/fields.h"
#include "init/owners.h"
#include "sql/ident.h"
#include "sql/watch.h"

enum { TEXT_MAX = 65536, TOPIC_MAX = 40 };

/* The model's name: what follows the label of its application. */
static char *topic_of(const struct catalog *c, const struct table *t)
{
	const char *name = t->name;
	size_t cut = 0, n = 0;
	char *topic;

	for (size_t i = 0; i < c->n_apps; i++) {
		size_t len = strlen(c->apps[i]);

		if (!strncmp(name, c->apps[i], len) && name[len] == '_' && name[len + 1] &&
		    len + 1 > cut)
			cut = len + 1;
	}
	topic = xcalloc(TOPIC_MAX + 1, 1);
	for (const char *p = name + cut; *p && n < TOPIC_MAX; p++) {
		char low = (char)tolower((unsigned char)*p);

		topic[n++] = (low >= 'a' && low <= 'z') || (low >= '0' && low <= '9') ? low : '_';
	}
	return topic;
}

static bool taken(const struct proposals *p, const char *topic)
{
	for (size_t i = 0; i < p->n; i++)
		if (!strcmp(p->items[i].topic, topic))
			return true;
	return false;
}

static char *free_topic(const struct proposals *p, const struct catalog *c, const struct table *t)
{
	char *topic = topic_of(c, t);

	for (unsigned n = 2; taken(p, topic); n++) {
		free(topic);
		topic = n == 2 ? xasprintf("%.*s", TOPIC_MAX, t->name)
			       : xasprintf("%.*s_%u", TOPIC_MAX - 8, t->name, n);
		for (char *q = topic; *q; q++)
			if (!islower((unsigned char)*q) && !isdigit((unsigned char)*q))
				*q = '_';
	}
	return topic;
}

/* What `column` of that table needs to be looked for by: NULL, or "schema.table (column)". */
static char *no_index(const struct catalog *c, const char *schema, const char *table,
		      const char *column)
{
	size_t i = catalog_find(c, schema, table);
	const struct column *col = i == NO_TABLE ? NULL : table_find(&c->tables[i], column);
	struct buf text;

	if (!col || col->index)
		return NULL;
	buf_init(&text, TEXT_MAX);
	ident_add_table(&text, schema, table);
	buf_str(&text, " (");
	ident_add(&text, column);
	buf_char(&text, ')');
	buf_cstr(&text);
	return buf_steal(&text);
}

/* The first column of a way that has no index, of those by which rows are looked for; `sql check`
 * asks for the same (way-index). */
static char *unindexed(const struct catalog *c, const struct watch *w)
{
	char *missing = NULL;

	for (size_t i = 0; i < w->n_owners; i++) {
		const struct watch_owner *o = &w->owners[i];
		const char *schema = w->schema, *table = w->table, *back = o->column;

		for (size_t k = 0; k < o->n_hops && !missing; k++) {
			const struct watch_hop *hop = &o->hops[k];

			missing = no_index(c, schema, table, back);
			if (!missing)
				missing = no_index(c, hop->schema, hop->table, hop->key);
			schema = hop->schema;
			table = hop->table;
			back = hop->value;
		}
	}
	return missing;
}

/* The proposal as the grammar of [watch] reads it; NULL with `error`. */
static struct watch *parsed(const struct catalog *c, const struct proposal *p, struct buf *error)
{
	const struct table *t = &c->tables[p->table];
	autobuf name = {0}, key = {0};

	buf_init(&name, TEXT_MAX);
	buf_init(&key, TEXT_MAX);
	ident_add_table(&name, t->schema, t->name);
	for (size_t i = 0; i < t->n_key; i++) {
		buf_str(&key, i ? ", " : "");
		ident_add(&key, t->key[i]);
	}
	return watch_parse(p->topic, buf_cstr(&name), buf_cstr(&key), *p->owners ? p->owners : NULL,
			   p->fields, NULL, error);
}

/* Who gains or loses a row by a change of another table is told of it, where that costs no reading
 * of whole tables. */
static void decide_follow(const struct catalog *c, struct proposal *p)
{
	autobuf error = {0};
	struct watch *w;

	buf_init(&error, TEXT_MAX);
	w = parsed(c, p, &error);
	if (w && watch_has_hops(w)) {
		p->no_index = unindexed(c, w);
		p->follow = !p->no_index;
	}
	watch_free(w);
}

static void add(struct proposals *p, const struct catalog *c, size_t table, char *owners,
		const char *why)
{
	struct proposal *item;
	char *topic = free_topic(p, c, &c->tables[table]);

	p->items = xrealloc(p->items, p->n + 1, sizeof(*p->items));
	item = &p->items[p->n++];
	*item = (struct proposal){.table = table,
				  .topic = topic,
				  .owners = owners,
				  .fields = fields_guess(c, &c->tables[table]),
				  .why = why};
	decide_follow(c, item);
}

static void leave_out(struct proposals *p, size_t table)
{
	p->others = xrealloc(p->others, p->n_others + 1, sizeof(*p->others));
	p->others[p->n_others++] = table;
}

void proposals_make(struct proposals *p, const struct catalog *c, const struct django *d)
{
	for (size_t i = 0; i < c->n; i++) {
		struct buf owners;
		const char *why;

		if (!owners_of_application(c, d, i) || owners_is_between(&c->tables[i]))
			continue;
		buf_init(&owners, TEXT_MAX);
		why = fields_show_key(&c->tables[i]) ? owners_guess(&owners, c, d, i) : NULL;
		if (why) {
			add(p, c, i, buf_steal(&owners), why);
			continue;
		}
		buf_free(&owners);
		leave_out(p, i);
	}
}

static bool has_column(const struct catalog *c, const char *schema, const char *table,
		       const char *column, struct buf *error)
{
	size_t i = catalog_find(c, schema, table);

	if (i != NO_TABLE && table_find(&c->tables[i], column))
		return true;
	if (i == NO_TABLE)
		buf_str(error, "there is no table ");
	ident_add_table(error, schema, table);
	if (i != NO_TABLE) {
		buf_str(error, " has no column ");
		ident_add(error, column);
	}
	return false;
}

static bool has_way(const struct catalog *c, const struct watch *w, const struct watch_owner *o,
		    struct buf *error)
{
	bool ok = has_column(c, w->schema, w->table, o->column, error);

	for (size_t k = 0; ok && k < o->n_hops; k++)
		ok = has_column(c, o->hops[k].schema, o->hops[k].table, o->hops[k].key, error) &&
		     has_column(c, o->hops[k].schema, o->hops[k].table, o->hops[k].value, error);
	return ok;
}

/* The grammar of [watch] has the last word, and every column must be there. */
static bool check(const struct catalog *c, const struct proposal *p, struct buf *error)
{
	struct watch *w = parsed(c, p, error);
	bool ok = w != NULL;

	for (size_t i = 0; ok && i < w->n_owners; i++)
		ok = has_way(c, w, &w->owners[i], error);
	watch_free(w);
	return ok;
}

bool proposals_add(struct proposals *p, const struct catalog *c, const struct django *d,
		   const char *table, const char *owners, struct buf *error)
{
	autofree char *schema = NULL, *name = NULL;
	struct buf guess;
	const char *why = "As the command line says.";
	size_t i;

	if (!watch_parse_table("--watch", table, &schema, &name, error))
		return false;
	i = catalog_find(c, schema, name);
	if (i == NO_TABLE) {
		buf_printf(error, "there is no table %s", table);
		return false;
	}
	if (!c->tables[i].n_key || c->tables[i].n_key > 8) {
		buf_printf(error, "%s has no primary key of at most 8 columns", table);
		return false;
	}
	if (!fields_show_key(&c->tables[i])) {
		buf_printf(
			error,
			"the key of %s is of a type that is not PostgreSQL's own, or none that a "
			"person reads: write this [watch] by hand",
			table);
		return false;
	}
	for (size_t k = 0; k < p->n; k++)
		if (p->items[k].table == i) {
			buf_printf(error, "%s is named twice", table);
			return false;
		}
	buf_init(&guess, TEXT_MAX);
	if (*owners)
		buf_str(&guess, owners);
	else
		why = owners_guess(&guess, c, d, i);
	buf_cstr(&guess);
	add(p, c, i, guess.data ? buf_steal(&guess) : xstrdup(""),
	    why ? why : "Nobody owns its rows: only roles that receive all hear of it.");
	return check(c, &p->items[p->n - 1], error);
}

static void clear(struct proposal *p)
{
	free(p->topic);
	free(p->owners);
	free(p->fields);
	free(p->no_index);
}

void proposals_drop(struct proposals *p, size_t i)
{
	clear(&p->items[i]);
	p->n--;
	memmove(p->items + i, p->items + i + 1, (p->n - i) * sizeof(*p->items));
}

size_t proposals_limit(struct proposals *p, size_t most)
{
	size_t n = p->n > most ? p->n - most : 0;

	for (; p->n > most; proposals_drop(p, most))
		leave_out(p, p->items[most].table);
	return n;
}

void proposals_free(struct proposals *p)
{
	for (size_t i = 0; i < p->n; i++)
		clear(&p->items[i]);
	free(p->items);
	free(p->others);
	*p = (struct proposals){0};
}
