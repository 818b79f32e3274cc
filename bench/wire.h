/* SPDX-License-Identifier: PostgreSQL
 * The bytes of one stream, taken apart: HTTP head, chunks, messages. A wire form is one row of
 * the table in wire.c. Must not know sockets. */
#ifndef PGHERALD_BENCH_WIRE_H
#define PGHERALD_BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_ID_MAX 128 /* bytes of an event id that are remembered */

struct wire_reader;

/* How messages are cut out of the body. */
struct wire {
	const char *name;
	const char *request; /* further request headers, each ended by CR LF */
	int status;	     /* of the answer that is a stream */
	/* Takes body bytes; calls the reader's message() for each whole message. */
	void (*feed)(struct wire_reader *r, const char *p, size_t n);
};

struct wire_reader {
	const struct wire *wire;
	void (*message)(void *arg, const char *id, const char *text, size_t len);
	void *arg;
	enum { WIRE_HEAD, WIRE_BODY, WIRE_SIZE, WIRE_CHUNK, WIRE_CHUNK_END, WIRE_OVER } state;
	int status;	   /* of the HTTP answer; 0 until the head is whole */
	bool chunked, bad; /* bad: not HTTP, or a chunk that makes no sense */
	size_t chunk_left;
	uint64_t messages;
	char *part; /* an unfinished line (or head) of earlier reads; owned */
	size_t part_len, part_cap;
	char *data; /* of a message with several lines or split over reads; owned */
	size_t data_len, data_cap;
	bool has_data;
	char id[WIRE_ID_MAX + 1]; /* the last one seen, as EventSource keeps it */
};

/* The row of that name, or NULL. */
const struct wire *wire_find(const char *name);
/* A new connection: forgets everything but the id. */
void wire_begin(struct wire_reader *r);
/* Takes what was read from the socket. False when it makes no sense. */
bool wire_read(struct wire_reader *r, const char *p, size_t n);
void wire_free(struct wire_reader *r);

#endif
