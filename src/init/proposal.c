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

/* The grammar of [watch] has the last word, and every column must be there. */
static bool check(const struct catalog *c, const struct proposal *p, struct buf *error)
{
	const struct table *t = &c->tables[p->table];
	struct watch *w;
	autobuf name = {0}, key = {0};
	bool ok = true;

	buf_init(&name, TEXT_MAX);
	buf_init(&key, TEXT_MAX);
	ident_add_table(&name, t->schema, t->name);
	for (size_t i = 0; i < t->n_key; i++) {
		buf_str(&key, i ? ", " : "");
		ident_add(&key, t->key[i]);
	}
	w = watch_parse(p->topic, buf_cstr(&name), buf_cstr(&key), *p->owners ? p->owners : NULL,
			p->fields, NULL, error);
	if (!w)
		return false;
	for (size_t i = 0; ok && i < w->n_owners; i++)
		if (!table_find(t, w->owners[i].column)) {
			buf_printf(error, "%s has no column %s", buf_cstr(&name),
				   w->owners[i].column);
			ok = false;
		}
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
