/* SPDX-License-Identifier: PostgreSQL
 * See frame.h. */
#include "config.h"
#include "wire/frame.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct frame *frame_new(const char *body, size_t len)
{
	char head[12];
	int n = snprintf(head, sizeof(head), "%zx\r\n", len);
	struct frame *f;

	/* An empty chunk would end the response. */
	assert(len > 0 && len <= UINT32_MAX / 2);
	f = xcalloc(1, sizeof(*f) + (size_t)n + len + 2);
	f->refs = 1;
	f->body_at = (uint32_t)n;
	f->body_len = (uint32_t)len;
	f->len = (uint32_t)n + (uint32_t)len + 2;
	memcpy(f->bytes, head, (size_t)n);
	memcpy(f->bytes + n, body, len);
	memcpy(f->bytes + n + len, "\r\n", 2);
	return f;
}

struct frame *frame_ref(struct frame *f)
{
	atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
	return f;
}

void frame_unref(struct frame *f)
{
	if (f && atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1)
		free(f);
}
