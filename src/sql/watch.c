/* SPDX-License-Identifier: PostgreSQL
 * See watch.h. A small recursive-descent reader; every complaint names the setting, the item and
 * the text it stopped at. */
#include "config.h"
#include "sql/watch.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sql/reader.h"
#include "wire/channel.h"

enum {
	MAX_TOPIC = 40,
	MAX_FIELDS = 200,
	MAX_OWNERS = 16,
	MAX_CHANNELS = 16,
	MAX_KEY = 8,
	MAX_HOPS = 4,
	MAX_COLUMNS = 4, /* of a channel's name */
};

/* schema.table */
static bool read_table(struct reader *r, char **schema, char **table)
{
	return reader_name(r, "a schema", schema) &&
	       reader_expect(r, ".", "the schema (write schema.table)") &&
	       reader_name(r, "a table", table);
}

/* What separates items: true with *more when another one follows. */
static bool read_separator(struct reader *r, bool *more)
{
	*more = reader_accept(r, ",");
	reader_skip_space(r);
	if (!*more && *r->p)
		return reader_complain(r, "unexpected text");
	return true;
}

bool watch_parse_table(const char *setting, const char *text, char **schema, char **table,
		       struct buf *error)
{
	struct reader r = {setting, text ? text : "", 0, error};
	bool more;

	if (!read_table(&r, schema, table) || !read_separator(&r, &more))
		return false;
	return !more || reader_complain(&r, "one table is wanted");
}

/* "a, b, c" into a new array. */
static bool read_names(struct reader *r, const char *what, size_t max, char ***names, size_t *n)
{
	bool more = true;

	while (more) {
		r->item++;
		if (*n == max)
			return reader_complain(r, "more than %zu names", max);
		*names = xrealloc(*names, *n + 1, sizeof(**names));
		(*names)[(*n)++] = NULL;
		if (!reader_name(r, what, &(*names)[*n - 1]))
			return false;
		for (size_t i = 0; i + 1 < *n; i++)
			if (strcmp((*names)[i], (*names)[*n - 1]) == 0)
				return reader_complain(r, "\"%s\" is there twice", (*names)[i]);
		if (!read_separator(r, &more))
			return false;
	}
	return true;
}

/* SCHEMA.TABLE[(KEY)].LABEL, after the arrow */
static bool read_join(struct reader *r, struct watch_field *f)
{
	if (!read_table(r, &f->join_schema, &f->join_table))
		return false;
	f->join_key = xstrdup("id");
	if (reader_accept(r, "(") &&
	    (!reader_name(r, "the key of the joined table", &f->join_key) ||
	     !reader_expect(r, ")", "the key of the joined table")))
		return false;
	return reader_expect(r, ".", "the joined table") &&
	       reader_name(r, "a column to show", &f->join_label);
}

static bool read_cast(struct reader *r, struct watch_field *f)
{
	autofree char *cast = NULL;

	if (!reader_name(r, "\"utc\" or \"text\" after \"::\"", &cast))
		return false;
	if (strcmp(cast, "utc") == 0)
		f->cast = CAST_UTC;
	else if (strcmp(cast, "text") == 0)
		f->cast = CAST_TEXT;
	else
		return reader_complain(r, "\"::%s\" is not known, only ::utc and ::text", cast);
	return true;
}

/* [NAME=]COLUMN[->...][::CAST] */
static bool read_field(struct reader *r, struct watch_field *f)
{
	if (!reader_name(r, "a column", &f->column))
		return false;
	if (reader_accept(r, "=")) {
		f->name = f->column;
		f->column = NULL;
		if (!reader_name(r, "a column after \"=\"", &f->column))
			return false;
	}
	if (reader_accept(r, "->")) {
		if (!f->name)
			return reader_complain(r, "a joined field needs a name: NAME=%s->...",
					       f->column);
		if (!read_join(r, f))
			return false;
	}
	if (!f->name)
		f->name = xstrdup(f->column);
	return !reader_accept(r, "::") || read_cast(r, f);
}

