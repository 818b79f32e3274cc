/* SPDX-License-Identifier: PostgreSQL
 * A client from accept(2) on. Its request's head is read where it lies, in the kernel, until it is
 * complete and right, and only then libmicrohttpd gets the connection: a client that takes its time
 * costs this struct, and what HTTP does not allow is refused in our own words. */
#ifndef PGHERALD_WEB_CALLER_H
#define PGHERALD_WEB_CALLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/list.h"
#include "base/loop.h"
#include "web/lobby.h"
#include "wire/head.h"

#define CALLER_PEER_MAX 64 /* bytes of its text */
#define CALLER_LATE	"The request was not complete in time."

struct conf;
struct worker;

enum caller_state {
	CALLER_READING, /* the head is not complete */
	CALLER_REFUSED, /* it has its answer; what it still sends is read away */
	CALLER_INSIDE,	/* libmicrohttpd has it */
};

struct caller {
	struct list node; /* of the door's list for its state, in order of their deadlines */
	struct worker *worker;
	struct guest guest;
	struct loop_fd fd;
	bool watched; /* by the loop */
	bool unread;  /* libmicrohttpd leaves something of a body in the socket when it ends */
	struct head head;
	enum caller_state state;
	struct address address; /* none for a Unix socket */
	uint64_t deadline_ms; /* of the verdict, then of the body; CALLER_REFUSED: our patience's */
	size_t n_drained;     /* bytes read away */
	struct sockaddr_storage sa;
	socklen_t sa_len;
};

/* Takes an accepted descriptor over; the struct frees itself when the connection has ended. */
void caller_come(struct worker *w, int fd, const struct sockaddr_storage *sa, socklen_t len);
/* Who has just been given to libmicrohttpd, which has begun with it. */
struct caller *caller_inside(struct worker *w);
/* libmicrohttpd ends the connection, which is not closed yet. What is unread is read away first. */
void caller_outside(struct caller *c);
/* The answer to somebody whose body libmicrohttpd is reading; `origin` NULL: his page says none. */
void caller_refuse(struct caller *c, const struct conf *conf, unsigned status, const char *why,
		   const char *origin);
/* He has shown who he is: as much time as for that, from now on. */
void caller_more_time(struct caller *c, const struct conf *conf);
/* The connection has ended, or its socket has changed hands. */
void caller_free(struct caller *c);
/* Ends a connection that libmicrohttpd has not got. */
void caller_hang_up(struct caller *c);
/* It has not been complete in time: answered so, if it has said something, and ended. */
void caller_expire(struct caller *c);
/* Under which address a client is counted who comes from `client`, or is said to: none where that
 * may be everybody's, as a proxy's is, and one of this machine. */
struct address caller_counted(const struct caller *c, const struct address *client) MUST_CHECK;
/* "192.0.2.1:4711", "[2001:db8::1]:4711", or "unix" */
void caller_peer(const struct caller *c, char out[CALLER_PEER_MAX]);
/* The address in such a text, or in one without a port; none in "unix". */
struct address caller_peer_address(const char *peer) MUST_CHECK;

#endif
