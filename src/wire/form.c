/* SPDX-License-Identifier: PostgreSQL
 * See form.h. */
#include "config.h"
#include "wire/form.h"

#include <assert.h>
#include <string.h>

#include "wire/dialect.h"
#include "wire/ndjson.h"
#include "wire/sse.h"

#define MESSAGE_MAX ((size_t)1 << 30) /* PostgreSQL's own limit for a value */

/* A transport: what it puts around a dialect's JSON. */
static const struct form {
	const char *name, *media, *type, *title;
	const struct dialect *dialect;
	/* A message with an id and a time to come back in milliseconds; NULL and 0: without. */
	void (*message)(struct buf *b, const char *json, size_t len, const char *id,
			uint64_t retry_ms);
	/* What SSE can say without a message; NULL: it is said with one, or not at all. */
	void (*retry)(struct buf *b, uint64_t ms);
	void (*comment)(struct buf *b, const char *text);
	const char *probe;
} forms[N_FORMS] = {
	/* Event streams are UTF-8 (WHATWG HTML, section 9.2.5); some clients take what a proxy or
	 * they themselves guess when nothing is said. */
	[FORM_SSE] = {"sse", "text/event-stream", "text/event-stream; charset=utf-8", "SSE",
		      &dialect_django, sse_message, sse_retry, sse_comment, ":\n"},
	[FORM_NDJSON] = {"ndjson", "application/x-ndjson", "application/x-ndjson", "NDJSON",
			 &dialect_django, ndjson_message, NULL, NULL, NULL},
};

const char *form_name(enum wire_form form)
{
	return forms[form].name;
}

const char *form_media(enum wire_form form)
{
	return forms[form].media;
}

const char *form_type(enum wire_form form)
{
	return forms[form].type;
}

const char *form_title(enum wire_form form)
{
	return forms[form].title;
}

enum wire_form form_find(const char *name)
{
	enum wire_form form = 0;

	while (form < N_FORMS && strcmp(forms[form].name, name) != 0)
		form++;
	return form;
}

/* A message of the dialect, framed; the dialect's buffer is done with. */
static void put(enum wire_form form, struct buf *b, struct buf *json, const char *id,
		uint64_t retry_ms)
{
	assert(buf_ok(json)); /* PostgreSQL has no larger value */
	forms[form].message(b, buf_cstr(json), json->len, id, retry_ms);
	buf_free(json);
}

void form_hello(enum wire_form form, struct buf *b, const char *user, uint64_t keepalive_s,
		uint64_t retry_ms, const char *id)
{
	struct buf json;

	buf_init(&json, MESSAGE_MAX);
	forms[form].dialect->hello(&json, user, keepalive_s);
	put(form, b, &json, id, retry_ms);
}

void form_event(enum wire_form form, struct buf *b, const char *type, const char *doc,
		const char *scope, int64_t at, const char *id)
{
	struct buf json;

	buf_init(&json, MESSAGE_MAX);
	forms[form].dialect->event(&json, type, doc, scope, at);
	put(form, b, &json, id, 0);
}

void form_resync(enum wire_form form, struct buf *b, const char *reason, const char *topics,
		 int64_t at, const char *id)
{
	struct buf json;

	buf_init(&json, MESSAGE_MAX);
	forms[form].dialect->resync(&json, reason, topics, at);
	put(form, b, &json, id, 0);
}

void form_keepalive(enum wire_form form, struct buf *b, int64_t at, const char *id)
{
	struct buf json;

	buf_init(&json, MESSAGE_MAX);
	forms[form].dialect->keepalive(&json, at);
	put(form, b, &json, id, 0);
}

void form_farewell(enum wire_form form, struct buf *b, uint64_t retry_ms, int64_t at)
{
	struct buf json;

	if (forms[form].retry) {
		forms[form].retry(b, retry_ms);
		return;
	}
	buf_init(&json, MESSAGE_MAX);
	forms[form].dialect->farewell(&json, at);
	put(form, b, &json, NULL, retry_ms);
}

void form_comment(enum wire_form form, struct buf *b, const char *text)
{
	if (forms[form].comment)
		forms[form].comment(b, text);
}

void form_probe(enum wire_form form, struct buf *b, int64_t at)
{
	if (forms[form].probe)
		buf_str(b, forms[form].probe);
	else
		form_keepalive(form, b, at, NULL);
}
