/* SPDX-License-Identifier: PostgreSQL
 * See watch.h. A small recursive-descent reader; every complaint names the setting, the item and
 * the text it stopped at. */
#include "config.h"
#include "sql/watch.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* PostgreSQL cuts longer identifiers (NAMEDATALEN - 1); we refuse them instead. */
enum { MAX_NAME = 63, MAX_TOPIC = 40, MAX_FIELDS = 200, MAX_OWNERS = 16, MAX_KEY = 8 };

/* A place in one setting. */
struct reader {
	const char *setting;
	const char *p;
	size_t item; /* from 1; 0 for a setting that is no list */
	struct buf *error;
};

static bool complain(const struct reader *r, const char *fmt, ...) PRINTF(2, 3);

static bool complain(const struct reader *r, const char *fmt, ...)
{
	va_list ap;
	int shown = (int)strnlen(r->p, 24);

	buf_clear(r->error);
	buf_str(r->error, r->setting);
	if (r->item)
		buf_printf(r->error, ", item %zu", r->item);
	buf_str(r->error, ": ");
	va_start(ap, fmt);
	buf_vprintf(r->error, fmt, ap);
	va_end(ap);
	if (shown)
		buf_printf(r->error, ", near \"%.*s%s\"", shown, r->p, shown == 24 ? "..." : "");
	else
		buf_str(r->error, ", at the end");
	return false;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_bare(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

static void skip_space(struct reader *r)
{
	while (is_space(*r->p))
		r->p++;
}

static bool accept(struct reader *r, const char *token)
{
	size_t len = strlen(token);

	skip_space(r);
	if (strncmp(r->p, token, len) != 0)
		return false;
	r->p += len;
	return true;
}

static bool expect(struct reader *r, const char *token, const char *after)
{
	return accept(r, token) || complain(r, "expected \"%s\" after %s", token, after);
}

/* An identifier as it stands in the catalog: bare, or "quoted" with "" for a quote. */
static bool read_name(struct reader *r, const char *what, char **ret)
{
	autobuf name;
	const char *start;

	buf_init(&name, MAX_NAME);
	skip_space(r);
	start = r->p;
	if (*r->p == '"') {
		for (r->p++; *r->p != '"' || r->p[1] == '"'; r->p++) {
			if ((unsigned char)*r->p < 0x20 || *r->p == 0x7f) {
				r->p = start;
				return complain(r, "%s has no closing quote or a control character",
						what);
			}
			if (*r->p == '"')
				r->p++;
			buf_char(&name, *r->p);
		}
		r->p++;
	} else {
		for (; is_bare(*r->p); r->p++)
			buf_char(&name, *r->p);
	}
	if (!buf_ok(&name)) {
		r->p = start;
		return complain(r, "%s is longer than %d bytes", what, MAX_NAME);
	}
	if (!name.len)
		return complain(r, "expected %s", what);
	/* it would end the body of the function that is generated */
	if (strstr(buf_cstr(&name), "$pgherald$")) {
		r->p = start;
		return complain(r, "%s may not contain \"$pgherald$\"", what);
	}
	free(*ret);
	*ret = buf_steal(&name);
	return true;
}

/* schema.table */
static bool read_table(struct reader *r, char **schema, char **table)
{
	return read_name(r, "a schema", schema) &&
	       expect(r, ".", "the schema (write schema.table)") && read_name(r, "a table", table);
}

/* What separates items: true with *more when another one follows. */
static bool read_separator(struct reader *r, bool *more)
{
	*more = accept(r, ",");
	skip_space(r);
	if (!*more && *r->p)
		return complain(r, "unexpected text");
	return true;
}

bool watch_parse_table(const char *setting, const char *text, char **schema, char **table,
		       struct buf *error)
{
	struct reader r = {setting, text ? text : "", 0, error};
	bool more;

	if (!read_table(&r, schema, table) || !read_separator(&r, &more))
		return false;
	return !more || complain(&r, "one table is wanted");
}

/* "a, b, c" into a new array. */
static bool read_names(struct reader *r, const char *what, size_t max, char ***names, size_t *n)
{
	bool more = true;

	while (more) {
		r->item++;
		if (*n == max)
			return complain(r, "more than %zu names", max);
		*names = xrealloc(*names, *n + 1, sizeof(**names));
		(*names)[(*n)++] = NULL;
		if (!read_name(r, what, &(*names)[*n - 1]))
			return false;
		for (size_t i = 0; i + 1 < *n; i++)
			if (strcmp((*names)[i], (*names)[*n - 1]) == 0)
				return complain(r, "\"%s\" is there twice", (*names)[i]);
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
	if (accept(r, "(") && (!read_name(r, "the key of the joined table", &f->join_key) ||
			       !expect(r, ")", "the key of the joined table")))
		return false;
	return expect(r, ".", "the joined table") &&
	       read_name(r, "a column to show", &f->join_label);
}

static bool read_cast(struct reader *r, struct watch_field *f)
{
	autofree char *cast = NULL;

	if (!read_name(r, "\"utc\" or \"text\" after \"::\"", &cast))
		return false;
	if (strcmp(cast, "utc") == 0)
		f->cast = CAST_UTC;
	else if (strcmp(cast, "text") == 0)
		f->cast = CAST_TEXT;
	else
		return complain(r, "\"::%s\" is not known, only ::utc and ::text", cast);
	return true;
}

/* [NAME=]COLUMN[->...][::CAST] */
static bool read_field(struct reader *r, struct watch_field *f)
{
	if (!read_name(r, "a column", &f->column))
		return false;
	if (accept(r, "=")) {
		f->name = f->column;
		f->column = NULL;
		if (!read_name(r, "a column after \"=\"", &f->column))
			return false;
	}
	if (accept(r, "->")) {
		if (!f->name)
			return complain(r, "a joined field needs a name: NAME=%s->...", f->column);
		if (!read_join(r, f))
			return false;
	}
	if (!f->name)
		f->name = xstrdup(f->column);
	return !accept(r, "::") || read_cast(r, f);
}

static bool read_fields(struct reader *r, struct watch *w)
{
	bool more = true;

	while (more) {
		struct watch_field *f;

		r->item++;
		if (w->n_fields == MAX_FIELDS)
			return complain(r, "more than %d fields", MAX_FIELDS);
		w->fields = xrealloc(w->fields, w->n_fields + 1, sizeof(*w->fields));
		f = &w->fields[w->n_fields++];
		*f = (struct watch_field){0};
		if (!read_field(r, f))
			return false;
		for (size_t i = 0; i + 1 < w->n_fields; i++)
			if (strcmp(w->fields[i].name, f->name) == 0)
				return complain(r, "two fields are named \"%s\"", f->name);
		if (!read_separator(r, &more))
			return false;
	}
	return true;
}

/* COLUMN or COLUMN<-SCHEMA.TABLE.FK.OWNER */
static bool read_owner(struct reader *r, struct watch_owner *o)
{
	if (!read_name(r, "a column", &o->column))
		return false;
	if (!accept(r, "<-"))
		return true;
	return read_table(r, &o->join_schema, &o->join_table) &&
	       expect(r, ".", "the table (write schema.table.fk.owner)") &&
	       read_name(r, "the column that refers to us", &o->join_fk) &&
	       expect(r, ".", "the column that refers to us") &&
	       read_name(r, "the column of the owner", &o->join_owner);
}

static bool read_owners(struct reader *r, struct watch *w)
{
	bool more = true;

	skip_space(r);
	if (!*r->p)
		return true;
	while (more) {
		r->item++;
		if (w->n_owners == MAX_OWNERS)
			return complain(r, "more than %d owners", MAX_OWNERS);
		w->owners = xrealloc(w->owners, w->n_owners + 1, sizeof(*w->owners));
		w->owners[w->n_owners] = (struct watch_owner){0};
		if (!read_owner(r, &w->owners[w->n_owners++]) || !read_separator(r, &more))
			return false;
	}
	return true;
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
	skip_space(r);
	if (*r->p) {
		if (!read_names(r, "a field", MAX_FIELDS, &w->leave, &w->n_leave))
			return false;
		for (size_t i = 0; i < w->n_leave; i++)
			if (!has_field(w, w->leave[i]))
				return complain(r, "\"%s\" is not one of the fields", w->leave[i]);
		return true;
	}
	for (size_t i = 0; i < w->n_fields; i++) {
		if (w->fields[i].join_table || !is_key(w, w->fields[i].column))
			continue;
		w->leave = xrealloc(w->leave, w->n_leave + 1, sizeof(*w->leave));
		w->leave[w->n_leave++] = xstrdup(w->fields[i].name);
	}
	if (w->n_owners && !w->n_leave)
		return complain(r, "no field shows the key; name the fields a former owner gets");
	return true;
}

static bool read_topic(struct reader *r)
{
	size_t len = strspn(r->p, "abcdefghijklmnopqrstuvwxyz0123456789_");

	if (!len || len > MAX_TOPIC || r->p[len])
		return complain(r, "a topic is 1 to %d of a-z, 0-9 and _", MAX_TOPIC);
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

		free(o->column);
		free(o->join_schema);
		free(o->join_table);
		free(o->join_fk);
		free(o->join_owner);
	}
	free(w->fields);
	free(w->owners);
	free_names(w->key, w->n_key);
	free_names(w->leave, w->n_leave);
	free(w->topic);
	free(w->schema);
	free(w->table);
	free(w);
}
