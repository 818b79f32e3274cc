/* SPDX-License-Identifier: PostgreSQL
 * See inline.h. Everything here may come from anybody in the database. */
#include "config.h"
#include "pg/inline.h"

#include <string.h>

#include "base/buf.h"
#include "wire/array.h"
#include "wire/dialect.h"

#define TEXT_MAX   65536 /* bytes; a payload has 7999 at most, in the encoding of the database */
#define OWNERS_MAX 4096	 /* bytes */
#define TYPE_MAX   128

static bool read_object(const char *payload, struct scan *ret, const char **why)
{
	if (!scan_text(payload, strlen(payload), ret))
		*why = "not JSON as RFC 8259 has it, or nested too deep";
	else if (*ret->at != '{')
		*why = "not a JSON object";
	else
		return true;
	return false;
}

/* What a string member says, in a buffer that is set up here; false when there is none. */
static bool text_of(struct buf *b, struct scan o, const char *name)
{
	struct scan v;

	buf_init(b, TEXT_MAX);
	return scan_member(o, name, &v) && scan_string(v, b);
}

/* A string, or a number as it is spelled. What is neither is nobody. */
static void put_owner(struct buf *b, struct scan v)
{
	autobuf text = {0};

	buf_init(&text, TEXT_MAX);
	if (scan_is_integer(v))
		buf_add(&text, v.at, v.len);
	else if (!scan_string(v, &text))
		return;
	if (text.len)
		array_add(b, buf_cstr(&text));
}

/* One owner, or each of an array, as the journal has them. */
void inline_put_owners(struct buf *b, struct scan o, const char *name)
{
	struct scan v, one;

	if (!scan_member(o, name, &v))
		return;
	if (*v.at != '[')
		put_owner(b, v);
	else
		while (scan_next(&v, &one))
			put_owner(b, one);
}

/* The text of a member, or NULL when there is none or it is null. `b` has its bytes. */
static const char *json_of(struct buf *b, struct scan o, const char *name)
{
	struct scan v;

	buf_init(b, TEXT_MAX);
	if (!scan_member(o, name, &v) || scan_is_null(v))
		return NULL;
	buf_add(b, v.at, v.len);
	return buf_cstr(b);
}

bool inline_valid_type(const char *s)
{
	size_t len =
		strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-");

	return len && len <= TYPE_MAX && !s[len];
}

static bool allowed(const struct inline_topics *t, const char *topic, char op)
{
	for (size_t i = 0; i < t->n + (op == 'r' ? t->n_refetch : 0); i++)
		if (!strcmp(t->names[i], topic))
			return true;
	return false;
}

struct event *inline_from_trigger(const struct inline_topics *topics, const char *payload,
				  int64_t at, const char **why)
{
	autobuf topic = {0}, op = {0}, doc = {0}, leave = {0}, before = {0}, after = {0};
	struct event_row row = {.at = at};
	struct scan o;

	if (!read_object(payload, &o, why))
		return NULL;
	buf_init(&before, OWNERS_MAX);
	buf_init(&after, OWNERS_MAX);
	inline_put_owners(&before, o, "before");
	inline_put_owners(&after, o, "after");
	array_end(&before);
	array_end(&after);
	if (!text_of(&op, o, "op") || op.len != 1 || !strchr("iudtr", *op.data)) {
		*why = "no operation";
	} else if (!text_of(&topic, o, "topic") || !allowed(topics, buf_cstr(&topic), *op.data)) {
		*why = "no topic that is watched with capture = notify";
	} else if (!buf_ok(&before) || !buf_ok(&after)) {
		*why = "too many owners";
	} else {
		row.op = *op.data;
		row.topic = buf_cstr(&topic);
		row.doc = row.op == 'r' ? payload : json_of(&doc, o, "doc"); /* r: its reason */
		row.leave = json_of(&leave, o, "leave");
		row.before = buf_cstr(&before);
		row.after = buf_cstr(&after);
		return event_new(&row);
	}
	return NULL;
}

static bool is_watched(const struct inline_rule *rule, const char *type)
{
	for (size_t i = 0; i < rule->n_watched; i++)
		if (dialect_is_of(type, rule->watched[i]))
			return true;
	return false;
}

struct event *inline_from_application(const struct inline_rule *rule, const char *payload,
				      int64_t at, const char **why)
{
	autobuf type = {0}, doc = {0}, owners = {0};
	struct event_row row = {.op = 'u', .at = at, .topic = rule->topic, .doc = payload};
	struct scan o, v;

	if (!read_object(payload, &o, why))
		return NULL;
	buf_init(&owners, OWNERS_MAX);
	for (size_t i = 0; i < rule->n_owner_keys; i++)
		inline_put_owners(&owners, o, rule->owner_keys[i]);
	array_end(&owners);
	if (*rule->data_key)
		row.doc = json_of(&doc, o, rule->data_key);
	row.type = rule->topic;
	if (scan_member(o, rule->event_key, &v) && *v.at == '"')
		row.type = text_of(&type, o, rule->event_key) ? buf_cstr(&type) : "";
	if (!inline_valid_type(row.type)) {
		*why = "the event's type has bytes it must not have";
	} else if (dialect_reserves(row.type)) {
		*why = "the event's type is one of the daemon's own";
	} else if (is_watched(rule, row.type)) {
		*why = "the event's type is one of a watched table";
	} else if (!row.doc) {
		*why = "no document under the configured key";
	} else if (!buf_ok(&owners)) {
		*why = "too many owners";
	} else {
		row.before = row.after = buf_cstr(&owners);
		return event_new(&row);
	}
	return NULL;
}
