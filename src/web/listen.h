/* SPDX-License-Identifier: PostgreSQL
 * Listening sockets: one per worker for each address, sharing the port (SO_REUSEPORT), so that
 * the kernel spreads the clients. */
#ifndef PGHERALD_WEB_LISTEN_H
#define PGHERALD_WEB_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Opens `n` sockets on "HOST:PORT", "[IPv6]:PORT" or ":PORT" (all addresses). With port 0 the
 * kernel picks one, the same for all. `bound` gets the address as it is now; `error` what is
 * wrong, and then no socket stays open. */
bool listen_open(const char *address, int *fds, size_t n, struct buf *bound,
		 struct buf *error) MUST_CHECK;

#endif
