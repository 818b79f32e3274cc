/* SPDX-License-Identifier: PostgreSQL
 * See form.h. */
#include "config.h"
#include "wire/form.h"

#include <assert.h>
#include <string.h>

#include "wire/ndjson.h"
#include "wire/poll.h"
#include "wire/sse.h"
#include "wire/websocket.h"

#define MESSAGE_MAX ((size_t)1 << 30) /* PostgreSQL's own limit for a value */

static void sse_put(struct buf *b, const struct message *m, const char *id, uint64_t retry_ms)
{
	sse_message(b, &m->name, &m->comment, &m->text, id, retry_ms);
}

static void ndjson_put(struct buf *b, const struct message *m, const char *id, uint64_t retry_ms)
{
	(void)id;
	(void)retry_ms;
	ndjson_message(b, buf_cstr(&m->text), m->text.len);
}

static void poll_put(struct buf *b, const struct message *m, const char *id, uint64_t retry_ms)
{
	(void)id;
	poll_message(b, buf_cstr(&m->text), m->text.len, retry_ms != 0);
}

/* What a dialect does not say is no frame. */
static void websocket_put(struct buf *b, const struct message *m, const char *id, uint64_t retry_ms)
{
	(void)id;
	(void)retry_ms;
	if (m->text.len)
		websocket_frame(b, WEBSOCKET_TEXT, buf_cstr(&m->text), m->text.len);
}

/* A transport: what it puts around what a dialect says. */
static const struct transport {
	const char *name, *media, *type, *title;
	bool objects; /* whether a message's id is a member of it, which the dialect writes */
	bool needs_ids;
	/* A message with an id and a time to come back in milliseconds; NULL and 0: without. */
	void (*message)(struct buf *b, const struct message *m, const char *id, uint64_t retry_ms);
	/* What can be said without a message; NULL: it is said with one, or not at all. */
	void (*retry)(struct buf *b, uint64_t ms);
	void (*comment)(struct buf *b, const char *text);
	const char *probe;
	void (*ping)(struct buf *b); /* ... and asks whether somebody is there */
	/* Of an answer: what stands before its first message, and its end. */
	const char *begin;
	void (*end)(struct buf *b, const char *id, uint64_t retry_ms, uint32_t expires_s);
	const char *broken;
	/* Of one whose clients talk: the very end, and why. */
	void (*close)(struct buf *b, enum wire_end end);
} transports[N_TRANSPORTS] = {
	/* Event streams are UTF-8 (WHATWG HTML, section 9.2.5); some clients take what a proxy or
	 * they themselves guess when nothing is said. */
	[TRANSPORT_SSE] = {.name = "sse",
			   .media = "text/event-stream",
			   .type = "text/event-stream; charset=utf-8",
			   .title = "SSE",
			   .message = sse_put,
			   .retry = sse_retry,
			   .comment = sse_comment,
			   .probe = ":\n"},
	[TRANSPORT_NDJSON] = {.name = "ndjson",
			      .media = "application/x-ndjson",
			      .type = "application/x-ndjson",
			      .title = "NDJSON",
			      .objects = true,
			      .message = ndjson_put},
	/* Not by Accept: many clients name application/json without a thought. */
	[TRANSPORT_POLL] = {.name = "poll",
			    .type = "application/json",
			    .title = "poll",
			    .objects = true,
			    .needs_ids = true,
			    .message = poll_put,
			    .probe = "\n",
			    .begin = POLL_BEGIN,
			    .end = poll_end,
			    .broken = POLL_BROKEN},
	[TRANSPORT_WEBSOCKET] = {.name = "websocket",
				 .title = "WebSocket",
				 .objects = true,
				 .message = websocket_put,
				 .ping = websocket_ping,
				 .close = websocket_end},
};

/* A form's number: five bits for transport and dialect, one each for what is said or not and for
 * line ends, and the milliseconds. */
#define DIALECTS_ROOM 6
#define NO_IDS	      (UINT32_C(1) << 5)
#define TXID	      (UINT32_C(1) << 6)
#define CRLF	      (UINT32_C(1) << 7)
#define RETRY_SHIFT   8
_Static_assert(N_TRANSPORTS *DIALECTS_ROOM <= 32 && N_DIALECTS <= DIALECTS_ROOM &&
		       FORM_RETRY_MAX_MS < 1 << 22,
	       "a form has 30 bits");

uint32_t form_of(const struct form_parts *p)
{
	bool sse = p->transport == TRANSPORT_SSE;
	uint64_t retry_ms = sse ? p->each_retry_ms : 0;

	assert(retry_ms <= FORM_RETRY_MAX_MS);
	return ((uint32_t)p->transport * DIALECTS_ROOM + (uint32_t)p->dialect) |
	       (p->no_ids ? NO_IDS : 0) | (p->txid ? TXID : 0) | (sse && p->crlf ? CRLF : 0) |
	       (uint32_t)retry_ms << RETRY_SHIFT;
}

enum wire_transport form_transport(uint32_t form)
{
	return (enum wire_transport)(form % 32 / DIALECTS_ROOM);
}

bool form_exists(uint64_t number)
{
	return number >> 30 == 0 && number % 32 / DIALECTS_ROOM < N_TRANSPORTS &&
	       number % 32 % DIALECTS_ROOM < N_DIALECTS;
}

static const struct transport *transport_of(uint32_t form)
{
	return &transports[form_transport(form)];
}

static const struct dialect *dialect_of(uint32_t form)
{
	return dialects[form % 32 % DIALECTS_ROOM];
}

