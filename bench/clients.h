/* SPDX-License-Identifier: PostgreSQL
 * One process's share of the streams: connects them, reads them, counts into shared memory.
 * Must not know what the numbers are for. */
#ifndef PGHERALD_BENCH_CLIENTS_H
#define PGHERALD_BENCH_CLIENTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "wire.h"

#define N_BUCKETS 2048 /* of a histogram: 32 per power of two, in microseconds */

/* Written by one process, read by its parent; only ever grows, but for `up` and the resyncs' times.
 */
struct tally {
	_Atomic uint64_t up;	   /* streams whose answer was 200 and that are open */
	_Atomic uint64_t connects; /* answers of 200 */
	_Atomic uint64_t failed;   /* no connection, another status, or not HTTP */
	_Atomic uint64_t closed;   /* ended by the server */
	_Atomic uint64_t events;   /* messages with a stamp */
	_Atomic uint64_t others;   /* messages without: hello, keep-alive */
	_Atomic uint64_t resyncs;  /* "refetch everything" */
	_Atomic uint64_t missing;  /* numbers skipped (with `consecutive`) */
	_Atomic uint64_t backward; /* numbers that came twice or out of order */
	_Atomic uint64_t bytes, reads;
	_Atomic uint64_t last_up_ns;			  /* when the newest 200 came */
	_Atomic uint64_t first_event_ns, last_event_ns;	  /* since the last connect command */
	_Atomic uint64_t first_resync_ns, last_resync_ns; /* since the last zero command */
	_Atomic uint64_t last_status;			  /* of a failed answer */
	_Atomic uint64_t latency[N_BUCKETS];		  /* stamp to here */
	_Atomic uint64_t opening[N_BUCKETS];		  /* connect() to the answer's head */
	char id[WIRE_ID_MAX + 1];			  /* of this share's first stream */
};

struct clients_options {
	const struct wire *wire;
	uint16_t port;
	const char *path;
	char **tokens; /* for stream i: tokens[i % n_tokens], or token_format with i */
	uint32_t n_tokens;
	const char *token_format;
	const char *last_id; /* what every stream resumes from at first; NULL = nothing */
	bool consecutive;    /* every stream hears every number */
	double slow;	     /* fraction that never reads after its hello */
	unsigned in_flight;  /* connects under way in this process */
};

/* Runs until `command_fd` ends: 'd' drops all streams, 'c' connects those that are down, with
 * Last-Event-ID. Stream numbers are first … first + n - 1. */
void clients_run(const struct clients_options *o, struct tally *t, uint32_t first, uint32_t n,
		 unsigned process, int command_fd);

unsigned bucket_of(uint64_t us);
/* The middle of a bucket in microseconds. */
double bucket_us(unsigned bucket);
uint64_t now_ns(void);

#endif