static bool read_fields(struct reader *r, struct watch *w)
{
	bool more = true;

	while (more) {
		struct watch_field *f;

		r->item++;
		if (w->n_fields == MAX_FIELDS)
			return reader_complain(r, "more than %d fields", MAX_FIELDS);
		w->fields = xrealloc(w->fields, w->n_fields + 1, sizeof(*w->fields));
		f = &w->fields[w->n_fields++];
		*f = (struct watch_field){0};
		if (!read_field(r, f))
			return false;
		for (size_t i = 0; i + 1 < w->n_fields; i++)
			if (strcmp(w->fields[i].name, f->name) == 0)
				return reader_complain(r, "two fields are named \"%s\"", f->name);
		if (!read_separator(r, &more))
			return false;
	}
	return true;
}

/* SCHEMA.TABLE.KEY.VALUE, after the arrow */
static bool read_hop(struct reader *r, struct watch_hop *h)
{
	return read_table(r, &h->schema, &h->table) &&
	       reader_expect(r, ".", "the table (write schema.table.fk.owner)") &&
	       reader_name(r, "the column that refers to us", &h->key) &&
	       reader_expect(r, ".", "the column that refers to us") &&
	       reader_name(r, "the column of the owner", &h->value);
}

/* COLUMN, and any number of times <-SCHEMA.TABLE.KEY.VALUE */
static bool read_owner(struct reader *r, struct watch_owner *o)
{
	if (!reader_name(r, "a column", &o->column))
		return false;
	while (reader_accept(r, "<-")) {
		if (o->n_hops == MAX_HOPS)
			return reader_complain(r, "more than %d tables on the way", MAX_HOPS);
		o->hops = xrealloc(o->hops, o->n_hops + 1, sizeof(*o->hops));
		o->hops[o->n_hops] = (struct watch_hop){0};
		if (!read_hop(r, &o->hops[o->n_hops++]))
			return false;
	}
	return true;
}

static bool read_owners(struct reader *r, struct watch *w)
{
	bool more = true;

	reader_skip_space(r);
	if (!*r->p)
		return true;
	while (more) {
		r->item++;
		if (w->n_owners == MAX_OWNERS)
			return reader_complain(r, "more than %d owners", MAX_OWNERS);
		w->owners = xrealloc(w->owners, w->n_owners + 1, sizeof(*w->owners));
		w->owners[w->n_owners] = (struct watch_owner){0};
		if (!read_owner(r, &w->owners[w->n_owners++]) || !read_separator(r, &more))
			return false;
	}
	return true;
}

static void add_piece(struct watch_channel *c, char *piece)
{
	c->pieces = xrealloc(c->pieces, c->n + 1, sizeof(*c->pieces));
	c->pieces[c->n++] = piece;
}

/* TEXT{COLUMN}TEXT… */
static bool read_channel(struct reader *r, struct watch_channel *c)
{
	const char *start = r->p;

	for (;;) {
		size_t len = strspn(r->p, CHANNEL_BYTES);
		char *column = NULL;
		bool ok;

		add_piece(c, xstrndup(r->p, len));
		r->p += len;
		if (*r->p != '{')
			break;
		if (c->n / 2 == MAX_COLUMNS)
			return reader_complain(r, "more than %d columns in a name", MAX_COLUMNS);
		r->p++;
		ok = reader_name(r, "a column", &column);
		add_piece(c, column ? column : xstrdup(""));
		if (!ok || !reader_expect(r, "}", "the column"))
			return false;
	}
	if (r->p - start > CHANNEL_MAX)
		return reader_complain(r, "the name of a channel has at most %d bytes",
				       CHANNEL_MAX);
	return r->p != start ||
	       reader_complain(r, "expected a channel: letters, digits, any of _.:@- and {column}");
}

bool watch_parse_channels(struct watch *w, const char *text, struct buf *error)
{
	struct reader r = {"channels", text, 0, error};
	bool more = true;

	reader_skip_space(&r);
	if (!*r.p)
		return true;
	while (more) {
		r.item++;
		if (w->n_channels == MAX_CHANNELS)
			return reader_complain(&r, "more than %d channels", MAX_CHANNELS);
		w->channels = xrealloc(w->channels, w->n_channels + 1, sizeof(*w->channels));
		w->channels[w->n_channels] = (struct watch_channel){0};
		reader_skip_space(&r);
		if (!read_channel(&r, &w->channels[w->n_channels++]) || !read_separator(&r, &more))
			return false;
	}
	return w->n_leave ||
	       reader_complain(&r, "no field shows the key; name in leave what is told of a "
				   "row that has left a channel");
}

