/* SPDX-License-Identifier: PostgreSQL
 * What a message looks like to an application. How it is framed for a transport is the transport's
 * affair (form.h). A dialect is a file with a row of functions, and a line in dialect.c. */
#ifndef PGHERALD_WIRE_DIALECT_H
#define PGHERALD_WIRE_DIALECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"

enum wire_dialect {
	DIALECT_DJANGO,
	DIALECT_CHAT,
	DIALECT_RAW,
	DIALECT_STREAMING,
	DIALECT_PLAIN,
	N_DIALECTS
};

/* What there is to say; each function says which of it it looks at. */
struct news {
	const char *user;	/* hello: who is greeted, for a client that asks; or NULL */
	const char *stream;	/* hello: what the stream is called, with `full`; or NULL */
	uint64_t keepalive_s;	/* hello: seconds between two keep-alives … */
	const char *server;	/* hello: which daemon this is, or NULL */
	bool full;		/* … which some dialects tell only who asks */
	bool resumed;		/* hello: it goes on at the client's own position */
	const char *type;	/* event: "estimate.updated"; error, reply: a word for programs */
	const char *doc;	/* event, reply: JSON text */
	const char *request_id; /* reply: the client's, as JSON text, or NULL */
	const char *scope;	/* event: "enter", "leave" or NULL */
	const char *channel;	/* event: the one channel that it is for, or NULL */
	uint64_t txid;		/* event: of the transaction that made it, or 0 */
	bool tell_txid;		/* event: also where a dialect has no place for it by itself */
	const char *reason;	/* resync: a word; error: a sentence */
	const char *topics;	/* resync: a JSON array's text */
	int64_t at;		/* all but hello: Unix seconds */
	const char *id;		/* of an object: where its client stands then, or NULL … */
	uint64_t retry_ms;	/* … and when it is to come back, or 0 */
};

/* A message between a dialect and a transport. */
struct message {
	struct buf text;    /* JSON */
	struct buf name;    /* of SSE: its event's name; empty: none */
	struct buf comment; /* of SSE: instead of data */
};

typedef void dialect_fn(struct message *m, const struct news *n);

/* NULL: it says nothing there. */
struct dialect_voice {
	dialect_fn *hello;  /* the first message of a stream */
	dialect_fn *event;  /* one change */
	dialect_fn *resync; /* "refetch" */
	dialect_fn *keepalive;
	dialect_fn *farewell; /* the last one, where the transport has no way to say so */
	dialect_fn *error;    /* the last one when the daemon must end a stream */
};

struct dialect {
	const char *name;
	/* SSE has lines for a message's name, id and time to come back; elsewhere a message is an
	 * object, with "id" and "retry" among its members. */
	struct dialect_voice sse, object;
	dialect_fn *reply; /* the answer to what a client has said: an object */
	bool verbatim;	 /* what it is elsewhere is the document itself: there is no place for an id
			  */
	bool tells_txid; /* it can be asked for the transaction */
	bool calls_roll; /* its statistics are those of all connections, by transport */
};

extern const struct dialect *const dialects[N_DIALECTS];
/* The same, by name, up to a NULL. */
extern const char *const dialect_names[];

/* Whether a type is this word, or begins with it and a dot. */
bool dialect_is_of(const char *type, const char *family) MUST_CHECK;
/* Whether only the daemon itself may send a message of this type: it is of a word that some dialect
 * has for what the daemon says. pgherald.publish() has the same words. */
bool dialect_reserves(const char *type) MUST_CHECK;

/* Each the one thing its file defines. */
extern const struct dialect dialect_django, dialect_chat, dialect_raw, dialect_streaming,
	dialect_plain;

/* For the files of dialects: */

/* Appends ", " unless an object or array has just begun, and "name": in quotes. */
void dialect_member(struct buf *b, const char *name);
/* What stands in a greeting for who asks, and in a "refetch": whole objects. */
void dialect_put_full(struct buf *b, const struct news *n);
void dialect_put_gap(struct buf *b, const struct news *n);
/* The members "id" and "retry", if there are any. */
void dialect_put_id(struct buf *b, const struct news *n);
void dialect_put_retry(struct buf *b, const struct news *n);
/* {"type": "…", "error": "…"}: why a stream ends. */
void dialect_put_error(struct buf *b, const struct news *n);
void dialect_put_request_id(struct buf *b, const struct news *n);
/* The word of a reply: "herald.pong". */
void dialect_put_word(struct buf *b, const struct news *n);
void dialect_put_time(struct buf *b, const struct news *n);
/* An event's name where no place is left for its scope: a row that goes is TOPIC.leave. */
void dialect_put_type(struct buf *b, const struct news *n);
void dialect_put_quoted_type(struct buf *b, const struct news *n);
/* SSE: the document under its name; a greeting for who asks; a "refetch" as herald.gap. */
dialect_fn dialect_sse_event, dialect_sse_full, dialect_sse_gap;

#endif
