/* SPDX-License-Identifier: PostgreSQL
 * See aside.h. */
#include "config.h"
#include "pg/aside.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "wire/array.h"

#define STORED_MAX  (256 << 10) /* bytes in the journal: a transaction of more is told aside */
#define PAGE_MS	    10000	/* a transaction that takes longer says "fetch again" */
#define TOO_SLOW_MS 1000	/* a page that takes longer is followed by a smaller one */
#define PATIENCE_MS 30000	/* what has waited for so long says "fetch again" */
#define SLOW_FOR_MS 60000	/* a topic stays slow for so long after it was */
#define CONNECT_MS  10000	/* without a connection for so long: nothing is told aside … */
#define CLOSED_MS   60000	/* … for so long */
#define LOST_SMALL  3		/* pages lost with the connection: then one transaction … */
#define LOST_BARE   6		/* … then only "fetch again" */
#define SHOWN_MAX   200		/* bytes of a list of topics in the log */

static void on_state(void *arg, bool up);

static uint64_t now_ms(const struct aside *a)
{
	return loop_now_ms(a->loop);
}

void aside_init(struct aside *a, struct loop *loop, const char *conninfo, uint64_t max_bytes,
		void (*ready)(void *arg), void *arg)
{
	*a = (struct aside){.loop = loop,
			    .conninfo = xstrdup(conninfo),
			    .limits = {.rows = 1000,
				       .stored = 1 << 20,
				       .sent = max_bytes / 4,
				       .whole = max_bytes / 2,
				       .ms = PAGE_MS},
			    .ready = ready,
			    .arg = arg};
	buf_init(&a->topics, SIZE_MAX / 2);
}

/* Everything that waits. */
static void forget(struct aside *a)
{
	for (size_t i = 0; i < a->plan.n; i++)
		free(a->items[i].topics);
	free(a->items);
	a->items = NULL;
	fetch_plan_free(&a->plan);
	PQclear(a->result);
	a->result = NULL;
	a->n_lost = 0;
	a->heavy = 0;
}

static void hang_up(struct aside *a)
{
	if (a->started)
		conn_stop(&a->conn);
	a->started = a->busy = false;
	a->alone_ms = 0;
}

void aside_stop(struct aside *a)
{
	hang_up(a);
	forget(a);
	for (size_t i = 0; i < a->n_slow; i++)
		free(a->slow[i].name);
	free(a->slow);
	free(a->conninfo);
	buf_free(&a->topics);
	*a = (struct aside){0};
}

void aside_reset(struct aside *a, const char *conninfo)
{
	forget(a);
	if (conninfo || a->busy) /* what is under way is of no use any more */
		hang_up(a);
	a->n_lost = 0;
	if (!conninfo)
		return;
	free(a->conninfo);
	a->conninfo = xstrdup(conninfo);
	a->closed_ms = 0;
}

static size_t waiting(const struct aside *a)
{
	return a->plan.n - a->plan.done;
}

size_t aside_waiting(const struct aside *a, const uint64_t **ret_txids)
{
	*ret_txids = a->plan.order + a->plan.done;
	return waiting(a);
}

static void forget_slow(struct aside *a)
{
	for (size_t i = 0; i < a->n_slow;) {
		if (now_ms(a) < a->slow[i].until_ms) {
			i++;
			continue;
		}
		free(a->slow[i].name);
		a->slow[i] = a->slow[--a->n_slow];
	}
}

void aside_mind(struct aside *a)
{
	uint64_t now = now_ms(a);

	forget_slow(a);
	if (!waiting(a) || !a->alone_ms || now < a->alone_ms + CONNECT_MS)
		return;
	log_warn("journal: no connection to tell aside what is large or takes long: everybody "
		 "waits for it");
	aside_reset(a, NULL);
	hang_up(a);
	a->closed_ms = now + CLOSED_MS;
}

bool aside_possible(const struct aside *a)
{
	return now_ms(a) >= a->closed_ms;
}

/* Topics may be in it more than once. */
static void add_topics(struct aside *a, const char *list)
{
	size_t n = array_count(list);
	autofree char **names = xcalloc(n, sizeof(*names));
	autofree char *text = xcalloc(strlen(list) + 1, 1);
	char *at = text;

	array_split(list, &at, names);
	for (size_t i = 0; i < n; i++)
		array_add(&a->topics, names[i]);
}

struct fetch_apart aside_apart(struct aside *a)
{
	bool can = aside_possible(a);

	buf_clear(&a->topics);
	for (size_t i = 0; i < a->n_slow; i++)
		array_add(&a->topics, a->slow[i].name);
	for (size_t i = 0; i < a->plan.n; i++)
		add_topics(a, a->items[i].topics);
	array_end(&a->topics);
	return (struct fetch_apart){
		.possible = can,
		.known = a->plan.order + a->plan.done,
		.n_known = waiting(a),
		.heavy = can ? a->heavy : 0,
		.topics = buf_cstr(&a->topics),
		.stored = STORED_MAX,
	};
}

bool aside_busy(const struct aside *a)
{
	return waiting(a) || a->n_slow || a->heavy;
}

