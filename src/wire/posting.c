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

/* A string, or a whole number as its text; or nothing. */
static unsigned take_id(struct scan object, char **ret, struct buf *why)
{
	struct scan value;

	if (!scan_member(object, "id", &value) || scan_is_null(value))
		return 0;
	if (!scan_is_integer(value))
		return take_text(object, "id", ret, why);
	*ret = xstrndup(value.at, value.len);
	return 0;
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

static unsigned read_audience(struct scan body, bool broadcast, struct posting *m, struct buf *why)
{
	struct scan value;

	if (!broadcast)
		return take_text(body, "channel", &m->channel, why);
	if (scan_member(body, "channel", &value))
		return invalid(why, "What is posted here goes to everybody: no \"%s\".", "channel");
	m->channel = xstrdup("*");
	return 0;
}

unsigned posting_read(const char *text, size_t len, bool broadcast, struct posting *ret,
		      struct buf *why)
{
	struct scan body, value;
	unsigned status;

	*ret = (struct posting){0};
	if (!scan_text(text, len, &body)) {
		buf_printf(why, "The body is no JSON: see byte %zu.", place_of_fault(text, len));
		return MALFORMED;
	}
	if (*body.at != '{')
		return invalid(why, "The body must be an %s.", "object");
	status = read_audience(body, broadcast, ret, why);
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
	if (status || !scan_member(body, "persist", &value))
		return status;
	ret->persist = is_word(value, "true");
	if (!ret->persist && !is_word(value, "false"))
		return invalid(why, "\"%s\" must be true or false.", "persist");
	return !ret->persist || ret->key ? 0 : invalid(why, "What is kept needs an \"%s\".", "id");
}

void posting_clear(struct posting *m)
{
	free(m->channel);
	free(m->type);
	free(m->payload);
	free(m->key);
	*m = (struct posting){0};
}
