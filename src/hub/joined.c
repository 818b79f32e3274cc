/* SPDX-License-Identifier: PostgreSQL
 * See joined.h. */
#include "config.h"
#include "hub/joined.h"

#include <string.h>

static bool is_same(const struct joined *j, const struct queue *q, bool chunked)
{
	if (q->n != j->n || chunked != j->chunked)
		return false;
	for (uint32_t i = 0; i < j->n; i++)
		if (queue_at(q, i) != j->frames[i])
			return false;
	return true;
}

static void remember(struct joined *j, const struct queue *q, bool chunked)
{
	joined_forget(j);
	j->chunked = chunked;
	for (; j->n < q->n; j->n++) {
		struct frame *f = queue_at(q, j->n);

		j->frames[j->n] = frame_ref(f);
		j->len += chunked ? f->len : f->body_len;
	}
}

bool joined_has(struct joined *j, const struct queue *q, bool chunked)
{
	size_t at = 0;

	if (q->n > JOINED_MAX_FRAMES)
		return false;
	if (!is_same(j, q, chunked)) {
		remember(j, q, chunked);
		return false; /* maybe nobody else has it */
	}
	if (j->made || j->len > JOINED_MAX_BYTES)
		return j->made;
	for (uint32_t i = 0; i < j->n; i++) {
		const struct frame *f = j->frames[i];
		size_t len = chunked ? f->len : f->body_len;

		memcpy(j->bytes + at, f->bytes + (chunked ? 0 : f->body_at), len);
		at += len;
	}
	return j->made = true;
}

void joined_forget(struct joined *j)
{
	while (j->n)
		frame_unref(j->frames[--j->n]);
	j->len = 0;
	j->made = false;
}
