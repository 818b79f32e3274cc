/* SPDX-License-Identifier: PostgreSQL
 * See cursor.h. */
#include "config.h"
#include "wire/cursor.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"

#define MAX_TXID INT64_MAX /* txid is bigint in SQL */

/* A writer with a ceiling that remembers having hit it. */
struct pen {
	char *at, *end;
	bool full;
};

static void put_char(struct pen *p, char c)
{
	if (p->at == p->end)
		p->full = true;
	else
		*p->at++ = c;
}

static void put_number(struct pen *p, uint64_t n)
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	char text[13];
	size_t i = sizeof(text);

	do {
		text[--i] = digits[n % 36];
		n /= 36;
	} while (n);
	while (i < sizeof(text))
		put_char(p, text[i++]);
}

/* Spells without dropping anything; false when it does not fit. */
static bool spell(const struct cursor *c, struct cursor_text *out)
{
	struct pen p = {.at = out->text, .end = out->text + CURSOR_TEXT_MAX};
	uint64_t from = c->xmax;

	for (const char *e = c->epoch; *e; e++)
		put_char(&p, *e);
	put_char(&p, '.');
	put_number(&p, c->loss);
	put_char(&p, '.');
	put_number(&p, c->xmax);
	if (c->n_out || c->n_in || c->txid)
		put_char(&p, '.');
	for (size_t i = c->n_out; i-- > 0; from = c->out[i]) {
		if (from != c->xmax)
			put_char(&p, '-');
		put_number(&p, from - c->out[i]);
	}
	if (c->n_in || c->txid)
		put_char(&p, '.');
	from = c->xmax;
	for (size_t i = 0; i < c->n_in; from = c->in[i++]) {
		if (i)
			put_char(&p, '-');
		put_number(&p, c->in[i] - from);
	}
	if (c->txid) {
		put_char(&p, '.');
		put_number(&p, c->txid);
		put_char(&p, '-');
		put_number(&p, c->id);
	}
	*p.at = '\0';
	return !p.full;
}

void cursor_format(const struct cursor *c, struct cursor_text *out)
{
	struct cursor less;

	if (spell(c, out))
		return;
	less = *c;
	less.n_in = 0;
	while (!spell(&less, out)) {
		/* Lower xmax to the highest exception: everything from there on comes again. */
		assert(less.n_out);
		less.xmax = less.out[--less.n_out];
		/* A half-delivered transaction above xmax is still worth remembering. */
	}
}

/* A reader that stops at the first byte that does not belong. */
struct eye {
	const char *at, *end;
};

static bool see_char(struct eye *e, char c)
{
	if (e->at == e->end || *e->at != c)
		return false;
	e->at++;
	return true;
}

/* A base-36 number without leading zeros and at most MAX_TXID. */
static bool see_number(struct eye *e, uint64_t *ret)
{
	const char *start = e->at;
	uint64_t n = 0;

	for (; e->at < e->end; e->at++) {
		uint64_t digit;

		if (*e->at >= '0' && *e->at <= '9')
			digit = (uint64_t)(*e->at - '0');
		else if (*e->at >= 'a' && *e->at <= 'z')
			digit = (uint64_t)(*e->at - 'a') + 10;
		else
			break;
		if (n > (MAX_TXID - digit) / 36)
			return false;
		n = n * 36 + digit;
	}
	if (e->at == start || (*start == '0' && e->at - start > 1))
		return false;
	*ret = n;
	return true;
}

static bool see_out(struct eye *e, struct cursor *c)
{
	uint64_t from = c->xmax, distance;

	if (e->at == e->end || *e->at == '.')
		return true;
	do {
		if (c->n_out == CURSOR_LIST_MAX || !see_number(e, &distance) || !distance ||
		    distance >= from)
			return false;
		from -= distance;
		c->out[c->n_out++] = from;
	} while (see_char(e, '-'));
	for (size_t i = 0, j = c->n_out; i + 1 < j; i++) { /* they came from the top down */
		uint64_t swap = c->out[i];

		c->out[i] = c->out[--j];
		c->out[j] = swap;
	}
	return true;
}

