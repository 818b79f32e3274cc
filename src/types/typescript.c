/* SPDX-License-Identifier: PostgreSQL
 * See typescript.h. */
#include "config.h"
#include "types/typescript.h"

#include <ctype.h>
#include <string.h>

#include "wire/json.h"

static const char *const kind_names[] = {
	[SHAPE_ANY] = "unknown",    [SHAPE_STRING] = "string",	 [SHAPE_NUMBER] = "number",
	[SHAPE_INTEGER] = "number", [SHAPE_BOOLEAN] = "boolean",
};
static const char *const verbs[] = {"created", "updated", "deleted"};

static void add_string(struct buf *out, const char *text)
{
	json_string(out, text, strlen(text)); /* which is one of TypeScript, too */
}

/* A key as it is, if it is an identifier. */
static void add_key(struct buf *out, const char *name)
{
	bool plain = isalpha((unsigned char)*name) || *name == '_';

	for (const char *p = name; plain && *p; p++)
		plain = *p == '_' || isalnum((unsigned char)*p);
	if (plain)
		buf_str(out, name);
	else
		add_string(out, name);
}

static void add_shape(struct buf *out, const struct shape *s)
{
	const char *name = kind_names[s->kind];

	if (s->array && s->kind == SHAPE_ANY)
		buf_str(out, "unknown[]");
	else if (s->array) /* an item may be NULL, whatever the column says */
		buf_printf(out, "(%s | null)[]", name);
	else
		buf_str(out, name);
	if (s->nullable && (s->array || s->kind != SHAPE_ANY))
		buf_str(out, " | null");
}

static void add_leave(struct buf *out, const struct topic *topic)
{
	const struct watch *w = topic->watch;

	if ((!w->n_owners && !w->n_channels) || !w->n_leave)
		return;
	buf_printf(out,
		   "/** What is told to one whose row it was: `scope` is \"leave\". */\n"
		   "export type %sLeave = Pick<%s, ",
		   topic->name, topic->name);
	for (size_t i = 0; i < w->n_leave; i++) {
		buf_str(out, i ? " | " : "");
		add_string(out, w->leave[i]);
	}
	buf_str(out, ">;\n\n");
}

static void add_topic(struct buf *out, const struct topic *topic)
{
	const struct watch *w = topic->watch;

	buf_printf(out, "export interface %s {\n", topic->name);
	for (size_t i = 0; i < w->n_fields; i++) {
		buf_str(out, "  ");
		add_key(out, w->fields[i].name);
		buf_str(out, ": ");
		add_shape(out, &topic->shapes[i]);
		buf_str(out, ";\n");
	}
	buf_str(out, "}\n\n");
	add_leave(out, topic);
}

void typescript_write(struct buf *out, const struct topics *t)
{
	buf_str(out,
		"// Made by `pgherald types --ts`; another configuration makes another one.\n\n");
	for (size_t i = 0; i < t->n; i++)
		add_topic(out, &t->items[i]);
	buf_str(out,
		"/** For createHerald<Events>(): what an event of this name has as its data. */\n"
		"export interface Events {\n");
	for (size_t i = 0; i < t->n; i++)
		for (size_t k = 0; k < sizeof(verbs) / sizeof(*verbs); k++) {
			autobuf event = {0};

			buf_init(&event, 1024);
			buf_printf(&event, "%s.%s", t->items[i].watch->topic, verbs[k]);
			buf_str(out, "  ");
			add_string(out, buf_cstr(&event));
			buf_printf(out, ": %s;\n", t->items[i].name);
		}
	buf_str(out, "}\n");
}
