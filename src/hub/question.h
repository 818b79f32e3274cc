/* SPDX-License-Identifier: PostgreSQL
 * "Why did this user get that, or not?" as somebody asks it: whom it is about, and which event or
 * row. */
#ifndef PGHERALD_HUB_QUESTION_H
#define PGHERALD_HUB_QUESTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "wire/cursor.h"

#define QUESTION_USER_MAX 255  /* bytes */
#define QUESTION_ROLE_MAX 255  /* bytes */
#define QUESTION_KEY_MAX  1024 /* bytes of a row's key */

enum question_kind {
	QUESTION_NUMBER,   /* a row of the journal, by its number */
	QUESTION_POSITION, /* what a client got with this id */
	QUESTION_ROW,	   /* what was told of a row of a watched table lately */
};

struct question {
	enum question_kind kind;
	char *user;
	char *role; /* as if he had it; NULL: what the doors say */
	uint64_t number;
	struct cursor position;
	char *topic, *key; /* of the row */
};

/* Of `event` ("501", or an id as clients get it) and `row` ("estimate:17") one is NULL; so may
 * `role` be. False, with a sentence that names what and where, when they are no question; then,
 * too, question_clear() releases. */
bool question_read(struct question *q, const char *user, const char *role, const char *event,
		   const char *row, struct buf *why) MUST_CHECK;
void question_clear(struct question *q);

#endif
