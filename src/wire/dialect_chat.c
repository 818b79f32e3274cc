/* SPDX-License-Identifier: PostgreSQL
 * {"event_type": …, "payload": …}: the SSE events are named, and have the payload alone; the
 * greeting of an object's stream is a heartbeat. */
#include "config.h"
#include "wire/dialect.h"

#include "wire/json.h"

static void event(struct message *m, const struct news *n)
{
	buf_str(&m->text, "{\"event_type\": ");
	dialect_put_quoted_type(&m->text, n);
	buf_str(&m->text, ", \"payload\": ");
	json_text(&m->text, n->doc);
	dialect_put_id(&m->text, n);
	buf_char(&m->text, '}');
}

static void beat(struct message *m, const struct news *n)
{
	buf_str(&m->text, "{\"event_type\": \"heartbeat\", \"payload\": {\"timestamp\": ");
	dialect_put_time(&m->text, n);
	dialect_put_full(&m->text, n);
	dialect_put_id(&m->text, n);
	dialect_put_retry(&m->text, n);
	buf_str(&m->text, "}}");
}

static void heartbeat(struct message *m, const struct news *n)
{
	(void)n;
	buf_str(&m->comment, "heartbeat");
}

static void resync(struct message *m, const struct news *n)
{
	buf_str(&m->text, "{\"event_type\": \"herald.gap\", \"payload\": ");
	dialect_put_gap(&m->text, n);
	dialect_put_id(&m->text, n);
	buf_char(&m->text, '}');
}

static void farewell(struct message *m, const struct news *n)
{
	buf_str(&m->text, "{\"event_type\": \"herald.farewell\", \"payload\": {\"timestamp\": ");
	dialect_put_time(&m->text, n);
	dialect_put_retry(&m->text, n);
	buf_str(&m->text, "}}");
}

static void error(struct message *m, const struct news *n)
{
	buf_printf(
		&m->text,
		"{\"event_type\": \"error\", \"payload\": {\"type\": \"%s\", \"error\": \"%s\"}}",
		n->type, n->reason);
}

static void sse_error(struct message *m, const struct news *n)
{
	buf_str(&m->name, "stream-error"); /* "error" is EventSource's own */
	buf_printf(&m->text, "{\"type\": \"%s\", \"error\": \"%s\"}", n->type, n->reason);
}

static void reply(struct message *m, const struct news *n)
{
	buf_str(&m->text, "{\"event_type\": ");
	dialect_put_word(&m->text, n);
	buf_str(&m->text, ", \"payload\": ");
	json_text(&m->text, n->doc);
	dialect_put_request_id(&m->text, n);
	buf_char(&m->text, '}');
}

const struct dialect dialect_chat = {
	.name = "chat",
	.sse = {dialect_sse_full, dialect_sse_event, dialect_sse_gap, heartbeat, NULL, sse_error},
	.object = {beat, event, resync, beat, farewell, error},
	.reply = reply,
};
