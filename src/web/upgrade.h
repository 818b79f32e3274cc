/* SPDX-License-Identifier: PostgreSQL
 * Whether a request asks for another protocol: WebSocket's handshake, as RFC 6455 section 4.2.1 has
 * it, or anything else, of which nothing is spoken. */
#ifndef PGHERALD_WEB_UPGRADE_H
#define PGHERALD_WEB_UPGRADE_H

#include <microhttpd.h>
#include <stdbool.h>

#include "auth/handshake.h"
#include "base/buf.h"
#include "base/mem.h"

#define UPGRADE_PROTOCOL "pgherald" /* a subprotocol that clients may offer */

struct upgrade {
	bool websocket;			   /* it asks for one, and rightly */
	bool protocol;			   /* ... and offers ours */
	char accept[HANDSHAKE_ACCEPT_MAX]; /* what its key is answered with */
};

/* Reads the headers; `served`: WebSockets are at this path. 0, or the status of a refusal with a
 * sentence in `why`. */
unsigned upgrade_read(struct upgrade *u, struct MHD_Connection *c, bool served, bool http10,
		      struct buf *why) MUST_CHECK;
/* All values of a header as one list (RFC 9110 section 5.3). */
struct buf upgrade_header_list(struct MHD_Connection *c, const char *name);

#endif
