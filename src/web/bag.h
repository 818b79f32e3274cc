/* SPDX-License-Identifier: PostgreSQL
 * Sockets of streams on their way to the next process: one socket in whose queue all of them lie.
 * With each go the last words for its client, as bytes: who opens the bag can end it properly
 * without knowing what it is. Versions before this one put streams of SSE in it, without words. */
#ifndef PGHERALD_WEB_BAG_H
#define PGHERALD_WEB_BAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "wire/frame.h"

/* What a stream's last words come from. */
struct bag_end {
	uint32_t form; /* wire/form.h */
	bool chunked;
	uint64_t retry_ms;    /* its route's; told is one to three times that */
	const char *position; /* told by an answer; NULL where none is */
};

struct bag;

struct bag *bag_new(void);
/* Takes it. */
void bag_put(struct bag *b, int fd, const struct bag_end *end);
size_t bag_count(const struct bag *b);
/* The descriptor of a socket that has them all, whose other end is closed; -1 with errno. */
int bag_pack(const struct bag *b) MUST_CHECK;
/* Closes our descriptors; `farewell`: behind the last words. */
void bag_free(struct bag *b, bool farewell);

struct bag_item {
	int fd;
	bool chunked, talks; /* how it is framed; a WebSocket */
	struct frame *words; /* the last ones; a reference. NULL: none */
};

/* What lies in one that was packed, which is closed. The caller frees the array. */
size_t bag_unpack(int bag, struct bag_item **ret);
/* Says the last words, and lets go of them. The socket stays open. */
void bag_farewell(struct bag_item *i);

#endif