void aside_slow(struct aside *a, const char *topic)
{
	size_t i = 0;

	while (i < a->n_slow && strcmp(a->slow[i].name, topic) != 0)
		i++;
	if (i == a->n_slow) {
		a->slow = xrealloc(a->slow, ++a->n_slow, sizeof(*a->slow));
		a->slow[i] = (struct aside_topic){.name = xstrdup(topic)};
		log_warn("journal: %s takes long to tell (a join without an index?): its events "
			 "come when they are ready, the others do not wait",
			 topic);
	}
	a->slow[i].until_ms = now_ms(a) + SLOW_FOR_MS;
}

void aside_heavy(struct aside *a, uint64_t txid)
{
	a->heavy = txid;
}

void aside_add(struct aside *a, const struct fetch_late *late, size_t n)
{
	struct fetch_plan *p = &a->plan;

	a->heavy = 0; /* it is among these, if it is there still */
	if (!n)
		return;
	if (!p->n)
		p->max_page = 1;
	a->items = xrealloc(a->items, p->n + n, sizeof(*a->items));
	for (size_t i = 0; i < n; i++) {
		a->items[p->n] = (struct aside_item){now_ms(a), xstrdup(late[i].topics)};
		fetch_plan_add(p, late[i].txid, late[i].rows, late[i].stored);
	}
	aside_next(a);
}

static void on_page(void *arg, const PGresult *r)
{
	struct aside *a = arg;

	a->busy = false;
	if (!r) {
		a->n_lost++;
		return; /* on_state() follows */
	}
	a->result = conn_keep(&a->conn);
	a->ready(a->arg);
}

void aside_next(struct aside *a)
{
	struct fetch_plan *p = &a->plan;

	if (!waiting(a) && p->n)
		forget(a);
	if (!waiting(a) || a->busy || a->result)
		return;
	if (!a->started) {
		a->started = true;
		a->alone_ms = now_ms(a);
		conn_start(&a->conn, a->loop, "aside", a->conninfo, on_state, NULL, a);
		return;
	}
	if (!conn_up(&a->conn))
		return;
	if (a->n_lost >= LOST_BARE)
		fetch_tell_bare(p, "loss");
	else if (a->n_lost >= LOST_SMALL)
		p->max_page = 1;
	else if (!p->bare && now_ms(a) >= a->items[p->done].since_ms + PATIENCE_MS) {
		log_warn("journal: what takes long to tell has waited for %d s: clients are told "
			 "to refetch",
			 PATIENCE_MS / 1000);
		p->bare = "loss";
		p->max_page = 0;
	}
	a->busy = true;
	a->sent_ms = now_ms(a);
	fetch_send_page(&a->conn, p, &a->limits, on_page, a);
}

static void on_state(void *arg, bool up)
{
	struct aside *a = arg;

	a->alone_ms = up ? 0 : now_ms(a);
	if (up)
		aside_next(a);
}

/* The next page goes by the time this one took, and its topics stay slow if they were. */
static void mind_the_time(struct aside *a, size_t told)
{
	uint64_t ms = now_ms(a) - a->sent_ms;
	struct fetch_plan *p = &a->plan;

	if (ms < ASIDE_SLOW_MS)
		return;
	p->max_page = ms < TOO_SLOW_MS ? told : told / 2 ? told / 2 : 1;
	for (size_t i = 0; i < a->n_slow; i++)
		a->slow[i].until_ms = now_ms(a) + SLOW_FOR_MS;
}

/* What the first of those that wait is worth to the log. */
static void complain(struct aside *a, const char *why)
{
	const char *topics = a->items[a->plan.done].topics; /* there may be thousands */

	if (complaint_due(&a->bad, why, now_ms(a)))
		log_warn("journal: transaction %" PRIu64
			 " cannot be told (%s): clients are told to refetch; %" PRIu64
			 " so far; it is of %.*s%s",
			 a->plan.order[a->plan.done], why, a->bad.n, SHOWN_MAX, topics,
			 strlen(topics) > SHOWN_MAX ? "…" : "");
}

bool aside_take(struct aside *a, const struct cursor *base, const struct snapshot *seen,
		struct event ***ret, size_t *ret_n, const uint64_t **ret_txids, size_t *ret_n_txids)
{
	PGresult *r = a->result;
	struct fetch_plan *p = &a->plan;
	enum fetch_verdict verdict;
	size_t start = p->done;
	bool bare = p->bare;

	if (!r)
		return false;
	a->result = NULL;
	fetch_begin_late(p, base, seen);
	verdict = fetch_read_page(p, r, false, ret, ret_n);
	switch (verdict) {
	case FETCH_ROWS:
		a->n_lost = 0;
		conn_worked(&a->conn);
		if (bare) { /* the others may fare better */
			p->bare = NULL;
			p->max_page = 1;
		} else {
			mind_the_time(a, p->done - start);
		}
		*ret_txids = p->order + start;
		*ret_n_txids = p->done - start;
		break;
	case FETCH_AGAIN:
		break;
	case FETCH_TOO_MUCH:
	case FETCH_BAD:
		complain(a, PQresultStatus(r) == PGRES_TUPLES_OK ? "too large" : conn_error(r));
		fetch_tell_bare(p, PQresultStatus(r) == PGRES_TUPLES_OK ? "size" : "loss");
		break;
	case FETCH_GONE: /* the next plan says that they were pruned */
		forget(a);
		break;
	case FETCH_FAILED:
		conn_fail(&a->conn, conn_error(r));
		break;
	}
	PQclear(r);
	return verdict == FETCH_ROWS;
}
