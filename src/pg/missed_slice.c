/* SPDX-License-Identifier: PostgreSQL
 * See missed_slice.h. The statements that look at a slice, and the lists in their answers. */
#include "config.h"
#include "pg/missed_slice.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"

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

void missed_ask(struct missed *m, struct conn *c, conn_result_fn *done, void *arg)
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

/* The next of the numbers in a list parted by spaces; 0 behind the last. */
uint64_t missed_next_number(const char **list)
{
	size_t len = strcspn(*list, " ");
	uint64_t n;

	if (!num_u64(*list, len, &n))
		n = 0;
	*list += len + ((*list)[len] == ' ');
	return n;
}

uint64_t missed_number(const PGresult *r, int col)
{
	const char *text = PQgetvalue(r, 0, col);
	uint64_t n;

	return num_u64(text, strlen(text), &n) ? n : 0;
}

size_t missed_count_items(const char *list)
{
	size_t n = *list != 0;

	for (; *list; list++)
		n += *list == ' ';
	return n;
}
