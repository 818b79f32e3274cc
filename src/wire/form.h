/* SPDX-License-Identifier: PostgreSQL
 * A form: what a client is sent, which is a dialect (dialect.h) in a transport's framing. Ids,
 * times to come back, keep-alives, greetings, farewells and comments are its affair; nobody else
 * knows how they look. A transport is a row of the table in form.c. */
#ifndef PGHERALD_WIRE_FORM_H
#define PGHERALD_WIRE_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "wire/dialect.h"

enum wire_transport {
	TRANSPORT_SSE,
	TRANSPORT_NDJSON,
	TRANSPORT_POLL,
	TRANSPORT_WEBSOCKET,
	N_TRANSPORTS
};

/* Why we end a stream, as far as its client should know. */
enum wire_end {
	END_RESTART,	 /* come back, here or to whoever is there then */
	END_UNAVAILABLE, /* what it needs cannot be had now */
	END_CREDENTIAL,	 /* its token is none any more */
	END_ROLE,	 /* its user may not hear this any more */
	END_SILENT,	 /* nothing was heard of it */
	N_ENDS
};

#define FORM_RETRY_MAX_MS 3600000 /* an hour: what a form's number has room for */

/* What makes a form. Two of them are the same when all of this is. */
struct form_parts {
	enum wire_transport transport;
	enum wire_dialect dialect;
	bool no_ids; /* its clients are told no positions, and cannot go on where they were */
	bool txid;   /* events tell their transaction also where the dialect has no place for it */
	bool crlf;   /* SSE: lines end with CR LF */
	uint64_t each_retry_ms; /* SSE: every event says when to come back; 0: only the greeting
				   does */
};

/* A form's number, of 30 bits; 0 is django in SSE. */
uint32_t form_of(const struct form_parts *p);
enum wire_transport form_transport(uint32_t form);
/* Whether it is one of this version's. */
bool form_exists(uint64_t number) MUST_CHECK;
/* Whether a transport can carry a dialect, with or without ids; otherwise a sentence why not. */
const char *form_complaint(enum wire_transport transport, enum wire_dialect dialect, bool no_ids);

/* `transport=` in a request, what Accept calls it (NULL: not at all), its Content-Type, and what
 * the log calls it. */
const char *transport_name(enum wire_transport transport);
const char *transport_media(enum wire_transport transport);
const char *transport_type(enum wire_transport transport);
const char *transport_title(enum wire_transport transport);
/* The transport of that name; N_TRANSPORTS when there is none. */
enum wire_transport transport_find(const char *name);
/* Whether it makes an answer, which ends when there is something to tell, or nothing for a
 * keep-alive's time; the others go on. */
bool transport_is_answer(enum wire_transport transport) MUST_CHECK;
/* Whether its clients talk as well: the connection has been upgraded. */
bool transport_talks(enum wire_transport transport) MUST_CHECK;

/* All of these append whole messages. An id may be NULL. What is to say: see dialect.h. */

/* The first message: `retry_ms` to come back after an interruption. */
void form_hello(uint32_t form, struct buf *b, const struct news *n, uint64_t retry_ms,
		const char *id);
/* One change. */
void form_event(uint32_t form, struct buf *b, const struct news *n, const char *id);
void form_resync(uint32_t form, struct buf *b, const struct news *n, const char *id);
/* Nothing where a transport has no message that means nothing. */
void form_keepalive(uint32_t form, struct buf *b, int64_t at, const char *id);
/* The last message: when to come back, and where that is told anew, with which id. */
void form_farewell(uint32_t form, struct buf *b, uint64_t retry_ms, int64_t at, const char *id);
/* The same of an answer, whose credential ends in so many seconds; 0: that is not to be told. */
void form_answered(uint32_t form, struct buf *b, uint64_t retry_ms, const char *id,
		   uint32_t expires_s);
/* What is sent, if it can be, when a stream ends without one, and why that is; or nothing. */
void form_break(uint32_t form, struct buf *b, enum wire_end end, const char *reason);
/* The answer to what its client has said. */
void form_reply(uint32_t form, struct buf *b, const struct news *n);
/* Words for whoever looks at the wire, and no message; nothing where that cannot be. */
void form_comment(uint32_t form, struct buf *b, const char *text);
/* As little as can be sent without a meaning. */
void form_probe(uint32_t form, struct buf *b, int64_t at);

#endif
