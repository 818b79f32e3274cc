/* SPDX-License-Identifier: PostgreSQL
 * A look: what the journal has that nobody was told yet, as a plan, page by page. See journal.h. */
#include "config.h"
#include "pg/journal_parts.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

#define PAGE_MS	    1000 /* so long others may have to wait for a page, and no longer */
#define MUCH	    30	 /* events of a look: the next one is asked for as a plan at once */
#define PATIENCE_MS 5	 /* until those who have too much to take are looked after again */
#define PLAN_SMALL  2000 /* transactions: the time of a plan with so many is its page's */
#define LOST_SMALL  3	 /* pages lost with the connection: then one transaction … */
#define LOST_BARE   6	 /* … then only "fetch again" */
#define SIZE_STORED (256 << 10)
#define SIZE_SENT   (4 << 20)

static void on_page(void *arg, const PGresult *r);

void journal_take_aside(struct journal *j)
{
	const uint64_t *txids;
	struct event **events;
	size_t n, n_txids;
	struct cursor_text text;

	while (aside_take(&j->aside, &j->at.cursor, &j->at.seen, &events, &n, &txids, &n_txids)) {
		position_fill(&j->at, txids, n_txids, &text);
		journal_hand_on(j, events, n, false, 0, &text);
	}
	aside_next(&j->aside);
}

static void finish(struct journal *j)
{
	fetch_plan_free(&j->plan);
	j->busy = j->careful = false;
	j->n_lost = 0;
	journal_take_aside(j);
	conn_worked(&j->conn);
	journal_set_ready(j, true);
	if (j->again)
		journal_fetch(j);
	else
		loop_timer_set(j->loop, &j->poll, keeper_poll_ms(&j->keeper, j->poll_ms));
}

/* The last page, maybe an empty one, goes along with the position: one wake-up of each worker. */
static void batch_done(struct journal *j, struct event **events, size_t n)
{
	struct cursor_text text;
	uint64_t loss = j->plan.loss, found = j->plan.n + j->plan.n_late;
	uint64_t xmin = j->plan.xmin, xmax = j->plan.xmax;
	const uint64_t *late;
	size_t n_late;

	aside_add(&j->aside, j->plan.late, j->plan.n_late);
	n_late = aside_waiting(&j->aside, &late);
	j->much = n > MUCH;
	position_take(&j->at, &j->plan.now, late, n_late, &text);
	journal_hand_on(j, events, n, false, 0, &text);
	journal_check_loss(j, loss, xmin, xmax, &text);
	journal_hand_on_one(j, channels_gap(&j->channels, journal_unix_now()));
	keeper_looked(&j->keeper, found, xmin, xmax, j->by_poll && !j->again);
	finish(j);
}

/* The look ends here: what has been told is noted, what is late is told aside, from now on this
 * one, too, if there is one, and a new plan, which knows of that, has the rest. */
static void look_anew(struct journal *j, uint64_t heavy)
{
	position_keep(&j->at, j->plan.order, j->plan.done);
	aside_add(&j->aside, j->plan.late, j->plan.n_late);
	if (heavy)
		aside_heavy(&j->aside, heavy);
	fetch_plan_free(&j->plan);
	journal_fetch(j);
}

/* While nothing can be told aside everybody has to wait for it. */
static struct fetch_limits limits(struct journal *j, bool aside)
{
	uint64_t whole = j->ring_bytes / 2;

	return (struct fetch_limits){
		.rows = 1000,
		.stored = SIZE_STORED,
		.sent = aside && SIZE_SENT < whole ? SIZE_SENT : whole,
		.whole = aside && SIZE_SENT < whole ? SIZE_SENT : whole,
		.ms = aside ? PAGE_MS : 10 * PAGE_MS,
	};
}

/* Whether those who are to take the events are behind, with as much as they keep: then nothing more
 * is read, or it would pile up here. The next step is taken a little later. */
static bool must_be_patient(struct journal *j)
{
	if (!j->in_flight ||
	    atomic_load_explicit(j->in_flight, memory_order_relaxed) <= j->max_in_flight)
		return false;
	loop_timer_set(j->loop, &j->patience, PATIENCE_MS);
	return true;
}

