/* SPDX-License-Identifier: PostgreSQL
 * {"id": …, "type": …, "content": …}: messages and notifications; SSE events are named and have the
 * content alone. */
#include "config.h"
#include "wire/dialect.h"

#include "wire/json.h"

/* {"id": …, "type": */
static void begin(struct message *m, const struct news *n)
{
	buf_char(&m->text, '{');
	dialect_put_id(&m->text, n);
	dialect_member(&m->text, "type");
}

static void event(struct message *m, const struct news *n)
{
	begin(m, n);
	dialect_put_quoted_type(&m->text, n);
	buf_str(&m->text, ", \"content\": ");
	json_text(&m->text, n->doc);
	buf_char(&m->text, '}');
}

static void ping(struct message *m, const struct news *n)
{
	begin(m, n);
	buf_str(&m->text, "\"ping\"");
	dialect_put_full(&m->text, n);
	dialect_put_retry(&m->text, n);
	buf_char(&m->text, '}');
}

static void sse_ping(struct message *m, const struct news *n)
{
	(void)n;
	buf_str(&m->comment, "ping");
}

static void resync(struct message *m, const struct news *n)
{
	begin(m, n);
	buf_str(&m->text, "\"herald.gap\", \"content\": ");
	dialect_put_gap(&m->text, n);
	buf_char(&m->text, '}');
}

static void farewell(struct message *m, const struct news *n)
{
	begin(m, n);
	buf_str(&m->text, "\"herald.farewell\"");
	dialect_put_retry(&m->text, n);
	buf_char(&m->text, '}');
}

static void error(struct message *m, const struct news *n)
{
	begin(m, n);
	buf_str(&m->text, "\"error\", \"content\": ");
	dialect_put_error(&m->text, n);
	buf_char(&m->text, '}');
}

static void sse_error(struct message *m, const struct news *n)
{
	buf_str(&m->name, "error"); /* its clients wait for that name */
	dialect_put_error(&m->text, n);
}

/* Its clients know "error"; the other words are of its kind. */
static void reply(struct message *m, const struct news *n)
{
	begin(m, n);
	buf_printf(&m->text, "\"%s\", \"content\": ", n->type);
	json_text(&m->text, n->doc);
	dialect_put_request_id(&m->text, n);
	buf_char(&m->text, '}');
}

const struct dialect dialect_streaming = {
	.name = "streaming",
	.sse = {dialect_sse_full, dialect_sse_event, dialect_sse_gap, sse_ping, NULL, sse_error},
	.object = {ping, event, resync, ping, farewell, error},
	.reply = reply,
	.calls_roll = true,
};
