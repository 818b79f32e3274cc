/* SPDX-License-Identifier: PostgreSQL
 * One HTTP request as a user's browser makes it, through curl(1): TLS, HTTP/2 and proxies are its
 * business. What came back, and when. */
#ifndef PGHERALD_DOCTOR_PROBE_H
#define PGHERALD_DOCTOR_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define PROBE_MAX_HEADERS 6

struct probe_request {
	const char *method; /* NULL: GET */
	const char *url;
	const char *unix_socket;	  /* of the daemon, or NULL */
	bool is_here;			  /* whatever the environment says of proxies */
	char *headers[PROBE_MAX_HEADERS]; /* "Name: value"; they never show in a process list */
	size_t n_headers;
	unsigned wait_ms; /* how long for the first bytes of the body, after which it is over */
	unsigned hold_ms; /* and how long for anything more after them; 0: not at all */
};

struct probe {
	bool no_curl;	   /* there is no such program */
	struct buf why;	   /* curl's words when it failed */
	int status;	   /* 0: no answer */
	int version;	   /* 10, 11, 20, 30 */
	struct buf head;   /* lines, lower-case names: "content-type: …" */
	struct buf body;   /* its beginning */
	bool ended;	   /* the other side closed */
	uint64_t ended_ms; /* after the first bytes of the body */
	bool more;	   /* something came while it was held */
};

void probe_run(struct probe *p, const struct probe_request *r);
void probe_free(struct probe *p);
/* The value of a header in `out`, false when it is not there. */
bool probe_header(const struct probe *p, const char *name, struct buf *out) MUST_CHECK;

#endif
