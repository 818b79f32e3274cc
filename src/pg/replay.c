/* SPDX-License-Identifier: PostgreSQL
 * See replay.h. */
#include "config.h"
#include "pg/replay.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "pg/kept.h"
#include "pg/missed.h"
#include <uthash.h>

struct replay_plan {
	struct missed missed;
};

/* A user with letters that wait. */
struct replay_turn {
	struct list node;
	struct list letters; /* struct post_replay */
	UT_hash_handle hh;
	char user_id[];
};

static void next(struct replayer *r);

static void plan_free(struct replay_plan *plan)
{
	missed_end(&plan->missed);
	free(plan);
}

static struct replay_turn *turn_of(struct replayer *r, const char *user_id)
{
	size_t len = strlen(user_id);
	struct replay_turn *t;

	HASH_FIND(hh, r->users, user_id, len, t);
	if (t)
		return t;
	t = xcalloc(1, sizeof(*t) + len + 1);
	memcpy(t->user_id, user_id, len);
	list_init(&t->letters);
	list_push(&r->turns, &t->node); /* behind all others */
	HASH_ADD(hh, r->users, user_id, len, t);
	return t;
}

/* The next letter, whose user is the last one then. */
static struct post_replay *take_turn(struct replayer *r)
{
	struct replay_turn *t = LIST_ENTRY(r->turns.next, struct replay_turn, node);
	struct post_replay *p = LIST_ENTRY(t->letters.next, struct post_replay, letter.node);

	list_remove(&p->letter.node);
	list_remove(&t->node);
	if (list_empty(&t->letters)) {
		HASH_DEL(r->users, t);
		free(t);
	} else {
		list_push(&r->turns, &t->node);
	}
	return p;
}

static void reply(struct replayer *r, enum replay_verdict verdict)
{
	struct post_replay *p = r->current;

	r->current = NULL;
	p->verdict = verdict;
	inbox_post(p->reply_to, &p->letter);
}

/* The plan is of no use any more. */
static void end_plan(struct post_replay *p)
{
	plan_free(p->plan);
	p->plan = NULL;
}

/* It has found nothing to hand out so far: again, before the other letters of its user, so that
 * few plans are kept at a time. */
static void go_on(struct replayer *r)
{
	struct list *letters = &turn_of(r, r->current->user_id)->letters;
	struct list *node = &r->current->letter.node;

	r->current = NULL;
	list_push(letters->next, node); /* in front of the first */
}

/* Every client that comes back brings one. */
static void complain(struct replayer *r, const PGresult *res, const char *why)
{
	bool missing = conn_error_is(res, "3F000 42P01 42883 42501"); /* or a right */

	if (complaint_due(&r->failures, why, loop_now_ms(r->conn.loop)))
		log_error("replay: %s%s (failures so far: %" PRIu64 ")", why,
			  missing ? ": is pgherald sql install up to date?" : "", r->failures.n);
}

static void on_answer(void *arg, const PGresult *res)
{
	struct replayer *r = arg;
	struct post_replay *p = r->current;
	struct cursor after;
	const char *why = "connection lost";
	enum missed_step step = MISSED_FAILED;

	if (res)
		step = missed_read(&p->plan->missed, res, &p->events, &p->n, &after, &why);
	switch (step) {
	case MISSED_AGAIN:
		go_on(r);
		break;
	case MISSED_EVENTS:
		reply(r, REPLAY_MORE);
		break;
	case MISSED_LAST:
		/* A capture failure since then is told by the worker, who knows today's count. */
		end_plan(p);
		p->from = after;
		reply(r, REPLAY_DONE);
		break;
	case MISSED_RESET:
		end_plan(p);
		p->reason = why;
		reply(r, REPLAY_RESET);
		break;
	case MISSED_FAILED:
		if (res)
			complain(r, res, why);
		end_plan(p);
		reply(r, REPLAY_UNAVAILABLE);
		break;
	}
	if (res) /* else on_state() goes on when the connection is back */
		next(r);
}

/* Without them rather than not at all: whatever fails here would fail again. */
static void on_kept(void *arg, const PGresult *res)
{
	struct replayer *r = arg;
	struct post_replay *p = r->current;

	if (!res) { /* the connection: on_state() goes on */
		reply(r, REPLAY_UNAVAILABLE);
		return;
	}
	p->events = kept_read(res, &p->from, &p->n);
	if (!p->events)
		complain(r, res, conn_error(res));
	reply(r, REPLAY_DONE);
	next(r);
}

static void next(struct replayer *r)
{
	struct post_replay *p;

	if (r->current || !conn_up(&r->conn) || list_empty(&r->turns))
		return;
	p = r->current = take_turn(r);
	if (p->kept) {
		kept_send(&r->conn, p->channels_only ? NULL : p->user_id, p->channels, r->limits.ms,
			  on_kept, r);
		return;
	}
	if (!p->plan) {
		p->plan = xcalloc(1, sizeof(*p->plan));
		p->free_plan = plan_free;
		missed_begin(&p->plan->missed, r->conf, &p->from, p->own ? p->user_id : NULL,
			     p->channels, p->session);
	}
	missed_send(&p->plan->missed, &r->conn, &r->limits, on_answer, r);
}

static void on_state(void *arg, bool up)
{
	struct replayer *r = arg;

	if (!up)
		return;
	conn_worked(&r->conn);
	next(r);
}

void replay_start(struct replayer *r, struct loop *loop, struct conf *conf)
{
	r->conf = conf_ref(conf);
	r->limits = (struct fetch_limits){.rows = 500, /* some 20 ms, in which others wait */
					  .stored = 256 << 10,
					  .sent = conf->ring_bytes / 64,
					  .whole = conf->ring_bytes / 2,
					  .ms = 10000};
	list_init(&r->turns);
	r->users = NULL;
	r->current = NULL;
	conn_start(&r->conn, loop, "replay", conf->conninfo, on_state, NULL, r);
}

void replay_reload(struct replayer *r, struct conf *conf)
{
	struct conf *old = r->conf;

	r->conf = conf_ref(conf);
	conf_unref(old);
}

void replay_stop(struct replayer *r)
{
	conn_stop(&r->conn);
	while (!list_empty(&r->turns)) {
		r->current = take_turn(r);
		reply(r, REPLAY_UNAVAILABLE);
	}
	conf_unref(r->conf);
}

void replay_ask(struct replayer *r, struct post_replay *p)
{
	list_push(&turn_of(r, p->user_id)->letters, &p->letter.node);
	next(r);
}
