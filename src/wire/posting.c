/* SPDX-License-Identifier: PostgreSQL
 * See posting.h. */
#include "config.h"
#include "wire/posting.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "wire/scan.h"

#define MALFORMED 400
#define INVALID	  422

/* How far it is JSON. */
static size_t place_of_fault(const char *text, size_t len)
{
	struct json_tokener *t = json_tokener_new_ex(SCAN_DEPTH_MAX);
	size_t place;

	if (!t)
		return 0;
	json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	json_object_put(json_tokener_parse_ex(t, text, (int)len));
	place = json_tokener_get_parse_end(t);
	json_tokener_free(t);
	return place < len ? place : len;
}

void posting_fault(const char *text, size_t len, struct buf *why)
{
	buf_printf(why, "The body is no JSON: see byte %zu.", place_of_fault(text, len));
}

static unsigned invalid(struct buf *why, const char *fmt, const char *name)
{
	buf_printf(why, fmt, name); /* a literal of this file */
	return INVALID;
}

/* The text of a string that is there. */
static unsigned take_text(struct scan object, const char *name, char **ret, struct buf *why)
{
	autobuf text = {.max = POSTING_MAX};
	struct scan value;

	if (!scan_member(object, name, &value))
		return invalid(why, "\"%s\" is missing.", name);
	if (!scan_string(value, &text))
		return invalid(why, "\"%s\" must be a string.", name);
	free(*ret);
	*ret = xstrdup(buf_cstr(&text));
	return 0;
}

/* A string, or a whole number as its text. */
static unsigned take_name(struct scan object, const char *name, char **ret, struct buf *why)
{
	struct scan value;

	if (!scan_member(object, name, &value) || !scan_is_integer(value))
		return take_text(object, name, ret, why);
	*ret = xstrndup(value.at, value.len);
	return 0;
}

/* ... or nothing. */
static unsigned take_id(struct scan object, char **ret, struct buf *why)
{
	struct scan value;

	if (!scan_member(object, "id", &value) || scan_is_null(value))
		return 0;
	return take_name(object, "id", ret, why);
}

static bool is_word(struct scan value, const char *word)
{
	return value.len == strlen(word) && !memcmp(value.at, word, value.len);
}

static unsigned take_payload(struct scan object, const char *name, char **ret, struct buf *why)
{
	struct scan value;

	if (!scan_member(object, name, &value))
		return invalid(why, "\"%s\" is missing.", name);
	*ret = xstrndup(value.at, value.len);
	return 0;
}

static unsigned read_wrapped(struct scan message, struct posting *m, struct buf *why)
{
	unsigned status = take_text(message, "type", &m->type, why);

	if (!status)
		status = take_payload(message, "content", &m->payload, why);
	return status ? status : take_id(message, &m->key, why);
}

static unsigned read_event(struct scan body, struct posting *m, struct buf *why)
{
	unsigned status = take_text(body, "event", &m->type, why);

	if (!status)
		status = take_payload(body, "data", &m->payload, why);
	return status ? status : take_id(body, &m->key, why);
}

/* What a notification may say besides its title and content. */
static unsigned check_rest(struct scan body, const char **type, struct buf *why)
{
	static const char *const types[] = {"info", "success", "warning", "error"};
	autofree char *said = NULL;
	struct scan value;
	unsigned status = 0;

	*type = types[0];
	if (scan_member(body, "type", &value)) {
		*type = NULL;
		status = take_text(body, "type", &said, why);
		for (size_t i = 0; said && i < sizeof(types) / sizeof(*types); i++)
			if (!strcmp(said, types[i]))
				*type = types[i];
	}
	if (!status && !*type)
		status = invalid(why, "\"%s\" is one of info, success, warning and error.", "type");
	if (!status && scan_member(body, "auto_hide", &value) && !is_word(value, "true") &&
	    !is_word(value, "false"))
		status = invalid(why, "\"%s\" must be true or false.", "auto_hide");
	if (!status && scan_member(body, "duration", &value) &&
	    (!scan_is_integer(value) || *value.at == '-' || value.len > 10))
		status = invalid(why, "\"%s\" must be a number of milliseconds.", "duration");
	return status;
}

