/* SPDX-License-Identifier: PostgreSQL
 * See authorizer.h. One question, a user's channels, is one statement: what a function does with
 * one is not another's affair. Must not know who asks, nor what for. */
#include "config.h"
#include "pg/authorizer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/complaint.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "pg/auth.h"
#include "pg/conn.h"

#define SWEEP_MS    500
#define LIMIT_MS    2000 /* of one question; a function that goes on all the same is hung up on */
#define MAX_WAITING 4096 /* for one route; more are told so at once */

enum column { COL_PLACE, COL_KNOWN, COL_STATE, N_COLUMNS };

struct line {
	struct list node;
	struct authorizer *authorizer;
	char *route;
	char *called; /* for the log: "authorize ROUTE" */
	struct conn conn;
	struct loop_timer sweep;
	struct list waiting; /* struct post_lookup, in the order of asking */
	size_t n_waiting;
	struct post_lookup *asked; /* the one that is being answered */
	char *slow; /* whose question took too long, last: he waits behind all others */
	struct complaint failures, odd;
};

static void reply(struct line *n, struct post_lookup *l, enum lookup_verdict verdict)
{
	static const enum vitals_asked counts[] = {
		[LOOKUP_OK] = ASKED_YES,
		[LOOKUP_FORBIDDEN] = ASKED_NO,
		[LOOKUP_NOTHING] = ASKED_UNKNOWN,
		[LOOKUP_UNAVAILABLE] = ASKED_UNAVAILABLE,
	};
	struct vitals *v = n->authorizer->vitals;

	if (v)
		atomic_fetch_add_explicit(&v->asked[counts[verdict]], 1, memory_order_relaxed);
	l->verdict = verdict;
	inbox_post(l->reply_to, &l->letter);
}

static void complain(struct line *n, struct complaint *c, const char *what, const char *why)
{
	if (complaint_due(c, why, loop_now_ms(n->authorizer->loop)))
		log_warn("%s: %s: %s (so far: %" PRIu64 ")", n->called, what, why, c->n);
}

/* A function that was ended has not been tidied up after: sql/authorize.sql. */
static void tidy_up(struct line *n)
{
	if (!conn_up(&n->conn))
		return;
	conn_query(&n->conn, "SELECT pg_catalog.pg_advisory_unlock_all()", 0, NULL, NULL, NULL);
	conn_query(&n->conn, "DEALLOCATE ALL", 0, NULL, NULL, NULL);
}

static void too_slow(struct line *n, const struct post_lookup *l)
{
	free(n->slow);
	n->slow = xstrdup(l->who->user_id);
	complain(n, &n->failures, "the function cannot be asked", "it takes longer than 2 s");
}

static enum lookup_verdict verdict_of(struct line *n, struct post_lookup *l, const PGresult *r)
{
	const char *place;
	uint64_t at;

	if (PQresultStatus(r) != PGRES_TUPLES_OK || PQnfields(r) != N_COLUMNS || PQntuples(r) > 1) {
		if (conn_error_is(r, "57014"))
			too_slow(n, l);
		else
			complain(n, &n->failures, "the function cannot be asked", conn_error(r));
		tidy_up(n);
		return LOOKUP_UNAVAILABLE;
	}
	conn_worked(&n->conn); /* not when it is there: a function may hang each time */
	if (!PQntuples(r))
		return LOOKUP_OK;
	place = PQgetvalue(r, 0, COL_PLACE);
	l->refused = num_u64(place, strlen(place), &at) && at ? (size_t)at - 1 : 0;
	if (!PQgetisnull(r, 0, COL_STATE))
		complain(n, &n->odd, "the function could not read what it is asked about, SQLSTATE",
			 PQgetvalue(r, 0, COL_STATE));
	return *PQgetvalue(r, 0, COL_KNOWN) == 't' ? LOOKUP_FORBIDDEN : LOOKUP_NOTHING;
}

static void ask_next(struct line *n);

static void on_answer(void *arg, const PGresult *r)
{
	struct line *n = arg;
	struct post_lookup *l = n->asked;

	n->asked = NULL;
	if (!r && n->conn.stuck_pid) /* conn ends that session with the next one */
		too_slow(n, l);
	reply(n, l, r ? verdict_of(n, l, r) : LOOKUP_UNAVAILABLE);
	if (r)
		ask_next(n);
}

/* The first of somebody else than who has taken too long, or the first. */
static struct post_lookup *first_in_turn(const struct line *n)
{
	LIST_EACH (&n->waiting, node, tmp) {
		struct post_lookup *l = LIST_ENTRY(node, struct post_lookup, letter.node);

		if (!n->slow || strcmp(n->slow, l->who->user_id) != 0)
			return l;
	}
	return LIST_ENTRY(n->waiting.next, struct post_lookup, letter.node);
}

/* Without the '#' of a key; {NULL} for none: whether he may come in at all. */
static char *channels_of(const struct principal *who)
{
	autobuf b = {0};

	buf_init(&b, SIZE_MAX / 2);
	for (size_t i = 0; who->channels && i < who->channels->n; i++)
		auth_put_element(&b, who->channels->list[i] + 1);
	return xasprintf("{%s}", b.len ? buf_cstr(&b) : "NULL");
}

