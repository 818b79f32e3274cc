/* SPDX-License-Identifier: PostgreSQL
 * See cursor.h. Snapshots, and the positions inside of a batch. */
#include "config.h"
#include "wire/cursor.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"

bool snapshot_parse(struct snapshot *s, const char *text)
{
	const char *colon = strchr(text, ':');
	const char *second = colon ? strchr(colon + 1, ':') : NULL;
	size_t cap = 0;

	*s = (struct snapshot){0};
	if (!second || !num_u64(colon + 1, (size_t)(second - colon - 1), &s->xmax) ||
	    s->xmax > CURSOR_MAX_TXID)
		return false;
	for (const char *p = second + 1; *p;) {
		size_t len = strcspn(p, ",");

		if (s->n_xip == cap)
			s->xip = xrealloc(s->xip, cap = cap ? cap * 2 : 16, sizeof(*s->xip));
		if (!num_u64(p, len, &s->xip[s->n_xip]) || !s->xip[s->n_xip] ||
		    s->xip[s->n_xip] >= s->xmax ||
		    (s->n_xip && s->xip[s->n_xip] <= s->xip[s->n_xip - 1])) {
			snapshot_free(s);
			return false;
		}
		s->n_xip++;
		p += len + (p[len] == ',');
	}
	return true;
}

void snapshot_free(struct snapshot *s)
{
	free(s->xip);
	*s = (struct snapshot){0};
}

void snapshot_add(struct snapshot *s, uint64_t txid)
{
	size_t i = cursor_place(s->xip, s->n_xip, txid);

	if (txid >= s->xmax || (i < s->n_xip && s->xip[i] == txid))
		return;
	s->xip = xrealloc(s->xip, s->n_xip + 1, sizeof(*s->xip));
	memmove(s->xip + i + 1, s->xip + i, (s->n_xip - i) * sizeof(*s->xip));
	s->xip[i] = txid;
	s->n_xip++;
}

void snapshot_remove(struct snapshot *s, uint64_t txid)
{
	size_t i = cursor_place(s->xip, s->n_xip, txid);

	if (i == s->n_xip || s->xip[i] != txid)
		return;
	s->n_xip--;
	memmove(s->xip + i, s->xip + i + 1, (s->n_xip - i) * sizeof(*s->xip));
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void cursor_batch_begin(struct cursor_batch *b, const struct cursor *base,
			const struct snapshot *now, const uint64_t *order, size_t n,
			const uint64_t *before, size_t n_before)
{
	*b = (struct cursor_batch){.base = *base, .now = now, .order = order, .n = n};
	b->left = b->left_memory = xcalloc(n, sizeof(*b->left));
	if (n)
		memcpy(b->left, order, n * sizeof(*order));
	xsort(b->left, n, sizeof(*b->left), ascending);
	b->n_left = n;
	b->delivered = xcalloc(n + n_before, sizeof(*b->delivered));
	if (n_before)
		memcpy(b->delivered, before, n_before * sizeof(*before));
	xsort(b->delivered, n_before, sizeof(*b->delivered), ascending);
	b->n_delivered = n_before;
}

void cursor_batch_end(struct cursor_batch *b)
{
	free(b->left_memory);
	free(b->delivered);
	*b = (struct cursor_batch){0};
}

static void mark_delivered(struct cursor_batch *b, uint64_t txid)
{
	size_t i = cursor_place(b->left, b->n_left, txid);

	assert(i < b->n_left && b->left[i] == txid);
	b->n_left--;
	if (i) /* the lowest goes first nearly always: then only the start moves */
		memmove(b->left + i, b->left + i + 1, (b->n_left - i) * sizeof(*b->left));
	else
		b->left++;
	i = cursor_place(b->delivered, b->n_delivered, txid);
	memmove(b->delivered + i + 1, b->delivered + i,
		(b->n_delivered++ - i) * sizeof(*b->delivered));
	b->delivered[i] = txid;
}

/* Fills `c` for the given xmax; false when there are too many exceptions. `strict` false drops
 * the `in` list instead of failing on it. */
static bool cut_at(const struct cursor_batch *b, uint64_t xmax, bool strict, struct cursor *c)
{
	size_t x = 0, l = 0, in = cursor_place(b->delivered, b->n_delivered, xmax);

	c->xmax = xmax;
	c->n_out = c->n_in = 0;
	for (;;) { /* merge: running at `now` and still to deliver, both ascending */
		uint64_t next_x = x < b->now->n_xip ? b->now->xip[x] : UINT64_MAX;
		uint64_t next_l = l < b->n_left ? b->left[l] : UINT64_MAX;
		uint64_t next = next_x < next_l ? next_x : next_l;

		if (next >= xmax)
			break;
		x += next == next_x;
		l += next == next_l;
		if (c->n_out == CURSOR_LIST_MAX) {
			/* Too many to name: end the set at this one instead. */
			if (strict)
				return false;
			c->xmax = next;
			break;
		}
		c->out[c->n_out++] = next;
	}
	if (!strict)
		return true;
	if (b->n_delivered - in > CURSOR_LIST_MAX)
		return false;
	for (; in < b->n_delivered; in++)
		c->in[c->n_in++] = b->delivered[in];
	return true;
}

#define MAX_CUTS 8 /* stragglers tried as `out` entries before the set is cut short */

void cursor_batch_at(struct cursor_batch *b, size_t done, uint64_t id, struct cursor_text *out)
{
	struct cursor c = b->base;
	size_t first, cut;

	assert(done >= b->done && done + (id != 0) <= b->n);
	for (; b->done < done; b->done++)
		mark_delivered(b, b->order[b->done]);
	if (!b->n_left) {
		cursor_batch_after(b, out);
		return;
	}
	c.txid = id ? b->order[done] : 0;
	c.id = id;
	/* Any xmax from base.xmax up to now.xmax spells the same set: what lies above it and has
	 * been delivered goes to `in`, what lies below and has not to `out`. Transactions are
	 * delivered nearly in the order of their ids, so the lowest one left makes both short. */
	first = cursor_place(b->left, b->n_left, b->base.xmax);
	for (cut = first; cut < b->n_left && cut < first + MAX_CUTS; cut++)
		if (cut_at(b, b->left[cut], true, &c) && cursor_spell(&c, out))
			return;
	if (cut_at(b, b->now->xmax, true, &c) && cursor_spell(&c, out))
		return;
	cut_at(b, first < b->n_left ? b->left[first] : b->now->xmax, false, &c);
	cursor_format(&c, out);
}

void cursor_batch_after(const struct cursor_batch *b, struct cursor_text *out)
{
	struct cursor_batch all = *b;
	struct cursor c = b->base;

	all.n_left = 0;
	c.txid = c.id = 0;
	if (!cut_at(&all, b->now->xmax, true, &c))
		cut_at(&all, b->now->xmax, false, &c);
	cursor_format(&c, out);
}
