/* SPDX-License-Identifier: PostgreSQL
 * See fetch.h: the statements. The idea is PgQ's: a reader's position is a snapshot, and what is
 * visible now and was not visible then is new, whatever the order of commits
 * (doc/ARCHITECTURE.md). */
#include "config.h"
#include "pg/fetch.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/num.h"

#define PLAN_MS 30000 /* a plan without a page: of a whole day, at worst */

/* A user's id that is longer, or more users, and the rights of everybody are looked up again. */
#define REVOKED_MAX    10000
#define REVOKED_ID_MAX 200
#define LOOK_ROWS      200   /* of a look: … */
#define LOOK_STORED    16384 /* … what is compressed has 255 times as much at most */
#define LOOK_DOC       65536
#define BARE_PAGE      1000 /* transactions that only say "fetch again" */

/* clang-format off */

/* Bytes of a row in the journal. */
#define STORED \
	"coalesce(pg_catalog.pg_column_size(j.data), 0) + coalesce(pg_catalog.pg_column_size(j.past), 0)" \
	" + pg_catalog.pg_column_size(j.own_old) + pg_catalog.pg_column_size(j.own_new)"

/* The rows of a page in their order. Of those past its bytes only their place is sent. */
#define ROWS_OF(rows, half_txid, half_id, sent, whole) \
	" SELECT t.place, t.txid, t.id," \
	" CASE WHEN t.fits THEN pg_catalog.floor(extract(epoch FROM t.at))::bigint END," \
	" CASE WHEN t.fits THEN t.topic END, CASE WHEN t.fits THEN t.op::text END," \
	" CASE WHEN t.fits THEN t.doc::text END, CASE WHEN t.fits THEN t.leave::text END," \
	" CASE WHEN t.fits THEN t.own_old::text END, CASE WHEN t.fits THEN t.own_new::text END" \
	" FROM (SELECT s.*, s.upto <= " sent \
	" OR s.place = 1 AND s.upto <= " whole " AS fits" \
	" FROM (SELECT r.*, pg_catalog.sum(coalesce(pg_catalog.pg_column_size(r.doc), 0)" \
	" + coalesce(pg_catalog.pg_column_size(r.leave), 0)" \
	" + pg_catalog.pg_column_size(r.own_old) + pg_catalog.pg_column_size(r.own_new))" \
	" OVER (ORDER BY r.place, r.id ROWS UNBOUNDED PRECEDING) AS upto" \
	" FROM " rows " AS r" \
	" WHERE NOT (r.txid = " half_txid " AND r.id <= " half_id ")) AS s) AS t"

/* The numbers of a statement are one parameter: each costs. */
#define N(i) "($1::bigint[])[" #i "]"

/* One statement, so one snapshot: the header says what `now` is, and every row comes from it. Numbers:
 * 1 xmax, 2 and 3 the half-delivered transaction and its row, 4 rows and 5 stored bytes of the page, 6 and
 * 7 its bytes as sent, 8 a transaction that is late, as are those with more than 9 bytes. $2 out, $3 in,
 * $4 topics that are late. Its users: those whose rights changed, wherever in the plan. */
