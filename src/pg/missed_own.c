/* SPDX-License-Identifier: PostgreSQL
 * See missed_slice.h: who hears his own. */
#include "config.h"
#include "pg/missed_slice.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"

static int by_id(const void *a, const void *b)
{
	const struct missed_row *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int by_transaction(const void *a, const void *b)
{
	const struct missed_row *x = a, *y = b;

	return x->txid == y->txid ? by_id(a, b) : x->txid < y->txid ? -1 : 1;
}

/* False when they are too many. */
static bool find_own(struct missed *m, const PGresult *r)
{
	const char *txids = PQgetvalue(r, 0, COL_TXIDS), *ids = PQgetvalue(r, 0, COL_A),
		   *topics = PQgetvalue(r, 0, COL_B), *keys = PQgetvalue(r, 0, COL_C),
		   *kinds = PQgetvalue(r, 0, COL_D), *stored = PQgetvalue(r, 0, COL_E);
	size_t n = missed_count_items(txids);

	if (m->n_found + n > MISSED_OWN_MAX)
		return false;
	m->found = xrealloc(m->found, m->n_found + n + 1, sizeof(*m->found));
	for (; n; n--, kinds += kinds[0] && kinds[1] ? 2 : 0) {
		struct missed_row *row = &m->found[m->n_found++];

		*row = (struct missed_row){.kind = *kinds};
		row->txid = missed_next_number(&txids);
		row->id = missed_next_number(&ids);
		row->topic = missed_next_number(&topics);
		row->key = missed_next_number(&keys);
		row->stored = missed_next_number(&stored);
	}
	return true;
}

/* What one transaction has of them. */
struct share {
	uint64_t txid, last_id;
	size_t first, n; /* of m->found */
	uint64_t stored;
};

static int by_last_id(const void *a, const void *b)
{
	const struct share *x = a, *y = b;

	return x->last_id < y->last_id ? -1 : x->last_id > y->last_id;
}

static struct share *shares_of(const struct missed *m, size_t n_rows, size_t *ret_n)
{
	struct share *shares = xcalloc(n_rows, sizeof(*shares));
	size_t n = 0;

	for (size_t i = 0; i < n_rows; i++) {
		const struct missed_row *row = &m->found[i];

		if (!n || shares[n - 1].txid != row->txid)
			shares[n++] = (struct share){.txid = row->txid, .first = i};
		shares[n - 1].n++;
		shares[n - 1].stored += row->stored;
		/* The one whose beginning the client has goes first. */
		shares[n - 1].last_id = row->txid == m->half_txid ? 0 : row->id;
	}
	xsort(shares, n, sizeof(*shares), by_last_id);
	*ret_n = n;
	return shares;
}

static struct event *make_event(void *arg, size_t i, const struct event_row *row)
{
	const struct missed *m = arg;
	struct event_row other = *row;
	autobuf doc = {0}, leave = {0};

	if (!m->nameless[i] || (row->op != 'i' && row->op != 'u'))
		return event_new(row); /* a deleted one has the names that it had */
	buf_init(&doc, SIZE_MAX / 2);
	buf_init(&leave, SIZE_MAX / 2);
	missed_strip(m->conf, row->topic, row->doc, &doc);
	missed_strip(m->conf, row->topic, row->leave, &leave);
	other.doc = row->doc ? buf_cstr(&doc) : NULL;
	other.leave = row->leave ? buf_cstr(&leave) : NULL;
	return event_new(&other);
}

/* All of one's own has been found: what is to be told of it, transaction by transaction. */
static void plan_own(struct missed *m)
{
	size_t n = m->n_found, n_shares, at = 0;
	struct share *shares;

	xsort(m->found, n, sizeof(*m->found), by_id);
	missed_mark(m->found, n);
	xsort(m->found, n, sizeof(*m->found), by_transaction);
	shares = shares_of(m, n, &n_shares);
	m->ids = xcalloc(n, sizeof(*m->ids));
	m->nameless = xcalloc(n, sizeof(*m->nameless));
	for (size_t i = 0; i < n_shares; i++) {
		fetch_plan_add(&m->plan, shares[i].txid, shares[i].n, shares[i].stored);
		for (size_t k = 0; k < shares[i].n; k++, at++) {
			m->ids[at] = m->found[shares[i].first + k].id;
			m->nameless[at] = m->found[shares[i].first + k].nameless;
		}
	}
	free(shares);
	free(m->found);
	m->found = NULL;
	m->n_found = 0;
	m->plan.make = make_event;
	m->plan.arg = m;
	missed_begin_plan(m, m->base.xmax, m->base.in, m->base.n_in);
}

bool missed_take_own(struct missed *m, const PGresult *r, const struct snapshot *now)
{
	uint64_t last = missed_number(r, COL_LAST);

	if (!find_own(m, r))
		return false;
	m->ended = *PQgetvalue(r, 0, COL_MORE) != 't';
	missed_move_on(m, m->ended ? missed_certain(m, now, last) : last + 1, now, NULL, 0);
	if (m->ended)
		plan_own(m);
	return true;
}
