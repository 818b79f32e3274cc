/* SPDX-License-Identifier: PostgreSQL
 * Texts with variables: the paths of routes, /my/chat/{session_id}/events/, where each is a whole
 * segment; and the names of channels, "chat:{session_id}". A value is of the bytes that a channel's
 * name may have, so it holds neither a slash nor an escape. */
#ifndef PGHERALD_WIRE_PATTERN_H
#define PGHERALD_WIRE_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/mem.h"

#define PATTERN_VARIABLES_MAX 4	  /* of a path */
#define PATTERN_NAME_MAX      32  /* bytes of a variable's name */
#define PATTERN_VALUE_MAX     128 /* bytes: see CHANNEL_MAX in wire/channel.h */

/* A stretch of text, or of a pattern: the name of a variable without its braces. */
struct pattern_piece {
	const char *at;
	size_t len;
	bool is_variable;
};

/* Takes the first piece off a pattern that has been found good; false when none is left. */
bool pattern_next(const char **pattern, struct pattern_piece *ret) MUST_CHECK;
/* What is wrong with a path, in words, or NULL. */
const char *pattern_path_complaint(const char *path);
/* The same for a channel's name; "{?x}" is a variable of the query. */
const char *pattern_channel_complaint(const char *channel);
/* Which of a path's variables that is, from 0; -1 for none. */
int pattern_variable(const char *path, const char *name, size_t len);
/* Whether it is that path, as it stands in a request behind its percent-decoding; then `ret` has
 * the values, which point into `given`. */
bool pattern_matches(const char *path, const char *given,
		     struct pattern_piece ret[PATTERN_VARIABLES_MAX]) MUST_CHECK;
/* Whether there is a path that both match. */
bool pattern_overlap(const char *a, const char *b) MUST_CHECK;
/* Appends the text with what `value` gives for each variable's name. False, and something appended,
 * when that is NULL. */
bool pattern_expand(const char *pattern,
		    const char *(*value)(void *arg, const char *name, size_t len), void *arg,
		    struct buf *out) MUST_CHECK;

#endif