static const char plan_sql[] =
	"WITH plan AS MATERIALIZED ("
	" SELECT pg_catalog.string_agg(tx.txid::text, ' ') FILTER (WHERE NOT tx.late) AS txids,"
	" pg_catalog.string_agg(tx.n::text, ' ') FILTER (WHERE NOT tx.late) AS counts,"
	" pg_catalog.string_agg(tx.stored::text, ' ') FILTER (WHERE NOT tx.late) AS stored,"
	" pg_catalog.array_agg(tx.txid) FILTER (WHERE NOT tx.late AND " N(4) " > 0"
	" AND (tx.nth = 1 OR tx.rows_before < " N(4) " AND tx.stored_upto <= " N(5) ")) AS page,"
	" pg_catalog.array_agg(tx.txid) FILTER (WHERE tx.late) AS late,"
	" pg_catalog.array_agg(tx.nth) FILTER (WHERE tx.late) AS late_before,"
	" pg_catalog.array_agg(tx.n) FILTER (WHERE tx.late) AS late_counts,"
	" pg_catalog.array_agg(tx.stored) FILTER (WHERE tx.late) AS late_stored,"
	" pg_catalog.array_agg(tx.txid) FILTER (WHERE tx.rights) AS rights"
	" FROM (SELECT g.txid, g.n, g.stored, g.late, g.rights,"
	" pg_catalog.count(*) FILTER (WHERE NOT g.late) OVER w AS nth,"
	" pg_catalog.sum(g.n) FILTER (WHERE NOT g.late) OVER w - g.n AS rows_before,"
	" pg_catalog.sum(g.stored) FILTER (WHERE NOT g.late) OVER w AS stored_upto"
	" FROM (SELECT c.*, c.of_topic OR c.txid = " N(8) " OR c.stored > " N(9) " AS late"
	" FROM (SELECT j.txid, pg_catalog.count(*) AS n, pg_catalog.max(j.id) AS last,"
	" pg_catalog.bool_or(j.op = 'a') AS rights, pg_catalog.bool_or(j.topic = ANY ($4::text[])) AS of_topic,"
	" pg_catalog.sum(" STORED ") AS stored"
	" FROM pgherald.journal AS j"
	" WHERE (j.txid >= " N(1) " OR j.txid = ANY ($2::bigint[])) AND j.txid <> ALL ($3::bigint[])"
	" AND NOT (j.txid = " N(2) " AND j.id <= " N(3) ")"
	" GROUP BY j.txid) AS c) AS g"
	" WINDOW w AS (ORDER BY g.txid <> " N(2) ", g.last ROWS UNBOUNDED PRECEDING)"
	" ORDER BY g.txid <> " N(2) ", g.last) AS tx)"
	" SELECT 0::bigint, CASE WHEN l.is_called THEN l.last_value ELSE 0 END, m.floor_txid,"
	" pg_catalog.cardinality(p.page)::bigint, pgherald.epoch(), p.stored,"
	" pg_catalog.txid_current_snapshot()::text,"
	" CASE WHEN p.rights IS NOT NULL THEN"
	" (SELECT CASE WHEN pg_catalog.bool_or(j.own_old = '{}')"
	" OR pg_catalog.count(DISTINCT u.id) > " NUM_TEXT(REVOKED_MAX)
	" OR pg_catalog.max(pg_catalog.octet_length(u.id)) > " NUM_TEXT(REVOKED_ID_MAX)
	" OR pg_catalog.getdatabaseencoding() <> 'UTF8' AND pg_catalog.bool_or(u.id ~ '[^ -~]')"
	" THEN '{}' ELSE pg_catalog.array_agg(DISTINCT u.id)::text END"
	" FROM pgherald.journal AS j LEFT JOIN LATERAL pg_catalog.unnest(j.own_old) AS u(id) ON true"
	" WHERE j.txid = ANY (p.rights) AND j.op = 'a') END,"
	" p.txids, p.counts"
	" FROM plan AS p, pgherald.meta AS m, pgherald.loss AS l"
	" UNION ALL"
	ROWS_OF("pgherald.tell((SELECT page FROM plan))", N(2), N(3), N(6), N(7))
	" UNION ALL"
	" SELECT " NUM_TEXT(FETCH_LATE_PLACE) "::bigint, a.txid, a.place, a.before, NULL, NULL,"
	" NULL, a.n::text, (SELECT pg_catalog.array_agg(DISTINCT j.topic)::text"
	" FROM pgherald.journal AS j WHERE j.txid = a.txid), a.stored::text"
	" FROM plan, ROWS FROM (pg_catalog.unnest(plan.late), pg_catalog.unnest(plan.late_before),"
	" pg_catalog.unnest(plan.late_counts), pg_catalog.unnest(plan.late_stored))"
	" WITH ORDINALITY AS a(txid, before, n, stored, place)"
	" ORDER BY 1, 3";

/* The same for the few small rows of ordinary life, with half of the work: nothing is late, nothing
 * is cut but a document that is not small, and there is no page when there is more than that, or a
 * change of rights. $1 xmax, $2 out, $3 in. */