static bool see_in(struct eye *e, struct cursor *c)
{
	uint64_t from = c->xmax, distance;

	if (e->at == e->end || *e->at == '.')
		return true;
	do {
		if (c->n_in == CURSOR_LIST_MAX || !see_number(e, &distance) ||
		    (!distance && c->n_in) || distance > MAX_TXID - from)
			return false;
		from += distance;
		c->in[c->n_in++] = from;
	} while (see_char(e, '-'));
	return true;
}

bool cursor_parse(struct cursor *c, const char *text, size_t len)
{
	struct eye e = {.at = text, .end = text + len};

	*c = (struct cursor){0};
	if (len > CURSOR_TEXT_MAX || (len && text[len - 1] == '.')) /* empty fields are left off */
		return false;
	for (size_t i = 0; i < CURSOR_EPOCH_LEN; i++) {
		if (e.at == e.end ||
		    !((*e.at >= '0' && *e.at <= '9') || (*e.at >= 'a' && *e.at <= 'z')))
			return false;
		c->epoch[i] = *e.at++;
	}
	if (!see_char(&e, '.') || !see_number(&e, &c->loss) || !see_char(&e, '.') ||
	    !see_number(&e, &c->xmax) || !c->xmax)
		return false;
	if (see_char(&e, '.') && !see_out(&e, c))
		return false;
	if (see_char(&e, '.') && !see_in(&e, c))
		return false;
	if (see_char(&e, '.') &&
	    !(see_number(&e, &c->txid) && c->txid && see_char(&e, '-') && see_number(&e, &c->id)))
		return false;
	return e.at == e.end;
}

