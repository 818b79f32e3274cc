/* SPDX-License-Identifier: PostgreSQL
 * See auth.h. Must not log a token, nor an error text of the server that could quote one. */
#include "config.h"
#include "pg/auth.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/num.h"

#define MAX_WAITING 20000 /* while the database is away; more are told so at once */
#define MAX_BATCH   500	  /* tokens per statement: bounds how long the first one waits */

enum column { COL_N, COL_USER, COL_ROLE, COL_ACTIVE, COL_EXPIRES, N_COLUMNS };

static void ask_next(struct auth *a);

static void reply(struct post_lookup *l, enum lookup_verdict verdict)
{
	list_remove(&l->letter.node);
	l->verdict = verdict;
	inbox_post(l->reply_to, &l->letter);
}

static void reply_all(struct list *letters, enum lookup_verdict verdict)
{
	LIST_EACH (letters, node, tmp)
		reply(LIST_ENTRY(node, struct post_lookup, letter.node), verdict);
}

/* {"…","…"}: every element quoted, with \ before quote and backslash. */
static void put_text_array(struct buf *b, const struct list *letters)
{
	buf_char(b, '{');
	LIST_EACH (letters, node, tmp) {
		const char *s = LIST_ENTRY(node, struct post_lookup, letter.node)->token;

		buf_str(b, node == letters->next ? "\"" : ",\"");
		for (; *s; s++) {
			if (*s == '"' || *s == '\\')
				buf_char(b, '\\');
			buf_char(b, *s);
		}
		buf_char(b, '"');
	}
	buf_char(b, '}');
}

static void answer(struct post_lookup *l, const PGresult *r, int row)
{
	const char *active = PQgetvalue(r, row, COL_ACTIVE);

	if (PQgetisnull(r, row, COL_ACTIVE) || *active != 't' || PQgetisnull(r, row, COL_USER)) {
		l->verdict = LOOKUP_INACTIVE;
		return;
	}
	l->verdict = LOOKUP_OK;
	l->who = xcalloc(1, sizeof(*l->who));
	if (!PQgetisnull(r, row, COL_EXPIRES) &&
	    !num_u64(PQgetvalue(r, row, COL_EXPIRES), strlen(PQgetvalue(r, row, COL_EXPIRES)),
		     &l->who->expires_ms))
		l->who->expires_ms = 1;
	l->who->user_id = xstrdup(PQgetvalue(r, row, COL_USER));
	l->who->role = xstrdup(PQgetisnull(r, row, COL_ROLE) ? "" : PQgetvalue(r, row, COL_ROLE));
}

static void on_answer(void *arg, const PGresult *r)
{
	struct auth *a = arg;
	int row = 0, n = 0;
	uint64_t place = 0;

	a->busy = false;
	if (!r) { /* connection lost: they are asked again when it is back */
		LIST_EACH (&a->asked, node, tmp)
			a->n_waiting++;
		list_splice(&a->asked, &a->waiting);
		list_splice(&a->waiting, &a->asked);
		return;
	}
	if (PQresultStatus(r) != PGRES_TUPLES_OK || PQnfields(r) != N_COLUMNS) {
		const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);

		log_error("auth: the look-up function failed (SQLSTATE %s): is pgherald sql "
			  "install up to date?",
			  state ? state : "unknown");
		reply_all(&a->asked, LOOKUP_UNAVAILABLE);
		ask_next(a);
		return;
	}
	n = PQntuples(r);
	LIST_EACH (&a->asked, node, tmp) { /* both in the order of asking */
		struct post_lookup *l = LIST_ENTRY(node, struct post_lookup, letter.node);
		const char *at = row < n ? PQgetvalue(r, row, COL_N) : "";
		uint64_t k = 0;

		place++;
		l->verdict = LOOKUP_UNKNOWN;
		if (row < n && num_u64(at, strlen(at), &k) && k == place)
			answer(l, r, row++);
		reply(l, l->verdict);
	}
	ask_next(a);
}

static void ask_next(struct auth *a)
{
	struct post_lookup *first;
	autobuf tokens = {0}, sql = {0};
	const char *params[1];
	char *ident;
	size_t n = 0;

	if (a->busy || !a->open || !conn_up(&a->conn) || list_empty(&a->waiting))
		return;
	first = LIST_ENTRY(a->waiting.next, struct post_lookup, letter.node);
	LIST_EACH (&a->waiting, node, tmp) {
		struct post_lookup *l = LIST_ENTRY(node, struct post_lookup, letter.node);

		if (n == MAX_BATCH)
			break;
		if (strcmp(l->auth, first->auth) != 0)
			continue;
		list_remove(node);
		list_push(&a->asked, node);
		a->n_waiting--;
		n++;
	}
	buf_init(&tokens, SIZE_MAX / 2);
	buf_init(&sql, 1024);
	put_text_array(&tokens, &a->asked);
	buf_printf(&sql, "auth_%s", first->auth);
	ident = PQescapeIdentifier(a->conn.pg, buf_cstr(&sql), sql.len);
	buf_clear(&sql);
	buf_printf(&sql,
		   "SELECT n, user_id, role, active, CASE WHEN expires IS NOT NULL THEN"
		   " GREATEST(1, pg_catalog.ceil(1000 *"
		   " extract(epoch FROM expires - pg_catalog.clock_timestamp())))::bigint END"
		   " FROM pgherald.%s($1::text[]) ORDER BY n",
		   ident ? ident : "\"\"");
	PQfreemem(ident);
	params[0] = buf_cstr(&tokens);
	a->busy = true;
	conn_query(&a->conn, buf_cstr(&sql), 1, params, on_answer, a);
}

static void on_state(void *arg, bool up)
{
	if (up)
		ask_next(arg);
}

void auth_start(struct auth *a, struct loop *loop, const char *conninfo)
{
	list_init(&a->waiting);
	list_init(&a->asked);
	a->busy = a->open = false;
	a->n_waiting = 0;
	conn_start(&a->conn, loop, "auth", conninfo, on_state, NULL, a);
}

void auth_open(struct auth *a, bool open)
{
	a->open = open;
	ask_next(a);
}

void auth_stop(struct auth *a)
{
	conn_stop(&a->conn);
	reply_all(&a->asked, LOOKUP_UNAVAILABLE);
	reply_all(&a->waiting, LOOKUP_UNAVAILABLE);
}

void auth_ask(struct auth *a, struct post_lookup *l)
{
	list_push(&a->waiting, &l->letter.node);
	if (a->n_waiting == MAX_WAITING) {
		reply(l, LOOKUP_UNAVAILABLE);
		return;
	}
	a->n_waiting++;
	ask_next(a);
}
