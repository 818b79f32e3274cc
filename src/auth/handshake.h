/* SPDX-License-Identifier: PostgreSQL
 * The proof in WebSocket's handshake that a server has read it (RFC 6455 section 4.2.2): nothing
 * secret, but what a server or a cache that knows no WebSocket does not answer. */
#ifndef PGHERALD_AUTH_HANDSHAKE_H
#define PGHERALD_AUTH_HANDSHAKE_H

#include <stdbool.h>

#include "base/mem.h"

#define HANDSHAKE_ACCEPT_MAX 29 /* bytes, with the NUL */

/* What a Sec-WebSocket-Key is answered with. False when it is not the base64 of 16 bytes. */
bool handshake_accept(const char *key, char out[HANDSHAKE_ACCEPT_MAX]) MUST_CHECK;

#endif
