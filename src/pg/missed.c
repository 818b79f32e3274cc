/* SPDX-License-Identifier: PostgreSQL
 * See missed.h. What it asks, and what it makes of the answers. */
#include "config.h"
#include "pg/missed.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"
#include "pg/fetch.h"
#include "pg/kept.h"

enum column {
	COL_EPOCH,
	COL_LOSS,
	COL_FLOOR,
	COL_NOW,
	COL_BACKENDS,
	COL_MORE,
	COL_LAST, /* the highest transaction looked at */
	COL_TXIDS,
	COL_A, /* lists, each with an item for each of txids */
	COL_B,
	COL_C,
	COL_D,
	COL_E, /* only of one's own */
	N_COLUMNS,
};

#define MAX_HASH "9223372036854775807"

/* clang-format off */
#define HEADER_COLUMNS \
	" pgherald.epoch(), CASE WHEN l.is_called THEN l.last_value ELSE 0 END, m.floor_txid," \
	" pg_catalog.txid_current_snapshot()::text," \
	" pg_catalog.current_setting('max_connections')::bigint" \
	" + pg_catalog.current_setting('max_prepared_transactions')::bigint," \
	" (SELECT pg_catalog.count(*) >= $6::bigint FROM walk)," \
	" (SELECT pg_catalog.max(walk.txid) FROM walk),"

/* All of one statement are in the same order, whatever that is. */
#define LIST(what) " pg_catalog.string_agg((" what ")::text, ' ')"

/* $1 where to begin, $2 transactions before that, $3 transactions behind it that are not wanted,
 * $4/$5 the row up to which one of $2 is not, $6 how many rows to look at: whole transactions. */
#define WALK(columns) \
	"WITH walk AS MATERIALIZED (SELECT " columns " FROM pgherald.journal AS j" \
	" WHERE j.txid >= $1::bigint AND j.txid <> ALL ($3::bigint[])" \
	" ORDER BY j.txid FETCH FIRST ($6::bigint) ROWS WITH TIES)," \
	" found AS (SELECT * FROM walk UNION ALL SELECT " columns " FROM pgherald.journal AS j" \
	" WHERE j.txid = ANY ($2::bigint[]) AND NOT (j.txid = $4::bigint AND j.id <= $5::bigint))"

#define STORED \
	"coalesce(pg_catalog.pg_column_size(j.data), 0) + coalesce(pg_catalog.pg_column_size(j.past), 0)" \
	" + pg_catalog.pg_column_size(j.own_old) + pg_catalog.pg_column_size(j.own_new) AS stored"

static const char all_sql[] =
	WALK("j.txid, j.id, " STORED)
	" SELECT" HEADER_COLUMNS
	LIST("t.txid") "," LIST("t.low") "," LIST("t.high") "," LIST("t.n") "," LIST("t.stored") ", NULL"
	" FROM pgherald.meta AS m CROSS JOIN pgherald.loss AS l LEFT JOIN"
	" (SELECT f.txid, pg_catalog.min(f.id) AS low, pg_catalog.max(f.id) AS high,"
	" pg_catalog.count(*) AS n, pg_catalog.sum(f.stored) AS stored"
	" FROM found AS f GROUP BY f.txid) AS t ON true"
	" GROUP BY m.floor_txid, l.is_called, l.last_value";

/* $7 the user, $8 his session, $9 the seed of the hashes, $10 topics whose owners are followed: whose their
 * rows are is found out when they are told. So it is where a NULL stands for owners. $11 his keys, for rows
 * that are for keys. */