static const struct dialect_voice *voice_of(uint32_t form)
{
	const struct dialect *d = dialect_of(form);

	return transport_of(form)->objects ? &d->object : &d->sse;
}

const char *form_complaint(enum wire_transport transport, enum wire_dialect dialect, bool no_ids)
{
	const struct transport *t = &transports[transport];

	if (t->needs_ids && no_ids)
		return "its clients come back with an id each time";
	if (t->objects && !t->needs_ids && dialects[dialect]->verbatim && !no_ids)
		return "there is no place for an id beside the document; ids = no would do";
	return NULL;
}

const char *transport_name(enum wire_transport transport)
{
	return transports[transport].name;
}

const char *transport_media(enum wire_transport transport)
{
	return transports[transport].media;
}

const char *transport_type(enum wire_transport transport)
{
	return transports[transport].type;
}

const char *transport_title(enum wire_transport transport)
{
	return transports[transport].title;
}

enum wire_transport transport_find(const char *name)
{
	enum wire_transport transport = 0;

	while (transport < N_TRANSPORTS && strcmp(transports[transport].name, name) != 0)
		transport++;
	return transport;
}

bool transport_is_answer(enum wire_transport transport)
{
	return transports[transport].end != NULL;
}

bool transport_talks(enum wire_transport transport)
{
	return transports[transport].close != NULL;
}

/* What has been said since `from`, with the line ends of the form. */
static void end_lines(uint32_t form, struct buf *b, size_t from)
{
	if (form & CRLF)
		sse_crlf(b, from);
}

/* What one of the dialect's functions has to say, framed. */
static void say(uint32_t form, struct buf *b, dialect_fn *what, const struct news *n,
		const char *id, uint64_t retry_ms)
{
	const struct transport *t = transport_of(form);
	struct message m = {{.max = MESSAGE_MAX}, {.max = MESSAGE_MAX}, {.max = MESSAGE_MAX}};
	struct news said = *n;
	size_t from;

	if (form & NO_IDS)
		id = NULL;
	said.id = t->objects ? id : NULL;
	said.retry_ms = t->objects ? retry_ms : 0;
	if (what)
		what(&m, &said);
	assert(buf_ok(&m.text) && buf_ok(&m.name)); /* PostgreSQL has no larger value */
	from = b->len;
	t->message(b, &m, id, retry_ms);
	end_lines(form, b, from);
	buf_free(&m.text);
	buf_free(&m.name);
	buf_free(&m.comment);
}

void form_hello(uint32_t form, struct buf *b, const struct news *n, uint64_t retry_ms,
		const char *id)
{
	const struct transport *t = transport_of(form);
	size_t from = b->len;

	if (t->begin)
		buf_str(b, t->begin);
	if (t->retry) { /* taken at its line end, whatever becomes of the rest */
		t->retry(b, retry_ms);
		end_lines(form, b, from);
		retry_ms = 0;
	}
	say(form, b, voice_of(form)->hello, n, id, retry_ms);
}

void form_event(uint32_t form, struct buf *b, const struct news *n, const char *id)
{
	struct news said = *n;

	said.tell_txid = form & TXID;
	say(form, b, voice_of(form)->event, &said, id, form >> RETRY_SHIFT);
}

void form_resync(uint32_t form, struct buf *b, const struct news *n, const char *id)
{
	say(form, b, voice_of(form)->resync, n, id, 0);
}

void form_keepalive(uint32_t form, struct buf *b, int64_t at, const char *id)
{
	const struct news n = {.at = at};

	say(form, b, voice_of(form)->keepalive, &n, id, 0);
	if (transport_of(form)->ping)
		transport_of(form)->ping(b);
}

void form_farewell(uint32_t form, struct buf *b, uint64_t retry_ms, int64_t at, const char *id)
{
	const struct transport *t = transport_of(form);
	const struct news n = {.at = at};
	size_t from = b->len;

	if (t->end) {
		t->end(b, id, retry_ms, 0);
	} else if (t->retry) {
		t->retry(b, retry_ms);
		end_lines(form, b, from);
	} else {
		say(form, b, voice_of(form)->farewell, &n, NULL, retry_ms);
	}
	if (t->close)
		t->close(b, END_RESTART);
}

void form_answered(uint32_t form, struct buf *b, uint64_t retry_ms, const char *id,
		   uint32_t expires_s)
{
	transport_of(form)->end(b, id, retry_ms, expires_s);
}

void form_break(uint32_t form, struct buf *b, enum wire_end end, const char *reason)
{
	const struct news n = {.type = "closed", .reason = reason};

	if (transport_of(form)->broken)
		buf_str(b, transport_of(form)->broken);
	else if (voice_of(form)->error)
		say(form, b, voice_of(form)->error, &n, NULL, 0);
	if (transport_of(form)->close)
		transport_of(form)->close(b, end);
}

void form_reply(uint32_t form, struct buf *b, const struct news *n)
{
	say(form, b, dialect_of(form)->reply, n, NULL, 0);
}

void form_comment(uint32_t form, struct buf *b, const char *text)
{
	size_t from = b->len;

	if (!transport_of(form)->comment)
		return;
	transport_of(form)->comment(b, text);
	end_lines(form, b, from);
}

void form_probe(uint32_t form, struct buf *b, int64_t at)
{
	size_t from = b->len;

	if (transport_of(form)->probe) {
		buf_str(b, transport_of(form)->probe);
		end_lines(form, b, from);
	} else if (transport_of(form)->ping)
		transport_of(form)->ping(b);
	else
		form_keepalive(form, b, at, NULL);
}
