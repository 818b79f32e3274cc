/* SPDX-License-Identifier: PostgreSQL
 * Whether the head of a request (RFC 9112 sections 2 to 6) is one that every server on its way must
 * read the same, before anything is done with it. Looks at the bytes as they come and keeps none.
 * Which path takes a body is not its affair: only a POST that says its length may have one. */
#ifndef PGHERALD_WIRE_HEAD_H
#define PGHERALD_WIRE_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAD_MAX      (16 * 1024) /* bytes, with the empty line */
#define HEAD_TARGET   (8 * 1024)  /* of them for the request target */
#define HEAD_BODY_MAX (1 << 20)	  /* bytes of a body behind a POST, which must say its length */
#define HEAD_PARTS_MAX                                                                             \
	(12 * 1024) /* of what a parser keeps besides: 64 a field, parameter, cookie */

enum head_verdict {
	HEAD_PART, /* right so far; there must be more of it */
	HEAD_OK,
	HEAD_BAD,
};

/* What is known of a head so far. Begins as zeroes. */
struct head {
	enum head_verdict verdict;
	unsigned status; /* with HEAD_BAD: of the answer */
	const char *why; /* with HEAD_BAD: a sentence for the client, a literal; with 405, which one
			  * may be used here is not its affair */
	size_t len;	 /* bytes of complete lines; with HEAD_OK, of the head */
	size_t searched; /* up to where there is no further line end */
	size_t target, target_len;
	size_t host, host_len, origin, origin_len; /* where their values stand; 0 = nowhere */
	size_t parts;				   /* what a parser must keep, see HEAD_PARTS_MAX */
	uint32_t seen;	   /* the fields that may stand there once, a bit each */
	uint64_t body_len; /* with a body */
	bool started, http10, head_method, body, chunked, post, other_method;
};

/* Looks on at the first `len` bytes of a connection, which begin with those of the calls before.
 * What is verdict once stays verdict. */
enum head_verdict head_check(struct head *h, const char *bytes, size_t len);
/* Sets where the Origin stands, if it has not been reached before the fault: whose page may read
 * what is wrong. */
void head_find_origin(struct head *h, const char *bytes, size_t len);

#endif
