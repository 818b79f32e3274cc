/* SPDX-License-Identifier: PostgreSQL
 * See form.h. */
#include "config.h"
#include "wire/form.h"

#include <assert.h>
#include <string.h>

#include "wire/dialect.h"
#include "wire/ndjson.h"
#include "wire/poll.h"
#include "wire/sse.h"

#define MESSAGE_MAX ((size_t)1 << 30) /* PostgreSQL's own limit for a value */

/* A transport: what it puts around a dialect's JSON. */
static const struct form {
	const char *name, *media, *type, *title;
	const struct dialect *dialect;
	/* A message with an id and a time to come back in milliseconds; NULL and 0: without. */
	void (*message)(struct buf *b, const char *json, size_t len, const char *id,
			uint64_t retry_ms);
	/* What can be said without a message; NULL: it is said with one, or not at all. */
	void (*retry)(struct buf *b, uint64_t ms);
	void (*comment)(struct buf *b, const char *text);
	const char *probe;
	/* Of an answer: what stands before its first message, and its end. */
	const char *begin;
	void (*end)(struct buf *b, const char *id, uint64_t retry_ms);
	const char *broken;
} forms[N_FORMS] = {
	/* Event streams are UTF-8 (WHATWG HTML, section 9.2.5); some clients take what a proxy or
	 * they themselves guess when nothing is said. */
	[FORM_SSE] = {.name = "sse",
		      .media = "text/event-stream",
		      .type = "text/event-stream; charset=utf-8",
		      .title = "SSE",
		      .dialect = &dialect_django,
		      .message = sse_message,
		      .retry = sse_retry,
		      .comment = sse_comment,
		      .probe = ":\n"},
	[FORM_NDJSON] = {.name = "ndjson",
			 .media = "application/x-ndjson",
			 .type = "application/x-ndjson",
			 .title = "NDJSON",
			 .dialect = &dialect_django,
			 .message = ndjson_message},
	/* Not by Accept: many clients name application/json without a thought. */
	[FORM_POLL] = {.name = "poll",
		       .type = "application/json",
		       .title = "poll",
		       .dialect = &dialect_django,
		       .message = poll_message,
		       .probe = "\n",
		       .begin = POLL_BEGIN,
		       .end = poll_end,
		       .broken = POLL_BROKEN},
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

bool form_is_answer(enum wire_form form)
{
	return forms[form].end != NULL;
}

const char *form_break(enum wire_form form)
{
	return forms[form].broken ? forms[form].broken : "";
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

	if (forms[form].begin)
		buf_str(b, forms[form].begin);
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

void form_farewell(enum wire_form form, struct buf *b, uint64_t retry_ms, int64_t at,
		   const char *id)
{
	struct buf json;

	if (forms[form].end) {
		forms[form].end(b, id, retry_ms);
		return;
	}
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
