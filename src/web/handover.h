/* SPDX-License-Identifier: PostgreSQL
 * A stream on its way out of libmicrohttpd: it sends the head and the greeting, then the stream
 * takes a dup of the socket, and libmicrohttpd closes its own descriptor without shutdown(2). Of a
 * WebSocket it sends the head and gives what has come behind the handshake. */
#ifndef PGHERALD_WEB_HANDOVER_H
#define PGHERALD_WEB_HANDOVER_H

#include <microhttpd.h>
#include <stddef.h>

struct conf;
struct stream;
struct upgrade;
struct worker;

/* Lies inside the request. Begins as zeroes. */
struct handover {
	struct worker *worker;
	struct MHD_Connection *connection;
	struct stream *stream; /* NULL before, and when it has its socket */
	size_t sent;	       /* bytes of its greeting */
};

/* Answers with the stream, which is taken over. */
enum MHD_Result handover_start(struct handover *h, struct worker *w, struct MHD_Connection *c,
			       const struct conf *conf, struct stream *s);
/* The same with a WebSocket's handshake. */
enum MHD_Result handover_upgrade(struct handover *h, struct worker *w, struct MHD_Connection *c,
				 const struct conf *conf, struct stream *s,
				 const struct upgrade *u);
/* The connection has ended before. */
void handover_cancel(struct handover *h);

#endif
