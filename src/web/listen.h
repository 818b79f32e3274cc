/* SPDX-License-Identifier: PostgreSQL
 * Where a daemon listens: names become addresses, addresses sockets. For each address a worker has
 * its own, sharing the port (SO_REUSEPORT), so that the kernel spreads the clients; of a Unix
 * socket, which knows no such thing, all workers have the same one. */
#ifndef PGHERALD_WEB_LISTEN_H
#define PGHERALD_WEB_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/buf.h"

struct listen_address {
	const char *name; /* as configured, whose it is; not looked at after listen_open() */
	struct sockaddr_storage sa;
	socklen_t len;
	struct stat file; /* of a Unix socket, once it is ours */
};

/* All that a daemon listens on. Begins as zeroes; listen_free() releases it. */
struct listen_set {
	struct listen_address *items;
	size_t n;
	int *fds; /* of each worker, one for each address */
};

/* What the names stand for: "HOST:PORT", "[IPv6]:PORT", ":PORT" (all addresses), "unix:/PATH". A
 * name of several addresses, as localhost, means all of them that this machine has. False with
 * `error` for what can never be listened on here; nothing is bound yet. */
bool listen_resolve(struct listen_set *set, char *const *names, size_t n,
		    struct buf *error) MUST_CHECK;
/* Opens them for that many workers; from then on no other daemon can. Port 0 lets the kernel
 * choose, the same for all workers and addresses of the name. `mode`: who may connect to a Unix
 * socket. False with `error`, and then no socket stays open. The workers own the descriptors. */
bool listen_open(struct listen_set *set, size_t n_workers, mode_t mode,
		 struct buf *error) MUST_CHECK;
/* Takes over sockets that somebody else listens on, the same for all workers: theirs from here on.
 * False with `error` for one that is no listening socket of a kind we know. */
bool listen_adopt(struct listen_set *set, const int *fds, size_t n, size_t n_workers,
		  struct buf *error) MUST_CHECK;
/* "127.0.0.1:8080", "[::1]:8080", "unix:/run/pgherald/http.sock" */
void listen_text(const struct listen_address *a, struct buf *out);
/* Removes the files of Unix sockets that are still ours, and frees. */
void listen_free(struct listen_set *set);

/* For listen_passed.c: what connections to this socket inherit. On loopback one segment is as large
 * as what a stream's socket may have under way, and the other side puts off its word on a single
 * one for 40 ms, which makes 1.6 MB/s. On connections to this socket segments are smaller, so that
 * several fit. */
void listen_inherit(int fd);

#endif