static bool has_field(const struct watch *w, const char *name)
{
	for (size_t i = 0; i < w->n_fields; i++)
		if (strcmp(w->fields[i].name, name) == 0)
			return true;
	return false;
}

static bool is_key(const struct watch *w, const char *column)
{
	for (size_t i = 0; i < w->n_key; i++)
		if (strcmp(w->key[i], column) == 0)
			return true;
	return false;
}

/* Named ones, or else every field that shows a key column. */
static bool read_leave(struct reader *r, struct watch *w)
{
	reader_skip_space(r);
	if (*r->p) {
		if (!read_names(r, "a field", MAX_FIELDS, &w->leave, &w->n_leave))
			return false;
		for (size_t i = 0; i < w->n_leave; i++)
			if (!has_field(w, w->leave[i]))
				return reader_complain(r, "\"%s\" is not one of the fields",
						       w->leave[i]);
		return true;
	}
	for (size_t i = 0; i < w->n_fields; i++) {
		if (w->fields[i].join_table || !is_key(w, w->fields[i].column))
			continue;
		w->leave = xrealloc(w->leave, w->n_leave + 1, sizeof(*w->leave));
		w->leave[w->n_leave++] = xstrdup(w->fields[i].name);
	}
	if (w->n_owners && !w->n_leave)
		return reader_complain(
			r, "no field shows the key; name the fields a former owner gets");
	return true;
}

static bool read_topic(struct reader *r)
{
	size_t len = strspn(r->p, "abcdefghijklmnopqrstuvwxyz0123456789_");

	if (!len || len > MAX_TOPIC || r->p[len])
		return reader_complain(r, "a topic is 1 to %d of a-z, 0-9 and _", MAX_TOPIC);
	return true;
}

static bool parse(struct watch *w, const char *table, const char *key, const char *owners,
		  const char *fields, const char *leave, struct buf *error)
{
	struct reader r = {"topic", w->topic, 0, error};

	if (!read_topic(&r) || !watch_parse_table("table", table, &w->schema, &w->table, error))
		return false;
	r = (struct reader){"key", key ? key : "id", 0, error};
	if (!read_names(&r, "a column", MAX_KEY, &w->key, &w->n_key))
		return false;
	r = (struct reader){"owners", owners ? owners : "", 0, error};
	if (!read_owners(&r, w))
		return false;
	r = (struct reader){"fields", fields ? fields : "", 0, error};
	if (!read_fields(&r, w))
		return false;
	r = (struct reader){"leave", leave ? leave : "", 0, error};
	return read_leave(&r, w);
}

struct watch *watch_parse(const char *topic, const char *table, const char *key, const char *owners,
			  const char *fields, const char *leave, struct buf *error)
{
	struct watch *w = xcalloc(1, sizeof(*w));

	w->topic = xstrdup(topic ? topic : "");
	if (parse(w, table, key, owners, fields, leave, error))
		return w;
	watch_free(w);
	return NULL;
}

bool watch_has_hops(const struct watch *w)
{
	for (size_t i = 0; i < w->n_owners; i++)
		if (w->owners[i].n_hops)
			return true;
	return false;
}

static void free_names(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->n_fields; i++) {
		struct watch_field *f = &w->fields[i];

		free(f->name);
		free(f->column);
		free(f->join_schema);
		free(f->join_table);
		free(f->join_key);
		free(f->join_label);
	}
	for (size_t i = 0; i < w->n_owners; i++) {
		struct watch_owner *o = &w->owners[i];

		for (size_t k = 0; k < o->n_hops; k++) {
			free(o->hops[k].schema);
			free(o->hops[k].table);
			free(o->hops[k].key);
			free(o->hops[k].value);
		}
		free(o->hops);
		free(o->column);
	}
	for (size_t i = 0; i < w->n_channels; i++)
		free_names(w->channels[i].pieces, w->channels[i].n);
	free(w->channels);
	free(w->fields);
	free(w->owners);
	free_names(w->key, w->n_key);
	free_names(w->leave, w->n_leave);
	free(w->topic);
	free(w->schema);
	free(w->table);
	free(w);
}