/* Its own members, in this order, whatever else the body has. */
static unsigned read_notification(struct scan body, struct posting *m, struct buf *why)
{
	static const char *const others[] = {"auto_hide", "duration"};
	autofree char *title = NULL, *content = NULL;
	autobuf payload = {.max = 2 * POSTING_MAX};
	struct scan value;
	const char *type;
	unsigned status = take_text(body, "title", &title, why);

	if (!status && !*title)
		status = invalid(why, "\"%s\" is empty.", "title");
	if (!status)
		status = take_text(body, "content", &content, why);
	if (!status)
		status = check_rest(body, &type, why);
	if (status)
		return status;
	buf_str(&payload, "{\"title\": ");
	(void)!scan_member(body, "title", &value);
	buf_add(&payload, value.at, value.len);
	buf_str(&payload, ", \"content\": ");
	(void)!scan_member(body, "content", &value);
	buf_add(&payload, value.at, value.len);
	buf_printf(&payload, ", \"type\": \"%s\"", type);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (scan_member(body, others[i], &value)) {
			buf_printf(&payload, ", \"%s\": ", others[i]);
			buf_add(&payload, value.at, value.len);
		}
	buf_char(&payload, '}');
	m->type = xstrdup("notification");
	m->payload = buf_steal(&payload);
	return take_id(body, &m->key, why);
}

/* Nobody named is never everybody, unless that is what was meant. */
static unsigned read_audience(struct scan body, enum posting_to to, struct posting *m,
			      struct buf *why)
{
	struct scan value;
	bool channel = scan_member(body, "channel", &value);
	bool user = scan_member(body, "user_id", &value);

	if (channel && user)
		return invalid(why, "A message goes to a \"channel\" or to a \"%s\".", "user_id");
	if (channel && to == POSTING_TO_USER)
		return invalid(why, "This goes to a user: no \"%s\".", "channel");
	if (user && to == POSTING_TO_CHANNEL)
		return invalid(why, "This goes to a channel: no \"%s\".", "user_id");
	if (user || to == POSTING_TO_USER)
		return take_name(body, "user_id", &m->user, why);
	if (channel || to == POSTING_TO_CHANNEL)
		return take_text(body, "channel", &m->channel, why);
	m->channel = xstrdup("*");
	return 0;
}

static unsigned read_whom(struct scan body, bool broadcast, struct posting *m, struct buf *why)
{
	static const char *const names[] = {"channel", "user_id"};
	struct scan value;

	for (size_t i = 0; broadcast && i < sizeof(names) / sizeof(*names); i++)
		if (scan_member(body, names[i], &value))
			return invalid(why, "What is posted here goes to everybody: no \"%s\".",
				       names[i]);
	if (broadcast || scan_member(body, "user_id", &value))
		return read_audience(body, POSTING_TO_ANY, m, why);
	return read_audience(body, POSTING_TO_CHANNEL, m, why);
}

static unsigned read_persist(struct scan body, struct posting *m, struct buf *why)
{
	struct scan value;

	if (!scan_member(body, "persist", &value))
		return 0;
	m->persist = is_word(value, "true");
	if (!m->persist && !is_word(value, "false"))
		return invalid(why, "\"%s\" must be true or false.", "persist");
	return !m->persist || m->key ? 0 : invalid(why, "What is kept needs an \"%s\".", "id");
}

unsigned posting_read(const char *text, size_t len, bool broadcast, struct posting *ret,
		      struct buf *why)
{
	struct scan body, value;
	unsigned status;

	*ret = (struct posting){0};
	if (!scan_text(text, len, &body)) {
		posting_fault(text, len, why);
		return MALFORMED;
	}
	if (*body.at != '{')
		return invalid(why, "The body must be an %s.", "object");
	status = read_whom(body, broadcast, ret, why);
	if (status)
		return status;
	if (scan_member(body, "message", &value))
		status = *value.at == '{' ? read_wrapped(value, ret, why)
					  : invalid(why, "\"%s\" must be an object.", "message");
	else if (scan_member(body, "event", &value))
		status = read_event(body, ret, why);
	else if (scan_member(body, "title", &value))
		status = read_notification(body, ret, why);
	else
		status = invalid(why, "%s", "There is no message, event or title in the body.");
	return status ? status : read_persist(body, ret, why);
}

unsigned posting_read_said(struct scan data, enum posting_to to, const char *type,
			   struct posting *ret, struct buf *why)
{
	struct scan value;
	unsigned status;

	*ret = (struct posting){.type = xstrdup(type)};
	if (*data.at != '{')
		return invalid(why, "\"%s\" must be an object.", "data");
	status = read_audience(data, to, ret, why);
	if (!status)
		status = take_payload(data, "content", &ret->payload, why);
	if (!status && scan_member(data, "type", &value))
		status = take_text(data, "type", &ret->type, why);
	if (!status)
		status = take_id(data, &ret->key, why);
	return status ? status : read_persist(data, ret, why);
}

size_t posting_bytes(const struct posting *m)
{
	const char *const parts[] = {m->channel, m->user, m->type, m->payload, m->key};
	size_t n = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		n += parts[i] ? strlen(parts[i]) + 1 : 0;
	return n;
}

void posting_clear(struct posting *m)
{
	free(m->channel);
	free(m->user);
	free(m->type);
	free(m->payload);
	free(m->key);
	*m = (struct posting){0};
}
