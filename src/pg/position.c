/* SPDX-License-Identifier: PostgreSQL
 * See position.h. */
#include "config.h"
#include "pg/position.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

static void spell(struct position *p, struct cursor_text *text)
{
	struct cursor_batch b;
	bool ok;

	cursor_batch_begin(&b, &p->cursor, &p->seen, NULL, 0, NULL, 0);
	cursor_batch_after(&b, text);
	cursor_batch_end(&b);
	ok = cursor_parse(&p->cursor, text->text, strlen(text->text));
	assert(ok); /* we wrote it */
	(void)ok;
}

#define START_MS 30000

/* Never above what is certain to outlive a crash (fetch.h), and without the transactions that still
 * run. Of the transaction with which the ring is full nothing is read: it may be a large one. What
 * is compressed counts as it will be sent, but is not looked at where it cannot fit anyway. */
#define BYTES_OF(column)                                                                           \
	"coalesce(CASE WHEN pg_catalog.pg_column_size(j." column ") > $2::bigint"                  \
	" THEN pg_catalog.pg_column_size(j." column ")"                                            \
	" ELSE pg_catalog.octet_length(j." column "::text) END, 0)"

static const char start_sql[] =
	"SELECT pgherald.epoch(), CASE WHEN l.is_called THEN l.last_value ELSE 0 END,"
	" LEAST(coalesce(CASE WHEN $1::bigint < 0"
	" THEN (SELECT pg_catalog.max(txid) + 1 FROM pgherald.journal)"
	" ELSE (SELECT b.txid + 1 FROM (SELECT j.txid, pg_catalog.row_number() OVER w AS n,"
	" pg_catalog.sum(" BYTES_OF("data") " + " BYTES_OF(
		"past") " + 300) OVER w AS bytes"
			" FROM pgherald.journal AS j"
			" WINDOW w AS (ORDER BY j.txid DESC, j.id DESC ROWS UNBOUNDED PRECEDING)) "
			"AS b"
			" WHERE b.n > $1::bigint OR b.bytes > $2::bigint LIMIT 1) END, "
			"m.floor_txid + 1),"
			" pg_catalog.txid_snapshot_xmax(pg_catalog.txid_current_snapshot())),"
			" pg_catalog.txid_current_snapshot()::text"
			" FROM pgherald.meta AS m, pgherald.loss AS l";

void position_ask(struct conn *c, int64_t events, uint64_t bytes, conn_result_fn *done, void *arg)
{
	char text[2][24];
	const char *params[] = {text[0], text[1]};

	snprintf(text[0], sizeof(text[0]), "%" PRId64, events);
	snprintf(text[1], sizeof(text[1]), "%" PRIu64, bytes);
	conn_limit(c, START_MS);
	conn_query(c, start_sql, 2, params, done, arg);
}

bool position_begin(struct position *p, const PGresult *r, struct cursor_text *text,
		    const char **why)
{
	struct snapshot start = {0};
	struct cursor c = {0};
	uint64_t xmax;

	if (PQresultStatus(r) != PGRES_TUPLES_OK || PQntuples(r) != 1) {
		*why = "pgherald.meta has no row: run pgherald sql install";
		return false;
	}
	if (PQgetlength(r, 0, 0) != CURSOR_EPOCH_LEN ||
	    !num_u64(PQgetvalue(r, 0, 1), (size_t)PQgetlength(r, 0, 1), &c.loss) ||
	    !num_u64(PQgetvalue(r, 0, 2), (size_t)PQgetlength(r, 0, 2), &xmax) || !xmax ||
	    !snapshot_parse(&start, PQgetvalue(r, 0, 3))) {
		*why = "schema pgherald is not as this version expects";
		return false;
	}
	memcpy(c.epoch, PQgetvalue(r, 0, 0), CURSOR_EPOCH_LEN);
	p->cursor = c;
	start.xmax = xmax;
	while (start.n_xip && start.xip[start.n_xip - 1] >= xmax)
		start.n_xip--;
	position_take(p, &start, NULL, 0, text);
	return true;
}

void position_take(struct position *p, struct snapshot *now, const uint64_t *late, size_t n_late,
		   struct cursor_text *text)
{
	snapshot_free(&p->seen);
	p->seen = *now;
	*now = (struct snapshot){0};
	p->n_extra = 0;
	for (size_t i = 0; i < n_late; i++)
		snapshot_add(&p->seen, late[i]);
	spell(p, text);
}

void position_keep(struct position *p, const uint64_t *txids, size_t n)
{
	if (!n)
		return;
	p->extra = xrealloc(p->extra, p->n_extra + n, sizeof(*p->extra));
	memcpy(p->extra + p->n_extra, txids, n * sizeof(*p->extra));
	p->n_extra += n;
}

void position_fill(struct position *p, const uint64_t *txids, size_t n, struct cursor_text *text)
{
	assert(!p->n_extra);
	for (size_t i = 0; i < n; i++)
		snapshot_remove(&p->seen, txids[i]);
	spell(p, text);
}

struct fetch_from position_from(const struct position *p)
{
	return (struct fetch_from){
		.xmax = p->seen.xmax,
		.out = p->seen.xip,
		.n_out = p->seen.n_xip,
		.in = p->extra,
		.n_in = p->n_extra,
	};
}

uint64_t position_xmin(const struct position *p)
{
	return p->seen.n_xip ? p->seen.xip[0] : p->seen.xmax;
}

void position_free(struct position *p)
{
	snapshot_free(&p->seen);
	free(p->extra);
	*p = (struct position){0};
}