static const char look_sql[] =
	"WITH plan AS MATERIALIZED ("
	" SELECT pg_catalog.string_agg(tx.txid::text, ' ') AS txids,"
	" pg_catalog.string_agg(tx.n::text, ' ') AS counts,"
	" pg_catalog.string_agg(tx.stored::text, ' ') AS stored,"
	" CASE WHEN pg_catalog.sum(tx.n) <= " NUM_TEXT(LOOK_ROWS)
	" AND pg_catalog.sum(tx.stored) <= " NUM_TEXT(LOOK_STORED)
	" AND NOT pg_catalog.bool_or(tx.rights) THEN pg_catalog.array_agg(tx.txid) END AS page"
	" FROM (SELECT j.txid, pg_catalog.count(*) AS n, pg_catalog.bool_or(j.op = 'a') AS rights,"
	" pg_catalog.sum(" STORED ") AS stored"
	" FROM pgherald.journal AS j"
	" WHERE (j.txid >= $1::bigint OR j.txid = ANY ($2::bigint[])) AND j.txid <> ALL ($3::bigint[])"
	" GROUP BY j.txid ORDER BY pg_catalog.max(j.id)) AS tx)"
	" SELECT 0::bigint, CASE WHEN l.is_called THEN l.last_value ELSE 0 END, m.floor_txid,"
	" pg_catalog.cardinality(p.page)::bigint, pgherald.epoch(), p.stored,"
	" pg_catalog.txid_current_snapshot()::text, NULL, p.txids, p.counts"
	" FROM plan AS p, pgherald.meta AS m, pgherald.loss AS l"
	" UNION ALL"
	" SELECT t.place, t.txid, t.id, pg_catalog.floor(extract(epoch FROM t.at))::bigint, t.topic,"
	" CASE WHEN GREATEST(pg_catalog.pg_column_size(t.doc), pg_catalog.pg_column_size(t.leave)) > "
	NUM_TEXT(LOOK_DOC) " THEN NULL ELSE t.op::text END,"
	" CASE WHEN pg_catalog.pg_column_size(t.doc) > " NUM_TEXT(LOOK_DOC) " THEN NULL"
	" ELSE t.doc::text END,"
	" CASE WHEN pg_catalog.pg_column_size(t.leave) > " NUM_TEXT(LOOK_DOC) " THEN NULL"
	" ELSE t.leave::text END,"
	" t.own_old::text, t.own_new::text FROM pgherald.tell((SELECT page FROM plan)) AS t"
	" ORDER BY 1, 3";

/* The following pages name their transactions: all were visible to the plan, and what a
 * transaction has written does not change once it is visible. */
static const char page_sql[] =
	ROWS_OF("pgherald.tell($2::bigint[])", N(1), N(2), N(3), N(4)) " ORDER BY 1, 3";

/* The same of these rows only. */
static const char own_page_sql[] =
	ROWS_OF("pgherald.replay($2::bigint[], $3::bigint[])", N(1), N(2), N(3), N(4)) " ORDER BY 1, 3";

/* Needs nothing but the journal, and of its rows nothing that could be bad. FETCH_BEFORE counts them. */
static const char bare_sql[] =
	"SELECT page.place, j.txid, pg_catalog.max(j.id),"
	" pg_catalog.floor(extract(epoch FROM pg_catalog.max(j.at)))::bigint, j.topic,"
	" CASE WHEN j.op = 'a' THEN 'a' ELSE 'r' END, '{\"reason\":\"' || $3::text || '\"}', NULL,"
	" pg_catalog.count(*)::text, NULL"
	" FROM pg_catalog.unnest($2::bigint[]) WITH ORDINALITY AS page(txid, place)"
	" JOIN pgherald.journal AS j ON j.txid = page.txid"
	" WHERE NOT (j.txid = " N(1) " AND j.id <= " N(2) ")"
	" GROUP BY page.place, j.txid, j.topic, j.op = 'a' ORDER BY 1, 3";
/* clang-format on */

/* Parameters as text, one behind the other. */
struct params {
	struct buf text;
	size_t at[4]; /* where each begins */
	size_t n;
};

static void params_init(struct params *p)
{
	p->n = 0;
	buf_init(&p->text, SIZE_MAX / 2);
}

static void begin(struct params *p)
{
	if (p->n)
		buf_add(&p->text, "", 1); /* the end of the one before */
	p->at[p->n++] = p->text.len;
}

/* One more array, "{1,2,3}". */
static void put_list(struct params *p, const uint64_t *list, size_t n)
{
	begin(p);
	buf_char(&p->text, '{');
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_char(&p->text, ',');
		buf_u64(&p->text, list[i]);
	}
	buf_char(&p->text, '}');
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* What is late already is not asked for: left out of the exceptions below xmax, and named among
 * what has been delivered from there on. */
