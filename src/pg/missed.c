/* SPDX-License-Identifier: PostgreSQL
 * See missed.h. The walk from slice to slice, and what is handed out on it. */
#include "config.h"
#include "pg/missed_slice.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"
#include "pg/fetch.h"
#include "pg/kept.h"

static void ids_add(struct missed_ids *ids, uint64_t id)
{
	if (!(ids->n & (ids->n - 1))) /* full at each power of two */
		ids->list = xrealloc(ids->list, ids->n ? ids->n * 2 : 1, sizeof(*ids->list));
	ids->list[ids->n++] = id;
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void ids_set(struct missed_ids *ids, const uint64_t *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ids_add(ids, list[i]);
}

void missed_begin(struct missed *m, struct conf *conf, const struct cursor *from, const char *user,
		  const struct keys *channels, const char *session)
{
	*m = (struct missed){.conf = conf_ref(conf),
			     .base = *from,
			     .xmax = from->xmax,
			     .half_txid = from->txid,
			     .half_id = from->id,
			     .half_open = from->txid != 0,
			     .slice_rows = MISSED_SLICE_ROWS};
	ids_set(&m->out, from->out, from->n_out);
	ids_set(&m->in, from->in, from->n_in);
	m->base.txid = m->base.id = 0;
	if (user) {
		m->user = xstrdup(user);
		m->keys = kept_keys(user, channels);
		m->session = session ? xstrdup(session) : NULL;
		if (getrandom(&m->seed, sizeof(m->seed), GRND_NONBLOCK) != sizeof(m->seed))
			m->seed = (uint64_t)(uintptr_t)m; /* so early after the boot */
		m->seed >>= 1;				  /* a bigint */
	}
}

/* What has been handed out needs no memory any more. */
static void drop_plan(struct missed *m)
{
	fetch_plan_free(&m->plan);
	free(m->ids);
	free(m->nameless);
	m->ids = NULL;
	m->nameless = NULL;
}

void missed_end(struct missed *m)
{
	drop_plan(m);
	free(m->found);
	free(m->out.list);
	free(m->in.list);
	free(m->user);
	free(m->keys);
	free(m->session);
	conf_unref(m->conf);
	*m = (struct missed){0};
}

void missed_send(struct missed *m, struct conn *c, const struct fetch_limits *limits,
		 conn_result_fn *done, void *arg)
{
	if (m->plan.done < m->plan.n) {
		fetch_send_page(c, &m->plan, limits, done, arg);
		return;
	}
	conn_limit(c, limits->ms);
	missed_ask(m, c, done, arg);
}

static bool contains(const struct missed_ids *ids, uint64_t id)
{
	for (size_t i = 0; i < ids->n; i++)
		if (ids->list[i] == id)
			return true;
	return false;
}

static bool running(const struct snapshot *now, uint64_t txid)
{
	for (size_t i = 0; i < now->n_xip; i++)
		if (now->xip[i] == txid)
			return true;
	return txid >= now->xmax;
}

void missed_move_on(struct missed *m, uint64_t xmax, const struct snapshot *now,
		    const struct missed_tx *waiting, size_t n_waiting)
{
	struct missed_ids out = {0}, in = {0};

	for (size_t i = 0; i < now->n_xip && now->xip[i] < xmax; i++)
		if (now->xip[i] >= m->xmax ? !contains(&m->in, now->xip[i])
					   : contains(&m->out, now->xip[i]))
			ids_add(&out, now->xip[i]);
	for (size_t i = 0; i < n_waiting; i++)
		if (waiting[i].txid < xmax)
			ids_add(&out, waiting[i].txid);
	for (size_t i = 0; i < m->in.n; i++)
		if (m->in.list[i] >= xmax)
			ids_add(&in, m->in.list[i]);
	if (m->half_open && m->half_txid >= xmax && !running(now, m->half_txid))
		ids_add(&in, m->half_txid);
	m->half_open = false;
	xsort(out.list, out.n, sizeof(*out.list), ascending);
	free(m->out.list);
	free(m->in.list);
	m->out = out;
	m->in = in;
	m->xmax = xmax;
}

uint64_t missed_certain(const struct missed *m, const struct snapshot *now, uint64_t last)
{
	uint64_t xmax = last >= m->xmax ? last + 1 : m->xmax;

	for (size_t i = 0; i < m->in.n; i++)
		if (m->in.list[i] >= xmax)
			xmax = m->in.list[i] + 1;
	if (m->half_open && m->half_txid >= xmax && !running(now, m->half_txid))
		xmax = m->half_txid + 1;
	return xmax < now->xmax ? xmax : now->xmax;
}

/* The transaction whose beginning the client has, when nothing of it is left for him. */
static bool half_is_done(const struct missed *m)
{
	if (!m->half_txid || contains(&m->out, m->half_txid) ||
	    (m->half_txid >= m->xmax && !contains(&m->in, m->half_txid)))
		return false;
	for (size_t i = 0; i < m->plan.n; i++)
		if (m->plan.order[i] == m->half_txid)
			return false;
	return true;
}

void missed_begin_plan(struct missed *m, uint64_t xmax, const uint64_t *in, size_t n_in)
{
	struct fetch_plan *p = &m->plan;
	struct missed_ids before = {0};

	m->base.xmax = xmax;
	p->half_txid = m->half_txid;
	p->half_id = m->half_id;
	p->with_rights = true; /* they hold what stands in the same page */
	p->ids = m->ids;
	p->now = (struct snapshot){.xmax = m->xmax, .n_xip = m->out.n};
	p->now.xip = xcalloc(m->out.n, sizeof(*p->now.xip));
	for (size_t i = 0; i < m->out.n; i++)
		p->now.xip[i] = m->out.list[i];
	ids_set(&before, in, n_in);
	if (m->half_txid >= xmax && half_is_done(m) && !contains(&before, m->half_txid))
		ids_add(&before, m->half_txid);
	cursor_batch_begin(&p->batch, &m->base, &p->now, p->order, p->n, before.list, before.n);
	free(before.list);
}

/* After a slice, or a page: how it goes on. */
static enum missed_step next_step(struct missed *m, size_t n_events, struct cursor *after)
{
	struct cursor_text text;
	bool ok;

	if (m->plan.done < m->plan.n || !m->ended) {
		if (m->plan.done == m->plan.n)
			drop_plan(m);
		return n_events ? MISSED_EVENTS : MISSED_AGAIN;
	}
	cursor_batch_after(&m->plan.batch, &text);
	ok = cursor_parse(after, text.text, strlen(text.text));
	assert(ok); /* we have just written it */
	(void)ok;
	drop_plan(m);
	return MISSED_LAST;
}

static int by_txid(const void *a, const void *b)
{
	const struct missed_tx *x = a, *y = b;

	return x->txid < y->txid ? -1 : x->txid > y->txid;
}

static struct missed_tx *read_transactions(const PGresult *r, size_t *ret_n)
{
	const char *txids = PQgetvalue(r, 0, COL_TXIDS), *low = PQgetvalue(r, 0, COL_A),
		   *high = PQgetvalue(r, 0, COL_B), *rows = PQgetvalue(r, 0, COL_C),
		   *stored = PQgetvalue(r, 0, COL_D);
	size_t n = missed_count_items(txids);
	struct missed_tx *tx = xcalloc(n, sizeof(*tx));

	for (size_t i = 0; i < n; i++)
		tx[i] = (struct missed_tx){missed_next_number(&txids), missed_next_number(&low),
					   missed_next_number(&high), missed_next_number(&rows),
					   missed_next_number(&stored)};
	xsort(tx, n, sizeof(*tx), by_txid);
	*ret_n = n;
	return tx;
}

/* A slice of all that there is: what of it may go now is handed out. */
static void take_all(struct missed *m, const PGresult *r, const struct snapshot *now)
{
	bool more = *PQgetvalue(r, 0, COL_MORE) == 't';
	size_t n, ready, backends = (size_t)missed_number(r, COL_BACKENDS), n_in = m->in.n;
	struct missed_tx *tx = read_transactions(r, &n);
	uint64_t cut, began = m->xmax, first = m->half_open ? m->half_txid : 0;
	uint64_t *in;

	ready = missed_cut(tx, n, m->xmax, first, more, backends, &cut);
	if (ready == SIZE_MAX) { /* few and large transactions: more of them at once */
		m->slice_rows *= 4;
		free(tx);
		return;
	}
	if (m->slice_rows > MISSED_SLICE_ROWS)
		m->slice_rows = MISSED_SLICE_ROWS;
	m->ended = !more;
	in = xcalloc(n_in, sizeof(*in));
	for (size_t i = 0; i < n_in; i++)
		in[i] = m->in.list[i];
	missed_move_on(m, more ? cut : missed_certain(m, now, missed_number(r, COL_LAST)), now,
		       tx + ready, n - ready);
	for (size_t i = 0; i < ready; i++)
		fetch_plan_add(&m->plan, tx[i].txid, tx[i].rows, tx[i].stored);
	missed_begin_plan(m, began, in, n_in);
	free(in);
	free(tx);
}

/* Why the position cannot be resumed, or NULL. A transaction that still runs has nothing that could
 * have been pruned. */
static const char *reset_reason(const struct missed *m, const PGresult *r,
				const struct snapshot *now)
{
	uint64_t floor = missed_number(r, COL_FLOOR);

	if (strcmp(PQgetvalue(r, 0, COL_EPOCH), m->base.epoch) != 0)
		return "epoch";
	if (m->xmax > now->xmax)
		return "cursor"; /* from the future: not one of ours */
	if (m->xmax <= floor || (m->half_open && m->half_txid <= floor))
		return "pruned";
	for (size_t i = 0; i < m->out.n; i++)
		if (m->out.list[i] <= floor && !running(now, m->out.list[i]))
			return "pruned";
	return NULL;
}

static enum missed_step read_slice(struct missed *m, const PGresult *r, struct cursor *after,
				   const char **why)
{
	struct snapshot now;
	enum missed_step step = MISSED_RESET;

	if (PQnfields(r) != N_COLUMNS || PQntuples(r) != 1 ||
	    !snapshot_parse(&now, PQgetvalue(r, 0, COL_NOW))) {
		*why = "schema pgherald is not as this version expects";
		return MISSED_FAILED;
	}
	*why = reset_reason(m, r, &now);
	if (!*why && !m->user) {
		take_all(m, r, &now);
		step = next_step(m, 0, after);
	} else if (!*why && missed_take_own(m, r, &now)) {
		step = next_step(m, 0, after);
	} else if (!*why) {
		*why = "storm";
	}
	snapshot_free(&now);
	return step;
}

static enum missed_step read_page(struct missed *m, const PGresult *r, struct event ***ret,
				  size_t *ret_n, struct cursor *after, const char **why)
{
	switch (fetch_read_page(&m->plan, r, false, ret, ret_n)) {
	case FETCH_ROWS:
		return next_step(m, *ret_n, after);
	case FETCH_TOO_MUCH:
	case FETCH_BAD:
		fetch_tell_bare(&m->plan, PQresultStatus(r) == PGRES_TUPLES_OK ? "size" : "loss");
		return MISSED_AGAIN;
	case FETCH_AGAIN:
		return MISSED_AGAIN;
	case FETCH_GONE:
		*why = "pruned";
		return MISSED_RESET;
	default:
		*why = conn_error(r);
		return MISSED_FAILED;
	}
}

enum missed_step missed_read(struct missed *m, const PGresult *r, struct event ***ret,
			     size_t *ret_n, struct cursor *after, const char **why)
{
	*ret = NULL;
	*ret_n = 0;
	if (m->plan.done < m->plan.n)
		return read_page(m, r, ret, ret_n, after, why);
	if (PQresultStatus(r) == PGRES_TUPLES_OK)
		return read_slice(m, r, after, why);
	if (conn_error_is(r, "57014") && m->slice_rows > 100) { /* it took too long */
		m->slice_rows /= 4;
		return MISSED_AGAIN;
	}
	*why = conn_error(r);
	return MISSED_FAILED;
}
