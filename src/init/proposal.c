/* SPDX-License-Identifier: PostgreSQL
 * See proposal.h. */
#include "config.h"
#include "init/proposal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sql/ident.h"
#include "sql/watch.h"

enum { TEXT_MAX = 65536, TOPIC_MAX = 40, FIELDS_MAX = 60, LINE = 88 };

static char *lower(const char *s)
{
	char *low = xstrdup(s);

	for (char *p = low; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return low;
}

bool proposal_is_secret(const char *column)
{
	static const char *const parts[] = {"passw",	"secret",   "token",	"api_key",
					    "apikey",	"private",  "hash",	"salt",
					    "otp",	"cvv",	    "iban",	"ssn",
					    "passport", "card_num", "pin_code", "signature"};
	autofree char *low = lower(column);

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (strstr(low, parts[i]))
			return true;
	return word_in(low, "key pin pwd pass");
}

/* A name that the configuration can hold: quotes are fine, control characters are not. */
static bool sayable(const char *name)
{
	for (const char *p = name; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return false;
	return *name != '\0';
}

static bool is_text(const struct column *c)
{
	return c && c->plain && word_in(c->type, "varchar text bpchar");
}

/* Who reads "foreman_id: 7" wants the name. */
static const char *label_of(const struct table *t)
{
	static const char *const names[] = {"username", "name",	  "full_name", "title",
					    "label",	"number", "code",      "slug"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (is_text(table_find(t, names[i])))
			return names[i];
	return NULL;
}

/* Says who did something to the row, and not whose it is. */
static bool is_audit(const char *column)
{
	static const char *const parts[] = {"creat",  "updat", "modif",	 "edit", "chang",
					    "approv", "delet", "review", "clos", "_by"};
	autofree char *low = lower(column);

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (strstr(low, parts[i]))
			return true;
	return false;
}

/* Columns of a table that name its owners, the auditing ones only when there are no others. */
static size_t owner_columns(const struct table *t, size_t users, const char **ret, size_t max)
{
	size_t n = 0;

	for (int audit = 0; audit < 2 && !n; audit++)
		for (size_t i = 0; i < t->n && n < max; i++)
			if (t->columns[i].refers == users && sayable(t->columns[i].name) &&
			    is_audit(t->columns[i].name) == (audit == 1))
				ret[n++] = t->columns[i].name;
	return n;
}

/* Only a key and what refers to two tables: it stands between them. */
static bool is_between(const struct table *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++) {
		if (t->columns[i].refers != NO_TABLE)
			n++;
		else if (t->n_key != 1 || strcmp(t->columns[i].name, t->key[0]) != 0)
			return false;
	}
	return n == 2;
}

static bool of_application(const struct catalog *c, const struct django *d, size_t i)
{
	const struct table *t = &c->tables[i];

	return i != d->users && t->n_key && t->n_key <= 8 && sayable(t->name) &&
	       sayable(t->schema) && !django_owns(t->name);
}

/* "column<-schema.table.fk.owner" */
static void add_join(struct buf *out, const char *column, const struct table *t, const char *fk,
		     const char *owner)
{
	buf_str(out, out->len ? ", " : "");
	ident_add(out, column);
	buf_str(out, "<-");
	ident_add_table(out, t->schema, t->name);
	buf_char(out, '.');
	ident_add(out, fk);
	buf_char(out, '.');
	ident_add(out, owner);
}

enum { MAX_OWNERS = 4 };

static const char *own_columns(struct buf *out, const struct catalog *c, const struct django *d,
			       size_t i)
{
	const char *names[MAX_OWNERS];
	size_t n = owner_columns(&c->tables[i], d->users, names, MAX_OWNERS);

	for (size_t k = 0; k < n; k++) {
		buf_str(out, k ? ", " : "");
		ident_add(out, names[k]);
	}
	return n ? "It refers to a user." : NULL;
}

/* A part of something that has owners: an order's lines. */
static const char *by_whole(struct buf *out, const struct catalog *c, const struct django *d,
			    size_t i)
{
	const struct table *t = &c->tables[i];

	for (size_t k = 0; k < t->n; k++) {
		const struct column *col = &t->columns[k];
		const char *names[MAX_OWNERS];
		size_t n;

		if (col->refers == NO_TABLE || !of_application(c, d, col->refers) ||
		    col->refers == i)
			continue;
		n = owner_columns(&c->tables[col->refers], d->users, names, MAX_OWNERS);
		for (size_t o = 0; o < n; o++)
			add_join(out, col->name, &c->tables[col->refers], col->refers_key,
				 names[o]);
		if (n)
			return "It belongs to a row that has owners.";
	}
	return NULL;
}

/* Members in a table between this one and the users. */
static const char *by_members(struct buf *out, const struct catalog *c, const struct django *d,
			      size_t i)
{
	const char *why = NULL;

	for (size_t k = 0; k < c->n; k++) {
		const struct table *t = &c->tables[k];
		const struct column *ours = NULL, *user = NULL;

		if (!is_between(t))
			continue;
		for (size_t m = 0; m < t->n; m++) {
			if (t->columns[m].refers == i)
				ours = &t->columns[m];
			else if (t->columns[m].refers == d->users)
				user = &t->columns[m];
		}
		if (!ours || !user)
			continue;
		add_join(out, ours->refers_key, t, ours->name, user->name);
		why = "Its members stand in a table between it and the users.";
	}
	return why;
}

/* Of whoever owns something in it: a project with one's estimates. */
static const char *by_parts(struct buf *out, const struct catalog *c, const struct django *d,
			    size_t i)
{
	const char *why = NULL;

	for (size_t k = 0; k < c->n; k++) {
		const struct table *t = &c->tables[k];
		const char *names[MAX_OWNERS];
		size_t n;

		if (k == i || !of_application(c, d, k) || is_between(t))
			continue;
		n = owner_columns(t, d->users, names, MAX_OWNERS);
		for (size_t m = 0; n && m < t->n; m++) {
			const struct column *col = &t->columns[m];

			/* Without an index each change would read all of that table. */
			if (col->refers != i || !col->index)
				continue;
			for (size_t o = 0; o < n; o++)
				add_join(out, col->refers_key, t, col->name, names[o]);
			why = "It is everybody's who owns a row that refers to it.";
		}
	}
	return why;
}

static const char *guess_owners(struct buf *out, const struct catalog *c, const struct django *d,
				size_t i)
{
	const char *why;

	if (d->users == NO_TABLE)
		return NULL;
	why = own_columns(out, c, d, i);
	if (!why)
		why = by_members(out, c, d, i);
	if (!why)
		why = by_whole(out, c, d, i);
	if (!why)
		why = by_parts(out, c, d, i);
	return why;
}

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

static void add_item(struct buf *out, size_t *line, const struct buf *item)
{
	if (out->len)
		buf_char(out, ',');
	if (out->len && out->len - *line + item->len > LINE) {
		buf_str(out, "\n\t");
		*line = out->len;
	} else if (out->len) {
		buf_char(out, ' ');
	}
	buf_str(out, buf_cstr(item));
}

/* customer_name=customer_id->public.auth_user.username */
static bool add_label(struct buf *item, const struct catalog *c, const struct table *t,
		      const struct column *col)
{
	const struct table *other = col->refers == NO_TABLE ? NULL : &c->tables[col->refers];
	const char *label = other ? label_of(other) : NULL;
	size_t len = strlen(col->name);
	autofree char *name = NULL;

	if (!label || !sayable(other->name) || !sayable(other->schema))
		return false;
	if (len > 3 && !strcmp(col->name + len - 3, "_id"))
		len -= 3;
	name = xasprintf("%.*s_name", (int)len, col->name);
	if (table_find(t, name) || strlen(name) > 63)
		return false;
	ident_add(item, name);
	buf_char(item, '=');
	ident_add(item, col->name);
	buf_str(item, "->");
	ident_add_table(item, other->schema, other->name);
	if (strcmp(col->refers_key, "id") != 0) {
		buf_char(item, '(');
		ident_add(item, col->refers_key);
		buf_char(item, ')');
	}
	buf_char(item, '.');
	ident_add(item, label);
	return true;
}

static bool is_key(const struct table *t, const char *column)
{
	for (size_t i = 0; i < t->n_key; i++)
		if (!strcmp(t->key[i], column))
			return true;
	return false;
}

/* What a person can read; long documents, files and what sounds secret stay out. */
static bool tellable(const struct table *t, const struct column *c)
{
	return c->plain && sayable(c->name) && strlen(c->name) <= 63 &&
	       (is_key(t, c->name) || !proposal_is_secret(c->name)) &&
	       word_in(c->type, "int2 int4 int8 numeric float4 float8 bool varchar text bpchar date"
				" time timestamp timestamptz uuid");
}

static char *make_fields(const struct catalog *c, const struct table *t)
{
	struct buf out;
	size_t line = 0, n = 0;

	buf_init(&out, TEXT_MAX);
	for (size_t i = 0; i < t->n && n < FIELDS_MAX; i++) {
		const struct column *col = &t->columns[i];
		autobuf item = {0};

		if (!tellable(t, col))
			continue;
		buf_init(&item, TEXT_MAX);
		ident_add(&item, col->name);
		if (!strcmp(col->type, "timestamptz"))
			buf_str(&item, "::utc");
		add_item(&out, &line, &item);
		n++;
		buf_clear(&item);
		if (add_label(&item, c, t, col)) {
			add_item(&out, &line, &item);
			n++;
		}
	}
	return buf_steal(&out);
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
				  .fields = make_fields(c, &c->tables[table]),
				  .why = why};
}

void proposals_make(struct proposals *p, const struct catalog *c, const struct django *d)
{
	for (size_t i = 0; i < c->n; i++) {
		struct buf owners;
		const char *why;

		if (!of_application(c, d, i) || is_between(&c->tables[i]))
			continue;
		buf_init(&owners, TEXT_MAX);
		why = guess_owners(&owners, c, d, i);
		if (why) {
			add(p, c, i, buf_steal(&owners), why);
			continue;
		}
		buf_free(&owners);
		p->others = xrealloc(p->others, p->n_others + 1, sizeof(*p->others));
		p->others[p->n_others++] = i;
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
	for (size_t k = 0; k < p->n; k++)
		if (p->items[k].table == i) {
			buf_printf(error, "%s is named twice", table);
			return false;
		}
	buf_init(&guess, TEXT_MAX);
	if (*owners)
		buf_str(&guess, owners);
	else
		why = guess_owners(&guess, c, d, i);
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

void proposals_free(struct proposals *p)
{
	for (size_t i = 0; i < p->n; i++)
		clear(&p->items[i]);
	free(p->items);
	free(p->others);
	*p = (struct proposals){0};
}