/* The place of `n` in an ascending list, or where it would be. */
static size_t place_of(const uint64_t *list, size_t len, uint64_t n)
{
	size_t low = 0, high = len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (list[middle] < n)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool listed(const uint64_t *list, size_t len, uint64_t n)
{
	size_t i = place_of(list, len, n);

	return i < len && list[i] == n;
}

bool cursor_has(const struct cursor *c, uint64_t txid, uint64_t id)
{
	if (c->txid && txid == c->txid)
		return id <= c->id;
	if (txid >= c->xmax)
		return listed(c->in, c->n_in, txid);
	return !listed(c->out, c->n_out, txid);
}

uint64_t cursor_xmin(const struct cursor *c)
{
	uint64_t low = c->n_out ? c->out[0] : c->xmax;

	return c->txid && c->txid < low ? c->txid : low;
}

/* Whether all rows of a transaction are in the position. */
static bool has_whole(const struct cursor *c, uint64_t txid)
{
	return cursor_has(c, txid, UINT64_MAX);
}

bool cursor_covers(const struct cursor *a, const struct cursor *b)
{
	if (b->xmax > a->xmax || (b->txid && !cursor_has(a, b->txid, b->id)) ||
	    (a->txid && cursor_has(b, a->txid, a->id + 1)))
		return false;
	for (size_t i = 0; i < a->n_out; i++)
		if (a->out[i] != a->txid && has_whole(b, a->out[i]))
			return false;
	for (size_t i = 0; i < b->n_in; i++)
		if (!has_whole(a, b->in[i]))
			return false;
	return true;
}

/* Adds to an ascending list; false when it is full. */
static bool list_add(uint64_t *list, uint16_t *n, uint64_t txid)
{
	size_t i = place_of(list, *n, txid);

	if (i < *n && list[i] == txid)
		return true;
	if (*n == CURSOR_LIST_MAX)
		return false;
	memmove(list + i + 1, list + i, (*n - i) * sizeof(*list));
	list[i] = txid;
	(*n)++;
	return true;
}

void cursor_union(struct cursor *u, const struct cursor *a, const struct cursor *b)
{
	const struct cursor *high = a->xmax >= b->xmax ? a : b, *low = high == a ? b : a;
	bool full = false;

	assert(u != a && u != b);
	*u = *a;
	u->xmax = high->xmax;
	u->n_out = u->n_in = 0;
	/* Below the higher xmax only what the higher one lacks can be missing. */
	for (size_t i = 0; i < high->n_out; i++)
		if (!has_whole(low, high->out[i]))
			u->out[u->n_out++] = high->out[i];
	for (size_t i = 0; i < high->n_in; i++)
		u->in[u->n_in++] = high->in[i];
	for (size_t i = 0; i < low->n_in; i++)
		if (low->in[i] >= u->xmax)
			full |= !list_add(u->in, &u->n_in, low->in[i]);
	(void)full; /* what does not fit is left out: it may come again */
	/* One half-delivered transaction can be told: the newer reader's, unless it is whole now.
	 */
	u->txid = u->id = 0;
	for (int k = 0; k < 2; k++) {
		const struct cursor *c = k ? b : a, *other = k ? a : b;

		if (!c->txid || has_whole(other, c->txid))
			continue;
		u->txid = c->txid;
		u->id = other->txid == c->txid && other->id > c->id ? other->id : c->id;
	}
}

void cursor_complete(struct cursor *c)
{
	uint64_t txid = c->txid;
	size_t i;

	if (!txid)
		return;
	if (txid >= c->xmax) {
		if (!list_add(c->in, &c->n_in, txid))
			return; /* no room: the half that can be said stays */
	} else {
		i = place_of(c->out, c->n_out, txid);
		if (i < c->n_out && c->out[i] == txid)
			memmove(c->out + i, c->out + i + 1, (--c->n_out - i) * sizeof(*c->out));
	}
	c->txid = c->id = 0;
}

bool snapshot_parse(struct snapshot *s, const char *text)
{
	const char *colon = strchr(text, ':');
	const char *second = colon ? strchr(colon + 1, ':') : NULL;
	size_t cap = 0;

	*s = (struct snapshot){0};
	if (!second || !num_u64(colon + 1, (size_t)(second - colon - 1), &s->xmax) ||
	    s->xmax > MAX_TXID)
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
	size_t i = place_of(s->xip, s->n_xip, txid);

	if (txid >= s->xmax || (i < s->n_xip && s->xip[i] == txid))
		return;
	s->xip = xrealloc(s->xip, s->n_xip + 1, sizeof(*s->xip));
	memmove(s->xip + i + 1, s->xip + i, (s->n_xip - i) * sizeof(*s->xip));
	s->xip[i] = txid;
	s->n_xip++;
}

void snapshot_remove(struct snapshot *s, uint64_t txid)
{
	size_t i = place_of(s->xip, s->n_xip, txid);

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
	size_t i = place_of(b->left, b->n_left, txid);

	assert(i < b->n_left && b->left[i] == txid);
	b->n_left--;
	if (i) /* the lowest goes first nearly always: then only the start moves */
		memmove(b->left + i, b->left + i + 1, (b->n_left - i) * sizeof(*b->left));
	else
		b->left++;
	i = place_of(b->delivered, b->n_delivered, txid);
	memmove(b->delivered + i + 1, b->delivered + i,
		(b->n_delivered++ - i) * sizeof(*b->delivered));
	b->delivered[i] = txid;
}

/* Fills `c` for the given xmax; false when there are too many exceptions. `strict` false drops
 * the `in` list instead of failing on it. */
static bool cut_at(const struct cursor_batch *b, uint64_t xmax, bool strict, struct cursor *c)
{
	size_t x = 0, l = 0, in = place_of(b->delivered, b->n_delivered, xmax);

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
	first = place_of(b->left, b->n_left, b->base.xmax);
	for (cut = first; cut < b->n_left && cut < first + MAX_CUTS; cut++)
		if (cut_at(b, b->left[cut], true, &c) && spell(&c, out))
			return;
	if (cut_at(b, b->now->xmax, true, &c) && spell(&c, out))
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
