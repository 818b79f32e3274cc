/* SPDX-License-Identifier: PostgreSQL
 * See fetch.h. The idea is PgQ's: a reader's position is a snapshot, and what is visible now and
 * was not visible then is new, whatever the order of commits (doc/ARCHITECTURE.md). */
#include "config.h"
#include "pg/fetch.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/num.h"

#define PAGE_ROWS 1000 /* a page ends after the transaction that reaches this */

enum column {
	COL_PLACE, /* of the transaction; 0 = the header row */
	COL_TXID,
	COL_ID,
	COL_AT,
	COL_TOPIC,
	COL_OP,
	COL_DOC,
	COL_LEAVE,
	COL_BEFORE,
	COL_AFTER,
	N_COLUMNS,
};

/* clang-format off */
#define ROW_COLUMNS \
	" t.place, t.txid, t.id, pg_catalog.floor(extract(epoch FROM t.at))::bigint, t.topic," \
	" t.op::text, t.doc::text, t.leave::text," \
	" t.own_old::text, t.own_new::text"

/* One statement, so one snapshot: the header says what `now` is, and every row comes from it.
 * $1 xmax, $2 out, $3 in, $4/$5 half-delivered transaction and row. */
static const char plan_sql[] =
	"WITH plan AS MATERIALIZED ("
	" SELECT pg_catalog.string_agg(tx.txid::text, ' ' ORDER BY tx.place) AS txids,"
	" pg_catalog.string_agg(tx.n::text, ' ' ORDER BY tx.place) AS counts,"
	" pg_catalog.array_agg(tx.txid ORDER BY tx.place) FILTER (WHERE tx.before < " NUM_TEXT(PAGE_ROWS) ")"
	" AS page"
	" FROM (SELECT j.txid, pg_catalog.count(*) AS n, pg_catalog.row_number() OVER w AS place,"
	" pg_catalog.sum(pg_catalog.count(*)) OVER w - pg_catalog.count(*) AS before"
	" FROM pgherald.journal AS j"
	" WHERE (j.txid >= $1::bigint OR j.txid = ANY ($2::bigint[])) AND j.txid <> ALL ($3::bigint[])"
	" AND NOT (j.txid = $4::bigint AND j.id <= $5::bigint)"
	" GROUP BY j.txid WINDOW w AS (ORDER BY j.txid <> $4::bigint, pg_catalog.max(j.id))) AS tx)"
	" SELECT 0::bigint, CASE WHEN l.is_called THEN l.last_value ELSE 0 END, m.floor_txid, NULL::bigint,"
	" pgherald.epoch(), NULL::text, pg_catalog.txid_current_snapshot()::text, NULL::text,"
	" p.txids, p.counts"
	" FROM plan AS p, pgherald.meta AS m, pgherald.loss AS l"
	" UNION ALL"
	" SELECT" ROW_COLUMNS
	" FROM pgherald.tell((SELECT page FROM plan)) AS t"
	" WHERE NOT (t.txid = $4::bigint AND t.id <= $5::bigint)"
	" ORDER BY 1, 3";

/* The following pages name their transactions: all were visible to the plan, and what a
 * transaction has written does not change once it is visible. */
static const char page_sql[] =
	"SELECT" ROW_COLUMNS " FROM pgherald.tell($1::bigint[]) AS t ORDER BY 1, 3";
/* clang-format on */

/* "{1,2,3}" for a bigint[] parameter. */
static void put_array(struct buf *b, const uint64_t *list, size_t n)
{
	buf_char(b, '{');
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_char(b, ',');
		buf_u64(b, list[i]);
	}
	buf_char(b, '}');
}