static void ask_page(struct journal *j)
{
	const struct fetch_limits l = limits(j, aside_possible(&j->aside));
	struct fetch_plan *p = &j->plan;

	if (must_be_patient(j))
		return;
	if (p->order[p->done] == j->lost_txid && j->n_lost >= LOST_BARE)
		fetch_tell_bare(p, "loss");
	else if (p->order[p->done] == j->lost_txid && j->n_lost >= LOST_SMALL)
		p->max_page = 1;
	j->asked_ms = loop_now_ms(j->loop);
	fetch_send_page(&j->conn, p, &l, on_page, j);
}

/* The topic with the most bytes in a page. */
static const char *largest_topic(struct event **events, size_t n)
{
	const char *largest = NULL;
	size_t most = 0;

	for (size_t i = 0; i < n; i++) {
		size_t bytes = 0;

		if (!events[i]->topic || (largest && !strcmp(events[i]->topic, largest)))
			continue;
		for (size_t k = i; k < n; k++)
			if (events[k]->topic && !strcmp(events[k]->topic, events[i]->topic))
				bytes += events[k]->bytes;
		if (bytes > most) {
			most = bytes;
			largest = events[i]->topic;
		}
	}
	return largest;
}

/* Whether a page took so long that its topic is told aside from now on. */
static bool found_slow(struct journal *j, struct event **events, size_t n)
{
	const char *topic;

	if (loop_now_ms(j->loop) < j->asked_ms + ASIDE_SLOW_MS || j->plan.n > PLAN_SMALL ||
	    !aside_possible(&j->aside))
		return false;
	topic = largest_topic(events, n);
	if (topic)
		aside_slow(&j->aside, topic);
	return topic != NULL;
}

/* Hands on one page and asks for the next, or ends the batch. */
static void take_events(struct journal *j, struct event **events, size_t n)
{
	bool slow = found_slow(j, events, n);
	struct cursor_text text;

	if (j->plan.done == j->plan.n) {
		batch_done(j, events, n);
		return;
	}
	if (n) {
		/* Between pages the position is the last event's own cursor. Its xmin is the old
		 * one: nothing below what was known before can be missing. */
		snprintf(text.text, sizeof(text.text), "%s", events[n - 1]->cursor);
		journal_hand_on(j, events, n, false, 0, &text);
	} else {
		free(events);
	}
	if (slow || j->plan.cut)
		look_anew(j, 0);
	else
		ask_page(j);
}

/* The first transaction of a page cannot be told, or not here. */
static void take_bad(struct journal *j, const PGresult *r, bool heavy)
{
	bool size = PQresultStatus(r) == PGRES_TUPLES_OK;
	uint64_t txid = j->plan.order[j->plan.done];
	const char *why = size ? "too large" : conn_error(r);

	if (heavy && aside_possible(&j->aside)) {
		look_anew(j, txid);
		return;
	}
	if (complaint_due(&j->bad, why, loop_now_ms(j->loop)))
		log_warn("journal: transaction %" PRIu64
			 " cannot be told (%s): clients are told to refetch; %" PRIu64 " so far",
			 txid, why, j->bad.n);
	fetch_tell_bare(&j->plan, size ? "size" : "loss");
	ask_page(j);
}

static void take_page(struct journal *j, const PGresult *r, bool header)
{
	const char *slow = fetch_slow_topic(r);
	struct event **events;
	size_t n;

	switch (fetch_read_page(&j->plan, r, header, &events, &n)) {
	case FETCH_ROWS:
		take_events(j, events, n);
		break;
	case FETCH_AGAIN:
		if (slow && aside_possible(&j->aside)) {
			aside_slow(&j->aside, slow);
			look_anew(j, 0);
		} else {
			ask_page(j);
		}
		break;
	case FETCH_TOO_MUCH:
		take_bad(j, r, true);
		break;
	case FETCH_BAD:
		take_bad(j, r, false);
		break;
	case FETCH_GONE:
		journal_give_up(j, r, "rows vanished while reading");
		break;
	case FETCH_FAILED:
		journal_give_up(j, r, "a page makes no sense");
		break;
	}
}

static void on_page(void *arg, const PGresult *r)
{
	struct journal *j = arg;
	uint64_t txid = j->plan.order[j->plan.done];

	if (r) {
		take_page(j, r, false);
		return;
	}
	j->n_lost = txid == j->lost_txid ? j->n_lost + 1 : 1;
	j->lost_txid = txid;
}

