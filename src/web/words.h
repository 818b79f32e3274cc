/* SPDX-License-Identifier: PostgreSQL
 * What all streams of a form are sent of the daemon's own, made for the first of them. Lives as
 * long as one walk over them. */
#ifndef PGHERALD_WEB_WORDS_H
#define PGHERALD_WEB_WORDS_H

#include <stdint.h>

#include "base/buf.h"
#include "wire/frame.h"

struct words {
	void (*write)(uint32_t form, struct buf *b, const char *text);
	const char *text;
	struct frame *frames; /* one for each form, by its number */
};

/* NULL where there is nothing; not the caller's. */
struct frame *words_in(struct words *words, uint32_t form);
void words_free(struct words *words);

/* For `write`: a keep-alive with an id or NULL, a comment, and what means nothing. */
void words_keepalive(uint32_t form, struct buf *b, const char *id);
void words_comment(uint32_t form, struct buf *b, const char *text);
void words_probe(uint32_t form, struct buf *b, const char *none);

#endif
