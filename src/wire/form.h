/* SPDX-License-Identifier: PostgreSQL
 * A form: what a client is sent, which is a dialect (dialect.h) in a transport's framing. Ids,
 * times to come back, keep-alives, greetings, farewells and comments are its affair; nobody else
 * knows how they look. A form is a row of the table in form.c. */
#ifndef PGHERALD_WIRE_FORM_H
#define PGHERALD_WIRE_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"

enum wire_form { FORM_SSE, FORM_NDJSON, FORM_POLL, N_FORMS };

/* `transport=` in a request, what Accept calls it (NULL: not at all), its Content-Type, and what
 * the log calls it. */
const char *form_name(enum wire_form form);
const char *form_media(enum wire_form form);
const char *form_type(enum wire_form form);
const char *form_title(enum wire_form form);
/* The form of that name; N_FORMS when there is none. */
enum wire_form form_find(const char *name);

/* Whether it is an answer, which ends when there is something to tell, or nothing for a
 * keep-alive's time; the others go on. */
bool form_is_answer(enum wire_form form) MUST_CHECK;

/* All of these append whole messages. An id may be NULL. */

/* The first message: `retry_ms` to come back after an interruption; for a client that asks who it
 * is `user` and the seconds between two keep-alives, otherwise NULL and 0. */
void form_hello(enum wire_form form, struct buf *b, const char *user, uint64_t keepalive_s,
		uint64_t retry_ms, const char *id);
/* One change: `doc` is JSON text, `scope` "enter", "leave" or NULL, `at` in seconds. */
void form_event(enum wire_form form, struct buf *b, const char *type, const char *doc,
		const char *scope, int64_t at, const char *id);
/* "Refetch": `topics` is a JSON array's text. */
void form_resync(enum wire_form form, struct buf *b, const char *reason, const char *topics,
		 int64_t at, const char *id);
void form_keepalive(enum wire_form form, struct buf *b, int64_t at, const char *id);
/* The last message: when to come back, and where that is told anew, with which id. */
void form_farewell(enum wire_form form, struct buf *b, uint64_t retry_ms, int64_t at,
		   const char *id);
/* What is sent, if it can be, when a stream ends without one. */
const char *form_break(enum wire_form form);
/* Words for whoever looks at the wire, and no message; nothing where that cannot be. */
void form_comment(enum wire_form form, struct buf *b, const char *text);
/* As little as can be sent without a meaning. */
void form_probe(enum wire_form form, struct buf *b, int64_t at);

#endif