static void put_position(struct params *p, const struct fetch_from *from,
			 const struct fetch_apart *apart)
{
	size_t n_out = 0, n_in = from->n_in, k = 0;
	autofree uint64_t *late = NULL, *out = NULL, *in = NULL;

	if (!apart->n_known) {
		put_list(p, from->out, from->n_out);
		put_list(p, from->in, from->n_in);
		return;
	}
	late = xcalloc(apart->n_known, sizeof(*late));
	out = xcalloc(from->n_out, sizeof(*out));
	in = xcalloc(from->n_in + apart->n_known, sizeof(*in));
	memcpy(late, apart->known, apart->n_known * sizeof(*late));
	xsort(late, apart->n_known, sizeof(*late), ascending);
	for (size_t i = 0; i < from->n_out; i++) { /* ascending, too */
		while (k < apart->n_known && late[k] < from->out[i])
			k++;
		if (k == apart->n_known || late[k] != from->out[i])
			out[n_out++] = from->out[i];
	}
	if (from->n_in)
		memcpy(in, from->in, from->n_in * sizeof(*in));
	for (k = 0; k < apart->n_known; k++)
		if (late[k] >= from->xmax)
			in[n_in++] = late[k];
	put_list(p, out, n_out);
	put_list(p, in, n_in);
}

static void put_text(struct params *p, const char *text)
{
	begin(p);
	buf_str(&p->text, text);
}

static void send(struct conn *c, const char *name, const char *sql, struct params *p,
		 conn_result_fn *done, void *arg)
{
	const char *text = buf_cstr(&p->text), *values[4];

	for (size_t i = 0; i < p->n; i++)
		values[i] = text + p->at[i];
	conn_query_prepared(c, name, sql, p->n, values, done, arg);
	buf_free(&p->text);
}

void fetch_send_plan(struct conn *c, const struct fetch_from *from, const struct fetch_limits *l,
		     bool page, const struct fetch_apart *apart, conn_result_fn *done, void *arg)
{
	const uint64_t numbers[] = {
		from->xmax,	    from->txid,	  from->id,
		page ? l->rows : 0, l->stored,	  l->sent,
		l->whole,	    apart->heavy, apart->possible ? apart->stored : INT64_MAX};
	struct params p;

	params_init(&p);
	put_list(&p, numbers, sizeof(numbers) / sizeof(*numbers));
	put_position(&p, from, apart);
	put_text(&p, apart->possible && apart->topics ? apart->topics : "{}");
	conn_limit(c, page ? l->ms : PLAN_MS);
	send(c, "plan", plan_sql, &p, done, arg);
}

void fetch_send_look(struct conn *c, const struct fetch_from *from, uint64_t ms,
		     conn_result_fn *done, void *arg)
{
	struct params p;

	params_init(&p);
	begin(&p);
	buf_u64(&p.text, from->xmax);
	put_list(&p, from->out, from->n_out);
	put_list(&p, from->in, from->n_in);
	conn_limit(c, ms);
	send(c, "look", look_sql, &p, done, arg);
}

size_t fetch_page_size(const struct fetch_plan *p, const struct fetch_limits *l)
{
	size_t max = p->max_page ? p->max_page : p->bare ? BARE_PAGE : SIZE_MAX, end = p->done;
	uint64_t rows = 0, stored = 0;

	for (; end < p->n && end - p->done < max; end++) {
		if (end > p->done && !p->bare &&
		    (rows >= l->rows || stored + p->stored[end] > l->stored))
			break;
		rows += p->rows[end];
		stored += p->stored[end];
	}
	return end - p->done;
}

static size_t rows_of_page(const struct fetch_plan *p)
{
	size_t rows = 0;

	for (size_t i = p->done; i < p->done + p->page; i++)
		rows += (size_t)p->rows[i];
	return rows;
}

void fetch_send_page(struct conn *c, struct fetch_plan *p, const struct fetch_limits *l,
		     conn_result_fn *done, void *arg)
{
	const uint64_t numbers[] = {p->half_txid, p->half_id, l->sent, l->whole};
	struct params params;

	p->page = fetch_page_size(p, l);
	assert(p->page);
	params_init(&params);
	put_list(&params, numbers, sizeof(numbers) / sizeof(*numbers));
	put_list(&params, p->order + p->done, p->page);
	conn_limit(c, l->ms);
	if (p->bare) {
		put_text(&params, p->bare);
		send(c, "bare", bare_sql, &params, done, arg);
		return;
	}
	if (p->ids) {
		put_list(&params, p->ids + p->ids_done, rows_of_page(p));
		send(c, "own page", own_page_sql, &params, done, arg);
		return;
	}
	send(c, "page", page_sql, &params, done, arg);
}
