/* SPDX-License-Identifier: PostgreSQL
 * See kept.h. */
#include "config.h"
#include "pg/kept.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "pg/fetch.h"
#include "wire/array.h"

enum column { COL_TXID, COL_ID, COL_AT, COL_DOC, COL_TYPE, COL_WHOSE, N_COLUMNS };

static const char sql[] =
	"SELECT t.txid, t.id, pg_catalog.floor(extract(epoch FROM t.at))::bigint, t.doc::text,"
	" t.leave::text, t.own_new::text FROM pgherald.kept_for($1::text[]) AS t ORDER BY t.place";

char *kept_keys(const char *user, const struct keys *channels)
{
	autofree char *own = user ? xasprintf("%s%s", key_is_escaped(user) ? "=" : "", user) : NULL;
	struct buf b;

	buf_init(&b, SIZE_MAX / 2);
	if (own)
		array_add(&b, own);
	for (size_t i = 0; channels && i < channels->n; i++)
		array_add(&b, channels->list[i]);
	if (own)
		array_add(&b, "*");
	array_end(&b);
	return buf_steal(&b);
}

void kept_send(struct conn *c, const char *user, const struct keys *channels, uint64_t ms,
	       conn_result_fn *done, void *arg)
{
	autofree char *keys = kept_keys(user, channels);
	const char *const params[] = {keys};

	conn_limit(c, ms);
	conn_query_prepared(c, "kept", sql, 1, params, done, arg);
}

static uint64_t number(const PGresult *r, int row, int col)
{
	const char *text = PQgetvalue(r, row, col);
	uint64_t n;

	return num_u64(text, strlen(text), &n) ? n : 0;
}

struct event **kept_read(const PGresult *r, const struct cursor *at, size_t *ret_n)
{
	struct cursor_text cursor;
	struct event **events;

	*ret_n = 0;
	if (PQresultStatus(r) != PGRES_TUPLES_OK || PQnfields(r) != N_COLUMNS)
		return NULL;
	cursor_format(at, &cursor);
	events = xcalloc((size_t)PQntuples(r) + 1, sizeof(struct event *));
	for (int i = 0; i < PQntuples(r); i++) {
		const struct event_row row = {
			.op = 'm',
			.txid = number(r, i, COL_TXID),
			.id = number(r, i, COL_ID),
			.at = (int64_t)number(r, i, COL_AT),
			.doc = PQgetvalue(r, i, COL_DOC),
			.leave = PQgetvalue(r, i, COL_TYPE),
			.after = PQgetvalue(r, i, COL_WHOSE),
			.cursor = cursor.text,
		};

		events[(*ret_n)++] = fetch_message(&row);
	}
	return events;
}