static const char own_sql[] =
	WALK("j.txid, j.id, j.topic, j.pk, " STORED ","
	     " CASE WHEN j.topic = ANY ($10::text[]) THEN 'h'"
	     " WHEN j.op IN ('r', 't', 'w', 'v') THEN 'r'"
	     " WHEN j.op = 'a' THEN CASE WHEN j.own_old = '{}' OR $7 = ANY (j.own_old)"
	     " OR $8 = ANY (j.own_old) THEN 'a' END"
	     " WHEN j.op IN ('I', 'U', 'D', 'm') THEN CASE WHEN j.op <> 'D' AND (j.own_new && $11::text[]"
	     " OR pg_catalog.array_position(j.own_new, NULL) IS NOT NULL) THEN 'h'"
	     " WHEN j.own_old && $11::text[] OR pg_catalog.array_position(j.own_old, NULL) IS NOT NULL"
	     " THEN 'l' END"
	     " WHEN j.op <> 'd' AND ($7 = ANY (j.own_new)"
	     " OR pg_catalog.array_position(j.own_new, NULL) IS NOT NULL) THEN 'h'"
	     " WHEN $7 = ANY (j.own_old) OR pg_catalog.array_position(j.own_old, NULL) IS NOT NULL"
	     " THEN 'l' END AS kind")
	/* A transaction that wrote of a row more than once is told by what it ends with: all of them. */
	", own AS (SELECT f.txid, f.id, f.topic, f.pk, f.stored, coalesce(f.kind, CASE WHEN f.pk IS NOT NULL AND pg_catalog.count(*)"
	" FILTER (WHERE f.kind IN ('h', 'l')) OVER (PARTITION BY f.txid, f.topic, f.pk) > 0 THEN 'l' END) AS kind"
	" FROM found AS f)"
	" SELECT" HEADER_COLUMNS
	LIST("f.txid") "," LIST("f.id") ","
	LIST("pg_catalog.hashtextextended(f.topic, $9::bigint) & " MAX_HASH) ","
	LIST("pg_catalog.hashtextextended(f.topic || ' ' || coalesce(f.pk, ''), $9::bigint) & " MAX_HASH) ","
	LIST("f.kind") "," LIST("f.stored")
	" FROM pgherald.meta AS m CROSS JOIN pgherald.loss AS l LEFT JOIN own AS f ON f.kind IS NOT NULL"
	" GROUP BY m.floor_txid, l.is_called, l.last_value";
/* clang-format on */

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

/* "{1,2,3}" for a bigint[] parameter; `more` is one more, unless it is 0. */
static char *array(const uint64_t *list, size_t n, uint64_t more)
{
	struct buf b;

	buf_init(&b, SIZE_MAX / 2);
	for (size_t i = 0; i < n; i++) {
		buf_char(&b, i ? ',' : '{');
		buf_u64(&b, list[i]);
	}
	if (more)
		buf_printf(&b, "%c%" PRIu64, n ? ',' : '{', more);
	buf_str(&b, n || more ? "}" : "{}");
	return buf_steal(&b);
}

/* {"a","b"}: nothing in their names needs an escape. */
static char *followed_topics(const struct conf *conf)
{
	struct buf b;

	buf_init(&b, SIZE_MAX / 2);
	for (size_t i = 0; i < conf->n_watches; i++)
		if (conf->watches[i].follow)
			buf_printf(&b, "%c\"%s\"", b.len ? ',' : '{', conf->watches[i].name);
	buf_str(&b, b.len ? "}" : "{}");
	return buf_steal(&b);
}

static void send_slice(struct missed *m, struct conn *c, conn_result_fn *done, void *arg)
{
	uint64_t first = m->half_open ? m->half_txid : 0;
	autofree char *xmax = xasprintf("%" PRIu64, m->xmax);
	autofree char *out = array(m->out.list, m->out.n, first);
	autofree char *in = array(m->in.list, m->in.n, first);
	autofree char *half = xasprintf("%" PRIu64, first);
	autofree char *half_id = xasprintf("%" PRIu64, m->half_id);
	autofree char *rows = xasprintf("%" PRIu64, m->slice_rows);
	autofree char *seed = xasprintf("%" PRIu64, m->seed);
	autofree char *followed = followed_topics(m->conf);
	const char *const params[] = {xmax,    out,	   in,	 half,	   half_id, rows,
				      m->user, m->session, seed, followed, m->keys};

	if (m->user)
		conn_query_prepared(c, "own", own_sql, 11, params, done, arg);
	else
		conn_query_prepared(c, "all", all_sql, 6, params, done, arg);
}

