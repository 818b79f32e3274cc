/* SPDX-License-Identifier: PostgreSQL
 * See schema.h. */
#include "config.h"
#include "types/schema.h"

#include <string.h>

#include "wire/json.h"

static const char *const kind_names[] = {
	[SHAPE_STRING] = "string",
	[SHAPE_NUMBER] = "number",
	[SHAPE_INTEGER] = "integer",
	[SHAPE_BOOLEAN] = "boolean",
};

static void add_string(struct buf *out, const char *text)
{
	json_string(out, text, strlen(text));
}

/* {"type": …}, or {} for what may be anything. */
static void add_kind(struct buf *out, enum shape_kind kind, bool nullable)
{
	buf_char(out, '{');
	if (kind != SHAPE_ANY)
		buf_printf(out, nullable ? "\"type\": [\"%s\", \"null\"]" : "\"type\": \"%s\"",
			   kind_names[kind]);
	buf_char(out, '}');
}

static void add_shape(struct buf *out, const struct shape *s)
{
	if (!s->array) {
		add_kind(out, s->kind, s->nullable);
		return;
	}
	buf_printf(out, "{\"type\": %s, \"items\": ",
		   s->nullable ? "[\"array\", \"null\"]" : "\"array\"");
	add_kind(out, s->kind, true);
	buf_char(out, '}');
}

static bool in_leave(const struct watch *w, const char *name)
{
	for (size_t i = 0; i < w->n_leave; i++)
		if (!strcmp(w->leave[i], name))
			return true;
	return false;
}

/* The document as an object that has these fields, and all of them. */
static void add_document(struct buf *out, const struct topic *topic, bool leave)
{
	const struct watch *w = topic->watch;
	bool first = true;

	buf_str(out, "    ");
	add_string(out, topic->name);
	if (leave) {
		out->len--; /* the quote */
		buf_str(out, "Leave\"");
	}
	buf_str(out, ": {\"type\": \"object\", \"additionalProperties\": false, \"properties\": {");
	for (size_t i = 0; i < w->n_fields; i++) {
		if (leave && !in_leave(w, w->fields[i].name))
			continue;
		buf_str(out, first ? "\n      " : ",\n      ");
		first = false;
		add_string(out, w->fields[i].name);
		buf_str(out, ": ");
		add_shape(out, &topic->shapes[i]);
	}
	buf_str(out, "},\n      \"required\": [");
	first = true;
	for (size_t i = 0; i < w->n_fields; i++) {
		if (leave && !in_leave(w, w->fields[i].name))
			continue;
		buf_str(out, first ? "" : ", ");
		first = false;
		add_string(out, w->fields[i].name);
	}
	buf_str(out, "]}");
}

/* One kind of message: which events, what `data` is, and which scopes there are. */
static void add_message(struct buf *out, const struct topic *topic, bool leave)
{
	buf_str(out,
		"    {\"type\": \"object\", \"required\": [\"event\", \"data\", \"timestamp\"");
	buf_str(out, leave ? ", \"scope\"], \"properties\": {\n" : "], \"properties\": {\n");
	buf_str(out, "      \"event\": {\"enum\": [");
	for (size_t i = 0; i < 3; i++) {
		static const char *const verbs[] = {"created", "updated", "deleted"};
		autobuf event = {0};

		if (leave && i != 1)
			continue;
		buf_init(&event, 1024);
		buf_printf(&event, "%s.%s", topic->watch->topic, verbs[i]);
		buf_str(out, i && !leave ? ", " : "");
		add_string(out, buf_cstr(&event));
	}
	buf_printf(out,
		   "]},\n      \"data\": {\"$ref\": \"#/$defs/%s%s\"},\n"
		   "      \"scope\": {\"const\": \"%s\"},\n"
		   "      \"timestamp\": {\"type\": \"integer\"}}}",
		   topic->name, leave ? "Leave" : "", leave ? "leave" : "enter");
}

static const char words[] =
	"    {\"type\": \"object\", \"required\": [\"event\", \"message\"], \"properties\": {\n"
	"      \"event\": {\"const\": \"connected\"}, \"message\": {\"type\": \"string\"},\n"
	"      \"keepalive\": {\"type\": \"integer\"}, \"user\": {\"type\": \"string\"}}},\n"
	"    {\"type\": \"object\", \"required\": [\"event\", \"timestamp\"], \"properties\": {\n"
	"      \"event\": {\"const\": \"keepalive\"}, \"timestamp\": {\"type\": \"integer\"}}},\n"
	"    {\"type\": \"object\", \"required\": [\"event\", \"data\", \"timestamp\"], "
	"\"properties\": {\n"
	"      \"event\": {\"const\": \"system.expiring\"}, \"timestamp\": {\"type\": "
	"\"integer\"},\n"
	"      \"data\": {\"type\": \"object\", \"required\": [\"stream\", \"seconds\"], "
	"\"properties\": {\n"
	"        \"stream\": {\"type\": \"string\"}, \"seconds\": {\"type\": \"integer\"}}}}},\n"
	"    {\"type\": \"object\", \"required\": [\"event\", \"data\", \"timestamp\"], "
	"\"properties\": {\n"
	"      \"event\": {\"const\": \"system.resync\"}, \"timestamp\": {\"type\": \"integer\"},\n"
	"      \"data\": {\"type\": \"object\", \"required\": [\"reason\", \"topics\"], "
	"\"properties\": {\n"
	"        \"reason\": {\"type\": \"string\"},\n"
	"        \"topics\": {\"type\": \"array\", \"items\": {\"type\": \"string\"}}}}}}";

static bool leaves(const struct topic *topic)
{
	return (topic->watch->n_owners || topic->watch->n_channels) && topic->watch->n_leave;
}

void schema_write(struct buf *out, const struct topics *t)
{
	buf_str(out, "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
		     "  \"oneOf\": [\n");
	buf_str(out, words);
	for (size_t i = 0; i < t->n; i++) {
		buf_str(out, ",\n");
		add_message(out, &t->items[i], false);
		if (!leaves(&t->items[i]))
			continue;
		buf_str(out, ",\n");
		add_message(out, &t->items[i], true);
	}
	buf_str(out, "\n  ],\n  \"$defs\": {\n");
	for (size_t i = 0; i < t->n; i++) {
		buf_str(out, i ? ",\n" : "");
		add_document(out, &t->items[i], false);
		if (!leaves(&t->items[i]))
			continue;
		buf_str(out, ",\n");
		add_document(out, &t->items[i], true);
	}
	buf_str(out, "\n  }\n}\n");
}
