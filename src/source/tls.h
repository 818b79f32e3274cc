/* SPDX-License-Identifier: PostgreSQL
 * TLS over a socket that does not block, as its client. The server's certificate is verified,
 * always.
 */
#ifndef PGHERALD_SOURCE_TLS_H
#define PGHERALD_SOURCE_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/mem.h"

struct tls;

enum { TLS_WANTS_READ = 1, TLS_WANTS_WRITE };

/* For a connected socket, which stays the caller's. `ca_file` has whom to trust, "" for whom the
 * system does. NULL with `why`. */
struct tls *tls_new(int fd, const char *host, const char *ca_file, char *why, size_t room);
/* What it waits for; 0 when it is done, -1 with `why`. */
int tls_handshake(struct tls *t, char *why, size_t room) MUST_CHECK;
/* As recv() and send() on such a socket. */
ssize_t tls_read(struct tls *t, void *data, size_t room) MUST_CHECK;
ssize_t tls_write(struct tls *t, const void *data, size_t len) MUST_CHECK;
/* Whether there is more to read that the socket does not tell of. */
bool tls_pending(const struct tls *t) MUST_CHECK;
void tls_free(struct tls *t);

#endif
