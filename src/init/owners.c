/* SPDX-License-Identifier: PostgreSQL
 * See owners.h. */
#include "config.h"
#include "init/owners.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "sql/ident.h"

/* A name that the configuration can hold: quotes are fine, control characters are not. */
bool owners_sayable(const char *name)
{
	size_t n;

	for (const char *p = name; *p; p += n) {
		n = utf8_len(p, strlen(p));
		if (!n || utf8_unseen(utf8_code(p, n)))
			return false;
	}
	return *name != '\0';
}

/* Says who did something to the row, and not whose it is. */
static bool is_audit(const char *column)
{
	static const char *const parts[] = {"creat",  "updat", "modif",	 "edit", "chang",
					    "approv", "delet", "review", "clos", "_by"};
	autofree char *low = word_lower(column);

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (strstr(low, parts[i]))
			return true;
	return false;
}

/* Columns of a table that name its owners, the auditing ones only when there are no others. */
static size_t owner_columns(const struct table *t, const struct django *d, const char **ret,
			    size_t max)
{
	size_t n = 0;

	for (int audit = 0; audit < 2 && !n; audit++)
		for (size_t i = 0; i < t->n && n < max; i++)
			if (django_names_user(d, &t->columns[i]) &&
			    is_audit(t->columns[i].name) == (audit == 1))
				ret[n++] = t->columns[i].name;
	return n;
}

/* Only a key and what refers to two tables: it stands between them. */
bool owners_is_between(const struct table *t)
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

bool owners_of_application(const struct catalog *c, const struct django *d, size_t i)
{
	const struct table *t = &c->tables[i];

	return i != d->users && t->n_key && t->n_key <= 8 && !django_owns(t->name);
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
	size_t n = owner_columns(&c->tables[i], d, names, MAX_OWNERS);

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

		if (col->refers == NO_TABLE || !owners_of_application(c, d, col->refers) ||
		    col->refers == i)
			continue;
		n = owner_columns(&c->tables[col->refers], d, names, MAX_OWNERS);
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

		if (!owners_is_between(t))
			continue;
		for (size_t m = 0; m < t->n; m++) {
			if (t->columns[m].refers == i)
				ours = &t->columns[m];
			else if (django_names_user(d, &t->columns[m]))
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

		if (k == i || !owners_of_application(c, d, k) || owners_is_between(t))
			continue;
		n = owner_columns(t, d, names, MAX_OWNERS);
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

const char *owners_guess(struct buf *out, const struct catalog *c, const struct django *d, size_t i)
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
