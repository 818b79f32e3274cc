/* SPDX-License-Identifier: PostgreSQL
 * See expected.h. */
#include "config.h"
#include "dba/expected.h"

#include <inttypes.h>
#include <string.h>

#include "dba/install.h"
#include "dba/statement.h"
#include "sql/ident.h"
#include "sql/render.h"
#include "sql/render_doc.h"
#include "sql/render_way.h"
#include "wire/json.h"

static void add_key(struct buf *out, const char *key)
{
	buf_str(out, out->data[out->len - 1] == '{' ? "\"" : ",\"");
	buf_str(out, key);
	buf_str(out, "\":");
}

static void add_text(struct buf *out, const char *key, const char *value)
{
	add_key(out, key);
	if (value)
		json_string(out, value, strlen(value));
	else
		buf_str(out, "null");
}

/* Begins the next object of an array, or the array's first. */
static void add_object(struct buf *out)
{
	buf_str(out, out->data[out->len - 1] == '[' ? "{" : ",{");
}

static void add_functions(struct buf *out, const struct objects *r)
{
	add_key(out, "functions");
	buf_char(out, '[');
	for (size_t i = 0; i < r->n_functions; i++) {
		const struct object_function *f = &r->functions[i];
		const char volatility[] = {f->volatility, '\0'};

		add_object(out);
		add_text(out, "signature", f->signature);
		add_text(out, "body", f->body);
		add_text(out, "settings", f->settings);
		add_text(out, "owner", f->owner);
		add_text(out, "volatility", volatility);
		add_key(out, "definer");
		buf_str(out, f->definer ? "true}" : "false}");
	}
	buf_char(out, ']');
}

static void add_triggers(struct buf *out, const struct objects *r)
{
	add_key(out, "triggers");
	buf_char(out, '[');
	for (size_t i = 0; i < r->n_triggers; i++) {
		add_object(out);
		add_text(out, "name", r->triggers[i].name);
		add_text(out, "rel", r->triggers[i].table);
		add_text(out, "def", r->triggers[i].def);
		buf_char(out, '}');
	}
	buf_char(out, ']');
}

static void add_rights(struct buf *out, const struct objects *r)
{
	add_key(out, "rights");
	buf_char(out, '[');
	for (size_t i = 0; i < r->n_rights; i++) {
		const struct object_right *w = &r->rights[i];

		add_object(out);
		add_text(out, "role", w->role);
		add_text(out, "kind", w->kind);
		add_text(out, "privilege", w->privilege);
		add_text(out, "object", w->object);
		add_text(out, "col", w->column);
		buf_char(out, '}');
	}
	buf_char(out, ']');
}

static void add_names(struct buf *out, const char *name)
{
	if (out->data[out->len - 1] != '[')
		buf_char(out, ',');
	json_string(out, name, strlen(name));
}

static void add_table(struct buf *out, const char *schema, const char *table)
{
	autobuf name = {0};

	buf_init(&name, STATEMENT_MAX);
	ident_add_table(&name, schema, table);
	add_names(out, buf_cstr(&name));
}

static void add_text_column(void *arg, const struct table_column *c)
{
	struct buf *out = arg;
	autobuf table = {0};

	buf_init(&table, STATEMENT_MAX);
	ident_add_table(&table, c->schema, c->table);
	add_object(out);
	add_text(out, "rel", buf_cstr(&table));
	add_text(out, "name", c->column);
	buf_str(out, c->spelled ? ",\"spelled\":true}" : "}");
}

/* A table on the way to owners, and the column that leads back from it. */
static void add_way(void *arg, const struct way *way)
{
	struct buf *out = arg;
	const struct watch_hop *h = way->hop, *before = way->place ? h - 1 : NULL;
	autobuf table = {0}, back = {0};

	buf_init(&table, STATEMENT_MAX);
	ident_add_table(&table, h->schema, h->table);
	buf_init(&back, STATEMENT_MAX);
	ident_add_table(&back, before ? before->schema : way->watch->schema,
			before ? before->table : way->watch->table);
	add_object(out);
	add_text(out, "rel", buf_cstr(&table));
	add_text(out, "key", h->key);
	add_text(out, "value", h->value);
	add_text(out, "back_rel", buf_cstr(&back));
	add_text(out, "back", before ? before->value : way->owner->column);
	buf_char(out, '}');
}

