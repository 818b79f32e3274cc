/* SPDX-License-Identifier: PostgreSQL
 * The document as it is, and nothing around it. What only the daemon can say has a name in SSE,
 * which a client of unnamed events does not hear; elsewhere the shape {"type": …, "object": …}. */
#include "config.h"
#include "wire/dialect.h"

#include <stdio.h>
#include <time.h>

#include "wire/json.h"

static void event(struct message *m, const struct news *n)
{
	json_text(&m->text, n->doc);
}

/* As sse-starlette has it, the client library's peer for which such pages were written. */
static void ping(struct message *m, const struct news *n)
{
	time_t at = (time_t)n->at;
	char text[40];
	struct tm tm;

	if (gmtime_r(&at, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S+00:00", &tm))
		buf_printf(&m->comment, "ping - %s", text);
	else
		buf_str(&m->comment, "ping");
}

/* Where there is no id, none of it is said. */
static void hello(struct message *m, const struct news *n)
{
	if (!n->id)
		return;
	buf_str(&m->text, "{\"type\": \"herald.hello\", \"object\": {");
	dialect_put_full(&m->text, n);
	dialect_put_id(&m->text, n);
	dialect_put_retry(&m->text, n);
	buf_str(&m->text, "}}");
}

static void resync(struct message *m, const struct news *n)
{
	buf_str(&m->text, "{\"type\": \"herald.gap\", \"object\": ");
	dialect_put_gap(&m->text, n);
	buf_char(&m->text, '}');
}

static void reply(struct message *m, const struct news *n)
{
	buf_str(&m->text, "{\"type\": ");
	dialect_put_word(&m->text, n);
	buf_str(&m->text, ", \"object\": ");
	json_text(&m->text, n->doc);
	dialect_put_request_id(&m->text, n);
	buf_char(&m->text, '}');
}

const struct dialect dialect_raw = {
	.name = "raw",
	.sse = {dialect_sse_full, event, dialect_sse_gap, ping, NULL, NULL},
	.object = {hello, event, resync, NULL, NULL, NULL},
	.reply = reply,
	.verbatim = true,
};
