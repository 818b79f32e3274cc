/* SPDX-License-Identifier: PostgreSQL
 * See replay.h. */
#include "config.h"
#include "pg/replay.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "pg/fetch.h"

struct replay_plan {
	struct fetch_plan fetch;
};

static const struct fetch_apart nothing_apart = {0};

static void next(struct replayer *r);
static void ask_plan(struct replayer *r);

static struct fetch_from from_of(const struct post_replay *p)
{
	return (struct fetch_from){
		.xmax = p->from.xmax,
		.out = p->from.out,
		.n_out = p->from.n_out,
		.in = p->from.in,
		.n_in = p->from.n_in,
		.txid = p->from.txid,
		.id = p->from.id,
	};
}

static void plan_free(struct replay_plan *plan)
{
	fetch_plan_free(&plan->fetch);
	free(plan);
}

static void reply(struct replayer *r, enum replay_verdict verdict)
{
	struct post_replay *p = r->current;

	r->current = NULL;
	p->verdict = verdict;
	inbox_post(p->reply_to, &p->letter);
}

static void reset(struct replayer *r, const char *reason)
{
	r->current->reason = reason;
	reply(r, REPLAY_RESET);
}

static void on_page(void *arg, const PGresult *res);

static void ask_page(struct replayer *r)
{
	fetch_send_page(&r->conn, &r->current->plan->fetch, &r->limits, on_page, r);
}

static void take_page(struct replayer *r, const PGresult *res, bool header)
{
	struct post_replay *p = r->current;
	struct fetch_plan *f = &p->plan->fetch;
	struct cursor_text after;

	switch (fetch_read_page(f, res, header, &p->events, &p->n)) {
	case FETCH_ROWS:
		break;
	case FETCH_TOO_MUCH:
	case FETCH_BAD:
		fetch_tell_bare(f, PQresultStatus(res) == PGRES_TUPLES_OK ? "size" : "loss");
		/* fall through */
	case FETCH_AGAIN:
		ask_page(r);
		return;
	case FETCH_GONE:
		reset(r, "pruned");
		return;
	case FETCH_FAILED:
		reply(r, REPLAY_UNAVAILABLE);
		return;
	}
	if (f->done < f->n) {
		reply(r, REPLAY_MORE);
		return;
	}
	cursor_batch_after(&f->batch, &after);
	plan_free(p->plan);
	p->plan = NULL;
	/* We have just written it. */
	reply(r, cursor_parse(&p->from, after.text, strlen(after.text)) ? REPLAY_DONE
									: REPLAY_UNAVAILABLE);
}

static void on_page(void *arg, const PGresult *res)
{
	struct replayer *r = arg;

	if (!res)
		reply(r, REPLAY_UNAVAILABLE);
	else
		take_page(r, res, false);
	next(r);
}

static void on_plan(void *arg, const PGresult *res)
{
	struct replayer *r = arg;
	struct post_replay *p = r->current;
	struct fetch_from from = from_of(p);
	struct fetch_plan *f;
	enum fetch_verdict verdict;
	const char *why = NULL;

	if (!res) {
		reply(r, REPLAY_UNAVAILABLE);
		return; /* on_state() goes on when the connection is back */
	}
	p->plan = xcalloc(1, sizeof(*p->plan));
	p->free_plan = plan_free;
	f = &p->plan->fetch;
	verdict = fetch_read_plan(f, res, &from, &why);
	if (verdict == FETCH_AGAIN && !r->careful) { /* its page cannot be had */
		plan_free(p->plan);
		p->plan = NULL;
		r->careful = true;
		ask_plan(r);
		return;
	}
	if (verdict != FETCH_ROWS) {
		log_error("replay: %s", why);
		reply(r, REPLAY_UNAVAILABLE);
	} else if (strcmp(f->epoch, p->from.epoch) != 0)
		reset(r, "epoch");
	else if (p->from.xmax > f->now.xmax)
		reset(r, "cursor"); /* from the future: not one of ours */
	else if (fetch_pruned(f, &from))
		reset(r, "pruned");
	else {
		/* A capture failure since then is told by the worker, who knows today's count. */
		fetch_begin(f, &p->from, &from, &nothing_apart);
		f->with_rights = true; /* they hold what stands in the same page */
		if (f->page == 0 && f->n)
			ask_page(r);
		else
			take_page(r, res, true);
	}
	next(r);
}

static void ask_plan(struct replayer *r)
{
	struct fetch_from from = from_of(r->current);

	fetch_send_plan(&r->conn, &from, &r->limits, !r->careful, &nothing_apart, on_plan, r);
}

static void next(struct replayer *r)
{
	struct post_replay *p;

	if (r->current || !conn_up(&r->conn) || list_empty(&r->waiting))
		return;
	p = LIST_ENTRY(r->waiting.next, struct post_replay, letter.node);
	list_remove(&p->letter.node);
	r->current = p;
	r->careful = false;
	if (p->plan)
		ask_page(r);
	else
		ask_plan(r);
}

static void on_state(void *arg, bool up)
{
	struct replayer *r = arg;

	if (!up)
		return;
	conn_worked(&r->conn);
	next(r);
}

void replay_start(struct replayer *r, struct loop *loop, const char *conninfo, uint64_t max_bytes)
{
	r->limits = (struct fetch_limits){.rows = 1000,
					  .stored = 256 << 10,
					  .sent = max_bytes / 64,
					  .whole = max_bytes / 2,
					  .ms = 10000};
	list_init(&r->waiting);
	r->current = NULL;
	conn_start(&r->conn, loop, "replay", conninfo, on_state, NULL, r);
}

void replay_stop(struct replayer *r)
{
	conn_stop(&r->conn);
	LIST_EACH (&r->waiting, node, tmp) {
		struct post_replay *p = LIST_ENTRY(node, struct post_replay, letter.node);

		list_remove(node);
		r->current = p;
		reply(r, REPLAY_UNAVAILABLE);
	}
}

void replay_ask(struct replayer *r, struct post_replay *p)
{
	list_push(&r->waiting, &p->letter.node);
	next(r);
}