static void take(struct line *n, struct post_lookup *l)
{
	list_remove(&l->letter.node);
	n->n_waiting--;
}

static void ask_next(struct line *n)
{
	while (!n->asked && conn_up(&n->conn) && !list_empty(&n->waiting)) {
		struct post_lookup *l = first_in_turn(n);
		autofree char *channels = channels_of(l->who);
		autofree char *name = xasprintf("authorize_%s", n->route);
		const char *const params[] = {l->who->user_id, l->who->role, channels};
		autobuf sql = {0};
		char *ident;

		take(n, l);
		if (loop_now_ms(n->authorizer->loop) >= l->until_ms) { /* who asked has gone */
			reply(n, l, LOOKUP_UNAVAILABLE);
			continue;
		}
		buf_init(&sql, 1024);
		ident = PQescapeIdentifier(n->conn.pg, name, strlen(name));
		buf_printf(&sql,
			   "SELECT place, known, state FROM pgherald.%s($1::text, $2::text, "
			   "$3::text[])",
			   ident ? ident : "\"\"");
		PQfreemem(ident);
		n->asked = l;
		conn_limit(&n->conn, LIMIT_MS);
		conn_query(&n->conn, buf_cstr(&sql), 3, params, on_answer, n);
	}
}

static void on_state(void *arg, bool up)
{
	struct line *n = arg;

	if (up)
		ask_next(n);
}

/* Nothing waits for a database that does not come, or a function that takes its time. */
static void on_sweep(void *arg)
{
	struct line *n = arg;
	uint64_t now = loop_now_ms(n->authorizer->loop);

	LIST_EACH (&n->waiting, node, tmp) {
		struct post_lookup *l = LIST_ENTRY(node, struct post_lookup, letter.node);

		if (now < l->until_ms)
			continue;
		take(n, l);
		reply(n, l, LOOKUP_UNAVAILABLE);
	}
	if (!list_empty(&n->waiting))
		loop_timer_set(n->authorizer->loop, &n->sweep, SWEEP_MS);
}

static struct line *line_new(struct authorizer *a, const char *route)
{
	struct line *n = xcalloc(1, sizeof(*n));

	n->authorizer = a;
	n->route = xstrdup(route);
	n->called = xasprintf("authorize %s", route);
	n->sweep = (struct loop_timer){.fire = on_sweep, .arg = n};
	list_init(&n->waiting);
	list_push(&a->lines, &n->node);
	conn_start(&n->conn, a->loop, n->called, a->conf->conninfo, on_state, NULL, n);
	return n;
}

static void line_free(struct line *n)
{
	loop_timer_clear(n->authorizer->loop, &n->sweep);
	conn_stop(&n->conn); /* who is being asked about is told */
	LIST_EACH (&n->waiting, node, tmp) {
		struct post_lookup *l = LIST_ENTRY(node, struct post_lookup, letter.node);

		take(n, l);
		reply(n, l, LOOKUP_UNAVAILABLE);
	}
	list_remove(&n->node);
	free(n->slow);
	free(n->called);
	free(n->route);
	free(n);
}

void authorizer_init(struct authorizer *a, struct loop *loop, struct conf *conf,
		     struct vitals *vitals)
{
	*a = (struct authorizer){.loop = loop, .conf = conf_ref(conf), .vitals = vitals};
	list_init(&a->lines);
}

void authorizer_reload(struct authorizer *a, struct conf *conf, bool changed)
{
	struct conf *old = a->conf;

	a->conf = conf_ref(conf);
	conf_unref(old);
	LIST_EACH (&a->lines, node, tmp) {
		struct line *n = LIST_ENTRY(node, struct line, node);
		const struct conf_route *r = conf_find_route(conf, n->route);

		if (!r || !*r->authorize) /* streams of before may still ask, and make it anew */
			line_free(n);
		else if (changed)
			conn_restart(&n->conn, conf->conninfo, "conninfo changed");
	}
}

void authorizer_stop(struct authorizer *a)
{
	LIST_EACH (&a->lines, node, tmp)
		line_free(LIST_ENTRY(node, struct line, node));
	conf_unref(a->conf);
}

static struct line *line_of(struct authorizer *a, const char *route)
{
	LIST_EACH (&a->lines, node, tmp) {
		struct line *n = LIST_ENTRY(node, struct line, node);

		if (!strcmp(n->route, route))
			return n;
	}
	return line_new(a, route);
}

void authorizer_ask(struct authorizer *a, struct post_lookup *l)
{
	struct line *n = line_of(a, l->route);

	l->letter.kind = POST_LOOKUP;
	if (n->n_waiting == MAX_WAITING) {
		reply(n, l, LOOKUP_UNAVAILABLE);
		return;
	}
	list_push(&n->waiting, &l->letter.node);
	n->n_waiting++;
	ask_next(n);
	if (!list_empty(&n->waiting) && !n->sweep.place)
		loop_timer_set(a->loop, &n->sweep, SWEEP_MS);
}
