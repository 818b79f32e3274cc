/* SPDX-License-Identifier: PostgreSQL
 * Growing bytes with a ceiling. An append that would pass the ceiling marks the buffer failed,
 * and every later append does nothing: build first, ask buf_ok() once at the end. */
#ifndef PGHERALD_BASE_BUF_H
#define PGHERALD_BASE_BUF_H

#include "base/mem.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	char *data; /* NUL-terminated whenever it is not NULL */
	size_t len; /* bytes, without the NUL */
	size_t cap;
	size_t max; /* bytes that len may reach */
	bool failed;
};

/* An empty buffer that may grow to `max` bytes; buf_free() releases it. */
void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b);
/* Back to empty and unfailed; keeps the memory. */
void buf_clear(struct buf *b);
void buf_add(struct buf *b, const void *data, size_t len);
void buf_str(struct buf *b, const char *s);
void buf_char(struct buf *b, char c);
void buf_u64(struct buf *b, uint64_t n);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) PRINTF(2, 0);
/* Whether everything appended so far is in it. */
bool buf_ok(const struct buf *b) MUST_CHECK;
/* The text so far, never NULL, valid until the next append. */
const char *buf_cstr(const struct buf *b);
/* The text as memory of its own, which the caller frees; the buffer is empty after. */
char *buf_steal(struct buf *b);

#define autobuf __attribute__((cleanup(buf_free))) struct buf

#endif
