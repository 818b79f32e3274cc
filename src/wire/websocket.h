/* SPDX-License-Identifier: PostgreSQL
 * WebSocket (RFC 6455): the frames that a server sends, and a reader of those that a client sends,
 * byte by byte as they come. No extension is spoken: a reserved bit is an error. No I/O, no clock.
 */
#ifndef PGHERALD_WIRE_WEBSOCKET_H
#define PGHERALD_WIRE_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "wire/form.h"

#define WEBSOCKET_CONTROL_MAX 125 /* bytes, section 5.5 */

enum websocket_opcode {
	WEBSOCKET_CONTINUATION = 0,
	WEBSOCKET_TEXT = 1,
	WEBSOCKET_BINARY = 2,
	WEBSOCKET_CLOSE = 8,
	WEBSOCKET_PING = 9,
	WEBSOCKET_PONG = 10,
};

/* Close codes, section 7.4.1 and IANA's registry. */
enum websocket_code {
	WEBSOCKET_NORMAL = 1000,
	WEBSOCKET_GOING_AWAY = 1001,
	WEBSOCKET_PROTOCOL_ERROR = 1002,
	WEBSOCKET_UNSUPPORTED = 1003,
	WEBSOCKET_NO_CODE = 1005, /* never sent */
	WEBSOCKET_BAD_TEXT = 1007,
	WEBSOCKET_POLICY = 1008,
	WEBSOCKET_TOO_LARGE = 1009,
	WEBSOCKET_SERVICE_RESTART = 1012,
	WEBSOCKET_TRY_AGAIN = 1013,
	/* Of our own, after HTTP's status codes: */
	WEBSOCKET_UNAUTHORIZED = 4401,
	WEBSOCKET_FORBIDDEN = 4403,
	WEBSOCKET_TIMEOUT = 4408,
};

/* One frame, final and unmasked, as servers send them. */
void websocket_frame(struct buf *b, enum websocket_opcode opcode, const void *data, size_t len);
/* A close frame with a code and a reason of at most 123 bytes. */
void websocket_close(struct buf *b, unsigned code, const char *reason);

/* For form.c: a ping, and why we close. */
void websocket_ping(struct buf *b);
void websocket_end(struct buf *b, enum wire_end end);

enum websocket_got {
	WEBSOCKET_GOT_NOTHING, /* all has been read, and more is needed */
	WEBSOCKET_GOT_TEXT,    /* a message: `text` */
	WEBSOCKET_GOT_PING,    /* to be answered with the same `control` */
	WEBSOCKET_GOT_PONG,
	WEBSOCKET_GOT_CLOSE, /* `code` and the reason in `control`; nothing may follow */
	WEBSOCKET_GOT_ERROR, /* it is to be closed with `code`; `why` is for the log */
};

struct websocket {
	/* The result: */
	struct buf text; /* of the message so far; its `max` is the limit */
	char control[WEBSOCKET_CONTROL_MAX + 1];
	uint8_t n_control;
	uint16_t code;
	const char *why;
	/* The frame under way: */
	uint8_t head[14];
	uint8_t n_head, opcode, mask_at;
	bool final, in_message, told;
	uint64_t left; /* bytes of its payload */
	size_t whole;  /* bytes of `text` that are whole characters */
};

/* A reader of messages of at most so many bytes. */
void websocket_init(struct websocket *w, size_t max_bytes);
void websocket_free(struct websocket *w);
/* Reads on at *at, up to `end` or to the first thing that is to be told. After a close or an error
 * it must not be called any more. */
enum websocket_got websocket_read(struct websocket *w, const char **at, const char *end) MUST_CHECK;
/* Whether nothing of a message or a frame is waited for. Then it needs no memory. */
bool websocket_rests(struct websocket *w);

#endif
