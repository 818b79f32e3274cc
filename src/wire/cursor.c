/* SPDX-License-Identifier: PostgreSQL
 * See cursor.h. */
#include "config.h"
#include "wire/cursor.h"

#include <assert.h>
#include <string.h>

#include "base/num.h"

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

bool cursor_spell(const struct cursor *c, struct cursor_text *out)
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

	if (cursor_spell(c, out))
		return;
	less = *c;
	less.n_in = 0;
	while (!cursor_spell(&less, out)) {
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

/* A base-36 number without leading zeros and at most CURSOR_MAX_TXID. */
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
		if (n > (CURSOR_MAX_TXID - digit) / 36)
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
		    (!distance && c->n_in) || distance > CURSOR_MAX_TXID - from)
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

size_t cursor_place(const uint64_t *list, size_t len, uint64_t n)
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
	size_t i = cursor_place(list, len, n);

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
	size_t i = cursor_place(list, *n, txid);

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
		i = cursor_place(c->out, c->n_out, txid);
		if (i < c->n_out && c->out[i] == txid)
			memmove(c->out + i, c->out + i + 1, (--c->n_out - i) * sizeof(*c->out));
	}
	c->txid = c->id = 0;
}
