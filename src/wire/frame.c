/* SPDX-License-Identifier: PostgreSQL
 * See frame.h. */
#include "config.h"
#include "wire/frame.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/ledger.h"
#include "base/mem.h"

#define HEAD_MAX (2 * sizeof(size_t) + 2)

/* The chunk-size line, written from its end; returns where it begins. */
static size_t write_head(char head[HEAD_MAX], size_t len)
{
	size_t i = HEAD_MAX;

	head[--i] = '\n';
	head[--i] = '\r';
	do
		head[--i] = "0123456789abcdef"[len % 16];
	while (len /= 16);
	return i;
}

static size_t size_of(const struct frame *f)
{
	return sizeof(*f) + f->len;
}

struct frame *frame_new(const char *body, size_t len)
{
	char head[HEAD_MAX];
	size_t start = write_head(head, len), n = HEAD_MAX - start;
	struct frame *f;

	/* An empty chunk would end the response. */
	assert(len > 0 && len <= UINT32_MAX / 2);
	f = xcalloc(1, sizeof(*f) + n + len + 2);
	f->refs = 1;
	f->body_at = (uint32_t)n;
	f->body_len = (uint32_t)len;
	f->len = (uint32_t)(n + len + 2);
	memcpy(f->bytes, head + start, n);
	memcpy(f->bytes + n, body, len);
	memcpy(f->bytes + n + len, "\r\n", 2);
	frame_count(f, true);
	return f;
}

struct frame *frame_ref(struct frame *f)
{
	atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
	return f;
}

void frame_unref(struct frame *f)
{
	if (f && atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1) {
		frame_count(f, false);
		free(f);
	}
}

void frame_count(struct frame *f, bool counted)
{
	int64_t size = (int64_t)size_of(f);

	if (atomic_load_explicit(&f->counted, memory_order_relaxed) == counted)
		return;
	atomic_store_explicit(&f->counted, counted, memory_order_relaxed);
	ledger_add(counted ? size : -size);
}

size_t frame_share(const struct frame *f)
{
	int refs = atomic_load_explicit(&f->refs, memory_order_relaxed);

	return atomic_load_explicit(&f->counted, memory_order_relaxed) ? size_of(f) / (size_t)refs
								       : 0;
}