/* The past is gone or is another database's: begin anew from now, and say so. */
static void start_over(struct journal *j, const char *reason)
{
	fetch_plan_free(&j->plan);
	aside_reset(&j->aside, NULL);
	j->start_reason = reason;
	journal_find_start(j);
}

/* Rights that have changed in what follows: before all of it, whatever it takes to tell the rest.
 */
static void tell_revoked(struct journal *j)
{
	const struct event_row row = {
		.op = 'a', .at = journal_unix_now(), .topic = "auth", .before = j->plan.revoked};

	if (j->plan.revoked)
		journal_hand_on_one(j, event_new(&row));
}

static void on_plan(void *arg, const PGresult *r)
{
	struct journal *j = arg;
	struct fetch_from from = position_from(&j->at);
	struct fetch_apart apart;
	const char *why = NULL;
	enum fetch_verdict verdict;

	if (!r) {
		j->careful = true;
		return;
	}
	verdict = fetch_read_plan(&j->plan, r, &from, &why);
	if (verdict == FETCH_AGAIN && !j->careful) {
		if (fetch_slow_topic(r))
			aside_slow(&j->aside, fetch_slow_topic(r));
		j->careful = true;
		journal_fetch(j);
		return;
	}
	if (verdict != FETCH_ROWS) {
		journal_give_up(j, r, why);
		return;
	}
	if (strcmp(j->plan.epoch, j->at.cursor.epoch) != 0)
		start_over(j, "epoch");
	else if (j->plan.now.xmax < j->at.seen.xmax)
		start_over(j, "epoch"); /* the server went back in time under the same name */
	else if (fetch_pruned(&j->plan, &from))
		start_over(j, "pruned"); /* away for longer than the journal reaches back */
	else {
		apart = aside_apart(&j->aside);
		assert(apart.n_known == j->n_known); /* or they would count as delivered */
		fetch_begin(&j->plan, &j->at.cursor, &from, &apart);
		tell_revoked(j);
		if (j->plan.page == 0 && j->plan.n && j->looking) {
			j->much = true;
			look_anew(j, 0);
		} else if (j->plan.page == 0 && j->plan.n)
			ask_page(j);
		else
			take_page(j, r, true);
	}
}

void journal_fetch(struct journal *j)
{
	struct fetch_from from = position_from(&j->at);
	struct fetch_limits l;
	struct fetch_apart apart;

	j->busy = true;
	if (must_be_patient(j))
		return;
	aside_mind(&j->aside);
	apart = aside_apart(&j->aside);
	l = limits(j, apart.possible);
	j->n_known = apart.n_known;
	loop_timer_clear(j->loop, &j->poll);
	j->again = j->by_poll = false;
	j->asked_ms = loop_now_ms(j->loop);
	j->looking = !j->careful && !j->much && !aside_busy(&j->aside);
	if (j->looking)
		fetch_send_look(&j->conn, &from, l.ms, on_plan, j);
	else
		fetch_send_plan(&j->conn, &from, &l, !j->careful, &apart, on_plan, j);
}

static void on_start(void *arg, const PGresult *r)
{
	struct journal *j = arg;
	struct cursor_text text;
	const char *why = NULL;
	uint64_t floor;

	if (!r)
		return;
	if (!position_begin(&j->at, r, &text, &why)) {
		journal_give_up(j, r, why);
		return;
	}
	j->loss_noted = j->at.cursor.loss;
	j->loss_until = 0;
	j->known = true;
	floor = j->at.seen.xmax - 1;
	if (j->start_reason)
		journal_hand_on(j, journal_resync(j, j->start_reason, text.text), 1, true, floor,
				&text);
	else
		journal_hand_on(j, NULL, 0, true, floor, &text);
	j->start_reason = NULL;
	journal_fetch(j);
}

void journal_find_start(struct journal *j)
{
	j->busy = true;
	position_ask(&j->conn, j->start_reason ? -1 : (int64_t)j->ring_events, j->ring_bytes,
		     on_start, j);
}

void journal_go_on(struct journal *j)
{
	if (j->plan.order && j->plan.done < j->plan.n)
		ask_page(j);
	else
		journal_fetch(j);
}
