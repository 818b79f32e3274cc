/* SPDX-License-Identifier: PostgreSQL
 * See dialect.h: the table, and what dialects have in common. */
#include "config.h"
#include "wire/dialect.h"

#include <string.h>

#include "wire/json.h"

const struct dialect *const dialects[N_DIALECTS] = {
	[DIALECT_DJANGO] = &dialect_django, [DIALECT_CHAT] = &dialect_chat,
	[DIALECT_RAW] = &dialect_raw,	    [DIALECT_STREAMING] = &dialect_streaming,
	[DIALECT_PLAIN] = &dialect_plain,
};

const char *const dialect_names[] = {
	[DIALECT_DJANGO] = "django",	   [DIALECT_CHAT] = "chat",   [DIALECT_RAW] = "raw",
	[DIALECT_STREAMING] = "streaming", [DIALECT_PLAIN] = "plain", [N_DIALECTS] = NULL,
};

bool dialect_is_of(const char *type, const char *family)
{
	size_t len = strcspn(type, ".");

	return strlen(family) == len && !memcmp(type, family, len);
}

bool dialect_reserves(const char *type)
{
	static const char *const families[] = {"system",    "pgherald",	   "herald", "connected",
					       "keepalive", "heartbeat",   "ping",   "pong",
					       "error",	    "stream-error"};

	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++)
		if (dialect_is_of(type, families[i]))
			return true;
	return false;
}

void dialect_member(struct buf *b, const char *name)
{
	const char *text = buf_cstr(b);

	buf_printf(b, "%s\"%s\": ", b->len && text[b->len - 1] != '{' ? ", " : "", name);
}

static void put_string(struct buf *b, const char *name, const char *text)
{
	dialect_member(b, name);
	json_string(b, text, strlen(text));
}

void dialect_put_id(struct buf *b, const struct news *n)
{
	if (n->id)
		put_string(b, "id", n->id);
}

void dialect_put_error(struct buf *b, const struct news *n)
{
	buf_printf(b, "{\"type\": \"%s\", \"error\": \"%s\"}", n->type, n->reason);
}

void dialect_put_retry(struct buf *b, const struct news *n)
{
	if (!n->retry_ms)
		return;
	dialect_member(b, "retry");
	buf_u64(b, n->retry_ms);
}

void dialect_put_request_id(struct buf *b, const struct news *n)
{
	if (!n->request_id)
		return;
	dialect_member(b, "request_id");
	json_text(b, n->request_id);
}

void dialect_put_word(struct buf *b, const struct news *n)
{
	buf_printf(b, "\"herald.%s\"", n->type);
}

void dialect_put_time(struct buf *b, const struct news *n)
{
	if (n->at < 0)
		buf_char(b, '-');
	buf_u64(b, n->at < 0 ? -(uint64_t)n->at : (uint64_t)n->at);
}

void dialect_put_full(struct buf *b, const struct news *n)
{
	if (!n->full)
		return;
	dialect_member(b, "keepalive");
	buf_u64(b, n->keepalive_s);
	if (n->user)
		put_string(b, "user", n->user);
	if (n->stream)
		put_string(b, "stream", n->stream);
}

void dialect_put_gap(struct buf *b, const struct news *n)
{
	buf_printf(b, "{\"reason\": \"%s\", \"topics\": ", n->reason);
	buf_str(b, n->topics);
	buf_char(b, '}');
}

void dialect_put_type(struct buf *b, const struct news *n)
{
	const char *dot = strrchr(n->type, '.');

	if (!n->scope || strcmp(n->scope, "leave") != 0) {
		buf_str(b, n->type);
		return;
	}
	buf_add(b, n->type, dot ? (size_t)(dot - n->type) : strlen(n->type));
	buf_str(b, ".leave");
}

void dialect_put_quoted_type(struct buf *b, const struct news *n)
{
	autobuf type = {.max = SIZE_MAX / 2};

	dialect_put_type(&type, n);
	json_string(b, buf_cstr(&type), type.len);
}

void dialect_sse_event(struct message *m, const struct news *n)
{
	dialect_put_type(&m->name, n);
	json_text(&m->text, n->doc);
}

void dialect_sse_full(struct message *m, const struct news *n)
{
	if (!n->full)
		return;
	buf_str(&m->name, "herald.hello");
	buf_char(&m->text, '{');
	dialect_put_full(&m->text, n);
	buf_char(&m->text, '}');
}

void dialect_sse_gap(struct message *m, const struct news *n)
{
	buf_str(&m->name, "herald.gap");
	dialect_put_gap(&m->text, n);
}
