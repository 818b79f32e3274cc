/* SPDX-License-Identifier: PostgreSQL
 * Unix sockets among the addresses of listen.h: a file that outlives who made it. */
#ifndef PGHERALD_WEB_LISTEN_UNIX_H
#define PGHERALD_WEB_LISTEN_UNIX_H

#include "web/listen.h"

/* Whether the name is of this kind. */
bool listen_is_unix(const char *name) MUST_CHECK;
/* Fills in the address of a->name; false with `error`. */
bool listen_unix_resolve(struct listen_address *a, struct buf *error) MUST_CHECK;
/* A listening socket, with that mode from its first moment on; -1 with `error`. What another one
 * has left behind is removed when nobody answers there. */
int listen_unix_open(struct listen_address *a, mode_t mode, int backlog,
		     struct buf *error) MUST_CHECK;
/* Removes the file, unless it is not the one that was made here; harmless for other addresses. */
void listen_unix_remove(const struct listen_address *a);

#endif