void fetch_send_plan(struct conn *c, const struct fetch_from *from, conn_result_fn *done, void *arg)
{
	struct buf text[5];
	const char *params[5];

	for (size_t i = 0; i < 5; i++)
		buf_init(&text[i], SIZE_MAX / 2);
	buf_u64(&text[0], from->xmax);
	put_array(&text[1], from->out, from->n_out);
	put_array(&text[2], from->in, from->n_in);
	buf_u64(&text[3], from->txid);
	buf_u64(&text[4], from->id);
	for (size_t i = 0; i < 5; i++)
		params[i] = buf_cstr(&text[i]);
	conn_query_prepared(c, "plan", plan_sql, 5, params, done, arg);
	for (size_t i = 0; i < 5; i++)
		buf_free(&text[i]);
}

/* How many transactions the next page has: rows up to PAGE_ROWS, one transaction at least. */
static size_t page_end(const struct fetch_plan *p)
{
	uint64_t rows = 0;
	size_t end = p->done;

	while (end < p->n && rows < PAGE_ROWS)
		rows += p->rows[end++];
	return end;
}

void fetch_send_page(struct conn *c, const struct fetch_plan *p, conn_result_fn *done, void *arg)
{
	const char *params[1];
	autobuf list = {0};

	assert(p->done < p->n);
	buf_init(&list, SIZE_MAX / 2);
	put_array(&list, p->order + p->done, page_end(p) - p->done);
	params[0] = buf_cstr(&list);
	conn_query_prepared(c, "page", page_sql, 1, params, done, arg);
}

static uint64_t number(const PGresult *r, int row, int col)
{
	const char *s = PQgetvalue(r, row, col);
	uint64_t n = 0;

	if (PQgetisnull(r, row, col) || !num_u64(s, strlen(s), &n))
		return 0;
	return n;
}

static const char *text(const PGresult *r, int row, int col)
{
	return PQgetisnull(r, row, col) ? NULL : PQgetvalue(r, row, col);
}

/* "12 13 14" to a list; the number of entries. */
static size_t number_list(const char *s, uint64_t **ret)
{
	size_t n = 0, cap = 0;
	uint64_t *list = NULL;

	while (s && *s) {
		size_t len = strcspn(s, " ");

		if (n == cap)
			list = xrealloc(list, cap = cap ? cap * 2 : 8, sizeof(*list));
		if (!num_u64(s, len, &list[n++]))
			list[n - 1] = 0;
		s += len + (s[len] == ' ');
	}
	*ret = list;
	return n;
}

static bool valid_epoch(const char *s)
{
	return s && strlen(s) == CURSOR_EPOCH_LEN &&
	       strspn(s, "0123456789abcdefghijklmnopqrstuvwxyz") == CURSOR_EPOCH_LEN;
}

bool fetch_read_plan(struct fetch_plan *p, const PGresult *r, const char **why)
{
	const char *epoch, *now;

	*p = (struct fetch_plan){0};
	if (PQresultStatus(r) != PGRES_TUPLES_OK) {
		*why = conn_error(r);
		return false;
	}
	if (PQnfields(r) != N_COLUMNS || PQntuples(r) < 1 || number(r, 0, COL_PLACE) != 0) {
		*why = "schema pgherald is not as this version expects: pgherald.meta has no row";
		return false;
	}
	epoch = text(r, 0, COL_TOPIC);
	now = text(r, 0, COL_DOC);
	if (!valid_epoch(epoch) || !now || !snapshot_parse(&p->now, now)) {
		*why = "schema pgherald is not as this version expects: no epoch or snapshot";
		return false;
	}
	memcpy(p->epoch, epoch, CURSOR_EPOCH_LEN);
	p->xmin = p->now.n_xip ? p->now.xip[0] : p->now.xmax;
	p->xmax = p->now.xmax;
	p->loss = number(r, 0, COL_TXID);
	p->floor = number(r, 0, COL_ID);
	p->n = number_list(text(r, 0, COL_BEFORE), &p->order);
	if (number_list(text(r, 0, COL_AFTER), &p->rows) != p->n) {
		fetch_plan_free(p);
		*why = "the journal's plan makes no sense";
		return false;
	}
	return true;
}

