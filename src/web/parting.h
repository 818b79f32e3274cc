/* SPDX-License-Identifier: PostgreSQL
 * Sockets of WebSockets that we have closed, and whose clients have not said so yet (RFC 6455
 * section 7.1.1). What is not read when a socket is closed makes the kernel send a reset, which can
 * overtake the close frame: so what still comes is read away, for a moment. */
#ifndef PGHERALD_WEB_PARTING_H
#define PGHERALD_WEB_PARTING_H

#include <stdint.h>

struct worker;

/* Takes over a connected socket to which everything has been sent. */
void parting_take(struct worker *w, int fd);
/* Every second: nobody has longer than two. */
void partings_tick(struct worker *w, uint64_t now_ms);
void partings_end(struct worker *w);

#endif
