/* SPDX-License-Identifier: PostgreSQL
 * See inline.h. */
#include "config.h"
#include "pg/inline.h"

#include <json-c/json.h>
#include <string.h>

#include "base/buf.h"

#define OWNERS_MAX 4096 /* bytes */
#define TYPE_MAX   128

/* A whole JSON object, nothing after it; the caller puts it back. PostgreSQL allows 7999 bytes. */
static struct json_object *parse_object(const char *payload, const char **why)
{
	struct json_tokener *t = json_tokener_new_ex(32);
	struct json_object *o;
	size_t len = strlen(payload);

	if (!t)
		return NULL;
	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(t, payload, (int)len + 1);
	if (json_tokener_get_error(t) != json_tokener_success || !o ||
	    !json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		o = NULL;
		*why = "not a JSON object";
	}
	json_tokener_free(t);
	return o;
}

static const char *text_of(struct json_object *o, const char *key)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, json_type_string))
		return NULL;
	return json_object_get_string(v);
}

/* One owner, or each of an array, joined as the journal's are. */
static void put_owners(struct buf *b, struct json_object *v)
{
	if (json_object_is_type(v, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(v); i++)
			if (!json_object_is_type(json_object_array_get_idx(v, i), json_type_array))
				put_owners(b, json_object_array_get_idx(v, i));
	} else if (json_object_is_type(v, json_type_string) ||
		   json_object_is_type(v, json_type_int)) {
		const char *s = json_object_get_string(v);

		if (!*s || strchr(s, '\x1f'))
			return;
		if (b->len)
			buf_char(b, '\x1f');
		buf_str(b, s);
	}
}

static void owners_of(struct buf *b, struct json_object *o, const char *key)
{
	struct json_object *v;

	if (json_object_object_get_ex(o, key, &v))
		put_owners(b, v);
}

static const char *json_of(struct json_object *o, const char *key)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, key, &v) || !v)
		return NULL;
	return json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN |
							 JSON_C_TO_STRING_NOSLASHESCAPE);
}

static bool valid_type(const char *s)
{
	size_t len =
		strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-");

	return len && len <= TYPE_MAX && !s[len];
}

struct event *inline_from_trigger(const char *payload, int64_t at, const char **why)
{
	struct json_object *o = parse_object(payload, why);
	const char *topic = o ? text_of(o, "topic") : NULL;
	const char *op = o ? text_of(o, "op") : NULL;
	struct event *e = NULL;
	autobuf before = {0}, after = {0};

	buf_init(&before, OWNERS_MAX);
	buf_init(&after, OWNERS_MAX);
	if (o) {
		owners_of(&before, o, "before");
		owners_of(&after, o, "after");
	}
	if (!o)
		;
	else if (!topic || !valid_type(topic) || !op || strlen(op) != 1 || !strchr("iudtr", *op))
		*why = "no topic or operation";
	else if (!buf_ok(&before) || !buf_ok(&after))
		*why = "too many owners";
	else {
		const struct event_row row = {
			.op = *op,
			.at = at,
			.topic = topic,
			.doc = *op == 'r' ? payload : json_of(o, "doc"), /* r: its reason */
			.leave = json_of(o, "leave"),
			.before = buf_cstr(&before),
			.after = buf_cstr(&after),
		};

		e = event_new(&row);
	}
	json_object_put(o);
	return e;
}

struct event *inline_from_application(const struct inline_rule *rule, const char *payload,
				      int64_t at, const char **why)
{
	struct json_object *o = parse_object(payload, why);
	const char *type, *doc;
	struct event *e = NULL;
	autobuf owners = {0};

	if (!o)
		return NULL;
	buf_init(&owners, OWNERS_MAX);
	for (size_t i = 0; i < rule->n_owner_keys; i++)
		owners_of(&owners, o, rule->owner_keys[i]);
	type = text_of(o, rule->event_key);
	doc = *rule->data_key ? json_of(o, rule->data_key) : payload;
	if (type && !valid_type(type))
		*why = "the event's type has bytes it must not have";
	else if (!doc)
		*why = "no document under the configured key";
	else if (!buf_ok(&owners))
		*why = "too many owners";
	else {
		const struct event_row row = {
			.op = 'u',
			.at = at,
			.topic = rule->topic,
			.type = type ? type : rule->topic,
			.doc = doc,
			.before = buf_cstr(&owners),
			.after = buf_cstr(&owners),
		};

		e = event_new(&row);
	}
	json_object_put(o);
	return e;
}
