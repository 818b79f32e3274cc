/* SPDX-License-Identifier: PostgreSQL
 * What SSE itself has a place for, and no more: the event's name, its document, id, retry.
 * Elsewhere
 * {"id": …, "type": …, "channel": …, "data": …, "ts": …, "txid": …}. */
#include "config.h"
#include "wire/dialect.h"

#include <string.h>

#include "wire/json.h"

static void put_hello(struct buf *b, const struct news *n)
{
	buf_str(b, "{\"keepalive\": ");
	buf_u64(b, n->keepalive_s);
	buf_printf(b, ", \"resumed\": %s", n->resumed ? "true" : "false");
	if (n->server)
		buf_printf(b, ", \"server\": \"%s\"", n->server);
	if (n->full && n->user) {
		dialect_member(b, "user");
		json_string(b, n->user, strlen(n->user));
	}
	if (n->full && n->stream) {
		dialect_member(b, "stream");
		json_string(b, n->stream, strlen(n->stream));
	}
	buf_char(b, '}');
}

static void sse_hello(struct message *m, const struct news *n)
{
	buf_str(&m->name, "herald.hello");
	put_hello(&m->text, n);
}

/* Into the document, when that is an object: SSE has no other place that a page could read. */
static void put_inside(struct buf *b, uint64_t txid)
{
	while (b->len && strchr(" \t\r\n", b->data[b->len - 1]))
		b->data[--b->len] = '\0';
	if (!b->len || b->data[b->len - 1] != '}')
		return;
	do
		b->data[--b->len] = '\0';
	while (b->len && strchr(" \t\r\n", b->data[b->len - 1]));
	dialect_member(b, "txid");
	buf_u64(b, txid);
	buf_char(b, '}');
}

static void sse_event(struct message *m, const struct news *n)
{
	dialect_sse_event(m, n);
	if (n->tell_txid && n->txid && buf_ok(&m->text))
		put_inside(&m->text, n->txid);
}

static void sse_beat(struct message *m, const struct news *n)
{
	(void)n;
	buf_str(&m->comment, "hb");
}

/* {"id": …, "type": */
static void begin(struct message *m, const struct news *n)
{
	buf_char(&m->text, '{');
	dialect_put_id(&m->text, n);
	dialect_member(&m->text, "type");
}

static void hello(struct message *m, const struct news *n)
{
	begin(m, n);
	buf_str(&m->text, "\"herald.hello\", \"data\": ");
	put_hello(&m->text, n);
	dialect_put_retry(&m->text, n);
	buf_char(&m->text, '}');
}

static void put_ts(struct buf *b, const struct news *n)
{
	dialect_member(b, "ts");
	dialect_put_time(b, n);
}

static void event(struct message *m, const struct news *n)
{
	begin(m, n);
	dialect_put_quoted_type(&m->text, n);
	buf_str(&m->text, ", \"channel\": ");
	if (n->channel)
		json_string(&m->text, n->channel, strlen(n->channel));
	else
		buf_str(&m->text, "null");
	buf_str(&m->text, ", \"data\": ");
	json_text(&m->text, n->doc);
	put_ts(&m->text, n);
	if (n->txid) {
		dialect_member(&m->text, "txid");
		buf_u64(&m->text, n->txid);
	}
	buf_char(&m->text, '}');
}

static void beat(struct message *m, const struct news *n)
{
	begin(m, n);
	buf_str(&m->text, "\"herald.heartbeat\"}");
}

static void resync(struct message *m, const struct news *n)
{
	begin(m, n);
	buf_str(&m->text, "\"herald.gap\", \"data\": ");
	dialect_put_gap(&m->text, n);
	put_ts(&m->text, n);
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
	buf_str(&m->text, "\"stream-error\", \"data\": ");
	dialect_put_error(&m->text, n);
	buf_char(&m->text, '}');
}

static void sse_error(struct message *m, const struct news *n)
{
	buf_str(&m->name, "stream-error"); /* "error" is EventSource's own */
	dialect_put_error(&m->text, n);
}

static void reply(struct message *m, const struct news *n)
{
	begin(m, n);
	dialect_put_word(&m->text, n);
	buf_str(&m->text, ", \"data\": ");
	json_text(&m->text, n->doc);
	dialect_put_request_id(&m->text, n);
	put_ts(&m->text, n);
	buf_char(&m->text, '}');
}

const struct dialect dialect_plain = {
	.name = "plain",
	.sse = {sse_hello, sse_event, dialect_sse_gap, sse_beat, NULL, sse_error},
	.object = {hello, event, resync, beat, farewell, error},
	.reply = reply,
	.tells_txid = true,
};