/* The snapshot without what a crash could take back. */
static void cap(struct snapshot *s, uint64_t xmax)
{
	if (s->xmax <= xmax)
		return;
	s->xmax = xmax;
	while (s->n_xip && s->xip[s->n_xip - 1] >= xmax)
		s->n_xip--;
}

void fetch_begin(struct fetch_plan *p, const struct cursor *base, const struct fetch_from *from)
{
	uint64_t certain = from->xmax;

	for (size_t i = 0; i < p->n; i++)
		if (p->order[i] >= certain)
			certain = p->order[i] + 1;
	for (size_t i = 0; i < from->n_in; i++)
		if (from->in[i] >= certain)
			certain = from->in[i] + 1;
	cap(&p->now, certain);
	cursor_batch_begin(&p->batch, base, &p->now, p->order, p->n, from->in, from->n_in);
}

static bool in_progress(const struct snapshot *s, uint64_t txid)
{
	for (size_t i = 0; i < s->n_xip; i++)
		if (s->xip[i] == txid)
			return true;
	return false;
}

bool fetch_pruned(const struct fetch_plan *p, const struct fetch_from *from)
{
	if (from->xmax <= p->floor || (from->txid && from->txid <= p->floor))
		return true;
	/* A transaction that still runs has nothing that could have been pruned. */
	for (size_t i = 0; i < from->n_out; i++)
		if (from->out[i] <= p->floor && !in_progress(&p->now, from->out[i]))
			return true;
	return false;
}

/* Whether the page is whole: a row may have been pruned since the plan was made. */
static bool page_whole(const struct fetch_plan *p, const PGresult *r, int first)
{
	size_t end = page_end(p), place = p->done;
	uint64_t rows = 0;

	for (int i = first; i < PQntuples(r); i++) {
		if (rows == p->rows[place]) {
			rows = 0;
			if (++place == end)
				return false;
		}
		if (number(r, i, COL_TXID) != p->order[place])
			return false;
		rows++;
	}
	return place == end ? rows == 0 : place + 1 == end && rows == p->rows[place];
}

static struct event *read_row(const PGresult *r, int i, const char *cursor)
{
	const char *op = text(r, i, COL_OP), *topic = text(r, i, COL_TOPIC);
	const struct event_row row = {
		.op = op ? *op : '?',
		.txid = number(r, i, COL_TXID),
		.id = number(r, i, COL_ID),
		.at = (int64_t)number(r, i, COL_AT),
		.topic = topic ? topic : "",
		.doc = text(r, i, COL_DOC),
		.leave = text(r, i, COL_LEAVE),
		.before = text(r, i, COL_BEFORE),
		.after = text(r, i, COL_AFTER),
		.cursor = cursor,
	};

	return event_new(&row);
}

bool fetch_read_rows(struct fetch_plan *p, const PGresult *r, bool header, struct event ***ret,
		     size_t *ret_n)
{
	int first = header ? 1 : 0, n;
	size_t end = page_end(p);
	struct event **events;

	if (PQresultStatus(r) != PGRES_TUPLES_OK || PQnfields(r) != N_COLUMNS ||
	    !page_whole(p, r, first))
		return false;
	n = PQntuples(r);
	events = xcalloc((size_t)(n - first), sizeof(struct event *));
	for (int i = first; i < n; i++) {
		uint64_t txid = number(r, i, COL_TXID);
		bool last = i + 1 == n || number(r, i + 1, COL_TXID) != txid;
		struct cursor_text cursor;

		p->done += last;
		cursor_batch_at(&p->batch, p->done, last ? 0 : number(r, i, COL_ID), &cursor);
		events[i - first] = read_row(r, i, cursor.text);
	}
	assert(p->done == end);
	*ret = events;
	*ret_n = (size_t)(n - first);
	return true;
}

void fetch_plan_free(struct fetch_plan *p)
{
	cursor_batch_end(&p->batch);
	snapshot_free(&p->now);
	free(p->order);
	free(p->rows);
	*p = (struct fetch_plan){0};
}