static void add_owners(struct buf *out, const struct watch *w)
{
	add_key(out, "follow");
	buf_str(out, w->follow ? "true" : "false");
	add_key(out, "ways");
	buf_char(out, '[');
	ways_of(w, add_way, out);
	buf_char(out, ']');
	add_key(out, "owners");
	buf_char(out, '[');
	for (size_t i = 0; i < w->n_owners; i++)
		if (!w->owners[i].n_hops)
			add_names(out, w->owners[i].column);
	buf_char(out, ']');
	add_key(out, "rescope");
	buf_char(out, '[');
	for (size_t i = 0; i < w->n_rescope; i++)
		add_names(out, w->rescope[i]);
	buf_char(out, ']');
}

/* What is asked of the application. */
static bool add_asked(struct buf *out, const struct conf *conf)
{
	autobuf error = {.max = 1024};
	bool ok = true;

	add_key(out, "asked");
	buf_char(out, '[');
	for (size_t i = 0; ok && i < conf->n_routes; i++) {
		autobuf signature = {.max = STATEMENT_MAX};

		if (!*conf->routes[i].authorize)
			continue;
		ok = render_authorize_asked(&signature, conf->routes[i].authorize, &error);
		add_object(out);
		add_text(out, "route", conf->routes[i].name);
		add_text(out, "signature", buf_cstr(&signature));
		buf_char(out, '}');
	}
	buf_char(out, ']');
	return ok;
}

static void add_watch(struct buf *out, const struct watch *w)
{
	autobuf table = {0};

	buf_init(&table, 1024);
	ident_add_table(&table, w->schema, w->table);
	add_object(out);
	add_text(out, "topic", w->topic);
	add_text(out, "rel", buf_cstr(&table));
	add_key(out, "key");
	buf_char(out, '[');
	for (size_t i = 0; i < w->n_key; i++)
		add_names(out, w->key[i]);
	buf_char(out, ']');
	add_key(out, "columns");
	buf_char(out, '[');
	for (size_t i = 0; i < w->n_fields; i++)
		add_names(out, w->fields[i].column);
	for (size_t i = 0; i < w->n_owners; i++)
		add_names(out, w->owners[i].column);
	for (size_t i = 0; i < w->n_channels; i++)
		for (size_t k = 1; k < w->channels[i].n; k += 2)
			add_names(out, w->channels[i].pieces[k]);
	buf_char(out, ']');
	add_key(out, "text_columns");
	buf_char(out, '[');
	if (!w->notify)
		text_columns_of(w, add_text_column, out);
	buf_char(out, ']');
	add_key(out, "utc_columns");
	buf_char(out, '[');
	utc_columns_of(w, add_text_column, out);
	buf_char(out, ']');
	add_owners(out, w);
	add_key(out, "notify");
	buf_str(out, w->notify ? "true" : "false");
	add_key(out, "looks");
	buf_char(out, '[');
	for (size_t i = 0; i < w->n_fields; i++)
		if (w->fields[i].join_table)
			add_table(out, w->fields[i].join_schema, w->fields[i].join_table);
	for (size_t i = 0; i < w->n_owners; i++)
		for (size_t k = 0; k < w->owners[i].n_hops; k++)
			add_table(out, w->owners[i].hops[k].schema, w->owners[i].hops[k].table);
	buf_str(out, "]}");
}

bool expected_json(struct buf *out, const struct conf *conf, int pid)
{
	static const char *const doorbells[] = {"auto", "notify",
						"poll"}; /* as conf/table.c has them */
	struct objects r = {0};
	bool ok;

	if (!install_objects(&r, conf))
		return false;
	buf_printf(out,
		   "{\"pid\":%d,\"schema_version\":%u,\"retention_ms\":%" PRIu64
		   ",\"journal_size\":%" PRIu64,
		   pid, r.schema_version, conf->retention_ms, conf->journal_size);
	add_text(out, "login", conf->login);
	add_text(out, "doorbell", doorbells[conf->doorbell]);
	add_key(out, "trusted_owners");
	buf_char(out, '[');
	for (size_t i = 0; i < conf->trusted_owners.n; i++)
		add_names(out, conf->trusted_owners.items[i]);
	buf_char(out, ']');
	add_functions(out, &r);
	add_triggers(out, &r);
	add_rights(out, &r);
	add_key(out, "watches");
	buf_char(out, '[');
	for (size_t i = 0; i < conf->n_watches; i++)
		add_watch(out, conf->watches[i].parsed);
	buf_str(out, "]");
	ok = add_asked(out, conf);
	buf_char(out, '}');
	objects_free(&r);
	return ok && buf_ok(out);
}