void missed_send(struct missed *m, struct conn *c, const struct fetch_limits *limits,
		 conn_result_fn *done, void *arg)
{
	if (m->plan.done < m->plan.n) {
		fetch_send_page(c, &m->plan, limits, done, arg);
		return;
	}
	conn_limit(c, limits->ms);
	send_slice(m, c, done, arg);
}

/* The next of the numbers in a list parted by spaces; 0 behind the last. */
static uint64_t next_number(const char **list)
{
	size_t len = strcspn(*list, " ");
	uint64_t n;

	if (!num_u64(*list, len, &n))
		n = 0;
	*list += len + ((*list)[len] == ' ');
	return n;
}

static uint64_t number(const PGresult *r, int col)
{
	const char *text = PQgetvalue(r, 0, col);
	uint64_t n;

	return num_u64(text, strlen(text), &n) ? n : 0;
}

static size_t count_items(const char *list)
{
	size_t n = *list != 0;

	for (; *list; list++)
		n += *list == ' ';
	return n;
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

/* The walk has come up to `xmax`: what was running below it, and what of the slice waits, is left
 * out. */
static void move_on(struct missed *m, uint64_t xmax, const struct snapshot *now,
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

/* Where the walk ends: no further than what is certain to outlive a crash, as fetch_begin() has it.
 */
static uint64_t certain(const struct missed *m, const struct snapshot *now, uint64_t last)
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

/* Starts handing the plan out: `xmax` is where it began, with what had been handed out above. */
static void begin_plan(struct missed *m, uint64_t xmax, const uint64_t *in, size_t n_in)
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
	size_t n = count_items(txids);
	struct missed_tx *tx = xcalloc(n, sizeof(*tx));

	for (size_t i = 0; i < n; i++)
		tx[i] = (struct missed_tx){next_number(&txids), next_number(&low),
					   next_number(&high), next_number(&rows),
					   next_number(&stored)};
	xsort(tx, n, sizeof(*tx), by_txid);
	*ret_n = n;
	return tx;
}

/* A slice of all that there is: what of it may go now is handed out. */
static void take_all(struct missed *m, const PGresult *r, const struct snapshot *now)
{
	bool more = *PQgetvalue(r, 0, COL_MORE) == 't';
	size_t n, ready, backends = (size_t)number(r, COL_BACKENDS), n_in = m->in.n;
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
	move_on(m, more ? cut : certain(m, now, number(r, COL_LAST)), now, tx + ready, n - ready);
	for (size_t i = 0; i < ready; i++)
		fetch_plan_add(&m->plan, tx[i].txid, tx[i].rows, tx[i].stored);
	begin_plan(m, began, in, n_in);
	free(in);
	free(tx);
}

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
	size_t n = count_items(txids);

	if (m->n_found + n > MISSED_OWN_MAX)
		return false;
	m->found = xrealloc(m->found, m->n_found + n + 1, sizeof(*m->found));
	for (; n; n--, kinds += kinds[0] && kinds[1] ? 2 : 0) {
		struct missed_row *row = &m->found[m->n_found++];

		*row = (struct missed_row){.kind = *kinds};
		row->txid = next_number(&txids);
		row->id = next_number(&ids);
		row->topic = next_number(&topics);
		row->key = next_number(&keys);
		row->stored = next_number(&stored);
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
	begin_plan(m, m->base.xmax, m->base.in, m->base.n_in);
}

/* A slice looked at for one's own. False when it is too much. */
static bool take_own(struct missed *m, const PGresult *r, const struct snapshot *now)
{
	uint64_t last = number(r, COL_LAST);

	if (!find_own(m, r))
		return false;
	m->ended = *PQgetvalue(r, 0, COL_MORE) != 't';
	move_on(m, m->ended ? certain(m, now, last) : last + 1, now, NULL, 0);
	if (m->ended)
		plan_own(m);
	return true;
}

/* Why the position cannot be resumed, or NULL. A transaction that still runs has nothing that could
 * have been pruned. */
static const char *reset_reason(const struct missed *m, const PGresult *r,
				const struct snapshot *now)
{
	uint64_t floor = number(r, COL_FLOOR);

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
	} else if (!*why && take_own(m, r, &now)) {
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
