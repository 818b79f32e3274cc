/* SPDX-License-Identifier: PostgreSQL
 * See journal.h. Must not know who listens. */
#include "config.h"
#include "pg/journal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"

static void fetch(struct journal *j);

static int64_t unix_now(void)
{
	return (int64_t)time(NULL);
}

static uint64_t xmin_of(const struct snapshot *s)
{
	return s->n_xip ? s->xip[0] : s->xmax;
}

static void hand_on(struct journal *j, struct event **events, size_t n, bool restart,
		    uint64_t floor, const struct cursor_text *position)
{
	j->on_events(j->arg, events, n, restart, floor, position, xmin_of(&j->seen));
}

/* A resync that belongs to no row, as a list of one. */
static struct event **one_resync(struct journal *j, const char *reason, const char *cursor)
{
	struct event **list = xcalloc(1, sizeof(struct event *));

	list[0] = event_resync(reason, j->topics, cursor, unix_now());
	log_warn("journal: clients are told to refetch (%s)", reason);
	return list;
}

/* Nothing can be read. The connection is made anew after a pause that grows, and the log says once
 * what to do. */
static void give_up(struct journal *j, const PGresult *r, const char *why)
{
	const char *more = "";
	char line[400];

	if (r && PQresultStatus(r) != PGRES_TUPLES_OK)
		why = conn_error(r);
	snprintf(line, sizeof(line), "journal cannot be read: %s", why);
	if (r && conn_error_is(r, "3F000 42P01 42883")) /* schema, table, function */
		more = "; pgherald sql install --apply makes what is missing";
	else if (r && conn_error_is(r, "42501"))
		more = "; pgherald sql install --apply gives this role its rights, if it is the "
		       "configuration's login";
	snprintf(line + strlen(line), sizeof(line) - strlen(line), "%s", more);
	conn_fail(&j->conn, line);
}

/* Takes `now` as the position: spells it with the epoch and loss that j->cursor has. */
static void take_position(struct journal *j, struct snapshot *now, struct cursor_text *text)
{
	struct cursor_batch b;
	bool ok;

	cursor_batch_begin(&b, &j->cursor, now, NULL, 0, NULL, 0);
	cursor_batch_after(&b, text);
	cursor_batch_end(&b);
	ok = cursor_parse(&j->cursor, text->text, strlen(text->text));
	assert(ok); /* we wrote it */
	(void)ok;
	snapshot_free(&j->seen);
	j->seen = *now;
	*now = (struct snapshot){0};
}

static void set_ready(struct journal *j, bool ready)
{
	if (j->ready == ready)
		return;
	j->ready = ready;
	j->on_state(j->arg, ready);
}

static void finish(struct journal *j)
{
	fetch_plan_free(&j->plan);
	j->busy = false;
	conn_worked(&j->conn);
	set_ready(j, true);
	if (j->again)
		fetch(j);
	else
		loop_timer_set(j->loop, &j->poll, keeper_poll_ms(&j->keeper, j->poll_ms));
}

/* A failed capture was counted, but its transaction may not have committed yet: clients are told
 * to refetch at once and again when every transaction of that moment has ended. */
static void check_loss(struct journal *j, uint64_t loss, uint64_t xmin, uint64_t xmax,
		       struct cursor_text *position)
{
	bool ended;

	if (loss != j->loss_noted) {
		j->loss_noted = loss;
		j->loss_until = xmax;
		if (xmin < j->loss_until)
			hand_on(j, one_resync(j, "loss", NULL), 1, false, 0, position);
	}
	ended = j->loss_until && xmin >= j->loss_until;
	if (!ended)
		return;
	j->loss_until = 0;
	j->cursor.loss = j->loss_noted;
	cursor_format(&j->cursor, position);
	hand_on(j, one_resync(j, "loss", position->text), 1, false, 0, position);
}

/* An event that stands in no journal: the position stays. */
static void hand_on_one(struct journal *j, struct event *e)
{
	struct event **list;
	struct cursor_text position;

	if (!e)
		return;
	list = xcalloc(1, sizeof(struct event *));
	list[0] = e;
	cursor_format(&j->cursor, &position);
	hand_on(j, list, 1, false, 0, &position);
}

/* The last page, maybe an empty one, goes along with the position: one wake-up of each worker. */
static void batch_done(struct journal *j, struct event **events, size_t n)
{
	struct cursor_text position;
	uint64_t loss = j->plan.loss, found = j->plan.n;
	uint64_t xmin = j->plan.xmin, xmax = j->plan.xmax;

	take_position(j, &j->plan.now, &position);
	j->n_extra = 0;
	hand_on(j, events, n, false, 0, &position);
	check_loss(j, loss, xmin, xmax, &position);
	hand_on_one(j, channels_gap(&j->channels, unix_now()));
	keeper_looked(&j->keeper, found, xmin, xmax, j->by_poll && !j->again);
	finish(j);
}

static void on_page(void *arg, const PGresult *r);

/* Hands on one page and asks for the next, or ends the batch. */
static void take_page(struct journal *j, const PGresult *r, bool header)
{
	struct event **events;
	struct cursor_text position;
	size_t n;

	if (!fetch_read_rows(&j->plan, r, header, &events, &n)) {
		give_up(j, r, "rows vanished while reading");
		return;
	}
	if (j->plan.done >= j->plan.n) {
		batch_done(j, events, n);
		return;
	}
	if (n) {
		/* Between pages the position is the last event's own cursor. Its xmin is the old
		 * one: nothing below what was known before can be missing. */
		snprintf(position.text, sizeof(position.text), "%s", events[n - 1]->cursor);
		hand_on(j, events, n, false, 0, &position);
	} else
		free(events);
	fetch_send_page(&j->conn, &j->plan, on_page, j);
}

static void on_page(void *arg, const PGresult *r)
{
	if (r)
		take_page(arg, r, false);
}

static void find_start(struct journal *j);

/* The past is gone or is another database's: begin anew from now, and say so. */
static void start_over(struct journal *j, const char *reason)
{
	fetch_plan_free(&j->plan);
	j->start_reason = reason;
	j->n_extra = 0;
	find_start(j);
}

static struct fetch_from where_we_are(const struct journal *j)
{
	return (struct fetch_from){
		.xmax = j->seen.xmax,
		.out = j->seen.xip,
		.n_out = j->seen.n_xip,
		.in = j->extra,
		.n_in = j->n_extra,
	};
}

static void on_plan(void *arg, const PGresult *r)
{
	struct journal *j = arg;
	struct fetch_from from = where_we_are(j);
	const char *why = NULL;

	if (!r)
		return;
	if (!fetch_read_plan(&j->plan, r, &why)) {
		give_up(j, r, why);
		return;
	}
	if (strcmp(j->plan.epoch, j->cursor.epoch) != 0)
		start_over(j, "epoch");
	else if (j->plan.now.xmax < j->seen.xmax)
		start_over(j, "epoch"); /* the server went back in time under the same name */
	else if (fetch_pruned(&j->plan, &from))
		start_over(j, "pruned"); /* away for longer than the journal reaches back */
	else {
		fetch_begin(&j->plan, &j->cursor, &from);
		take_page(j, r, true);
	}
}

static void fetch(struct journal *j)
{
	struct fetch_from from = where_we_are(j);

	loop_timer_clear(j->loop, &j->poll);
	j->busy = true;
	j->again = j->by_poll = false;
	fetch_send_plan(&j->conn, &from, on_plan, j);
}

/* Where to begin. At the daemon's start far enough back to fill the ring ($1 rows), so that clients
 * of before are served from memory; after a break ($1 < 0) just above what there is. Never above
 * the oldest running transaction, below which everything is final, nor above what is certain to
 * outlive a crash (fetch.h). */
static const char start_sql[] =
	"SELECT pgherald.epoch(), CASE WHEN l.is_called THEN l.last_value ELSE 0 END,"
	" LEAST(coalesce(CASE WHEN $1::bigint < 0"
	" THEN (SELECT pg_catalog.max(txid) + 1 FROM pgherald.journal)"
	" ELSE (SELECT txid FROM pgherald.journal ORDER BY txid DESC, id DESC"
	" OFFSET GREATEST($1::bigint, 0) LIMIT 1) END, m.floor_txid + 1),"
	" pg_catalog.txid_snapshot_xmin(pg_catalog.txid_current_snapshot()))"
	" FROM pgherald.meta AS m, pgherald.loss AS l";

static void on_start(void *arg, const PGresult *r)
{
	struct journal *j = arg;
	const char *epoch, *loss, *xmax;
	struct cursor_text position;
	struct snapshot start = {0};

	if (!r)
		return;
	if (PQresultStatus(r) != PGRES_TUPLES_OK || PQntuples(r) != 1) {
		give_up(j, r, "pgherald.meta has no row: run pgherald sql install");
		return;
	}
	epoch = PQgetvalue(r, 0, 0);
	loss = PQgetvalue(r, 0, 1);
	xmax = PQgetvalue(r, 0, 2);
	j->cursor = (struct cursor){0};
	if (strlen(epoch) != CURSOR_EPOCH_LEN || !num_u64(loss, strlen(loss), &j->cursor.loss) ||
	    !num_u64(xmax, strlen(xmax), &start.xmax) || !start.xmax) {
		give_up(j, NULL, "schema pgherald is not as this version expects");
		return;
	}
	memcpy(j->cursor.epoch, epoch, CURSOR_EPOCH_LEN);
	j->loss_noted = j->cursor.loss;
	j->loss_until = 0;
	take_position(j, &start, &position);
	j->known = true;
	if (j->start_reason)
		hand_on(j, one_resync(j, j->start_reason, position.text), 1, true, j->seen.xmax - 1,
			&position);
	else
		hand_on(j, NULL, 0, true, j->seen.xmax - 1, &position);
	j->start_reason = NULL;
	fetch(j);
}

static void find_start(struct journal *j)
{
	char offset[24];
	const char *params[] = {offset};

	j->busy = true;
	snprintf(offset, sizeof(offset), "%" PRId64,
		 j->start_reason ? -1 : (int64_t)j->ring_events);
	conn_query(&j->conn, start_sql, 1, params, on_start, j);
}

static void on_listen(void *arg, const PGresult *r)
{
	struct journal *j = arg;

	if (!r)
		return;
	if (PQresultStatus(r) != PGRES_COMMAND_OK)
		log_warn("journal: LISTEN failed (%s): polling every %" PRIu64 " ms instead",
			 conn_error(r), j->poll_ms);
	if (j->known && !j->start_reason)
		fetch(j);
	else
		find_start(j);
}

/* The connection went down between two pages: what was handed on must not come again. */
static void keep_progress(struct journal *j)
{
	size_t n = j->plan.done;

	if (!n)
		return;
	j->extra = xrealloc(j->extra, j->n_extra + n, sizeof(*j->extra));
	memcpy(j->extra + j->n_extra, j->plan.order, n * sizeof(*j->extra));
	j->n_extra += n;
}

static void on_state(void *arg, bool up)
{
	struct journal *j = arg;

	if (up) {
		j->busy = true; /* on_listen() begins to look; what rings before has to wait */
		keeper_begin(&j->keeper);
		channels_listen(&j->channels, &j->conn);
		/* LISTEN first, then look: what commits in between rings the bell. */
		conn_query(&j->conn, "LISTEN pgherald", 0, NULL, on_listen, j);
		return;
	}
	j->channels.gap = true;
	loop_timer_clear(j->loop, &j->poll);
	keep_progress(j);
	fetch_plan_free(&j->plan);
	j->busy = j->again = false;
	set_ready(j, false);
}

/* Looks now, or once what is under way is done. */
static void look(void *arg)
{
	struct journal *j = arg;

	if (j->busy)
		j->again = true;
	else if (conn_up(&j->conn))
		fetch(j);
}

static void on_notify(void *arg, const char *channel, const char *payload)
{
	struct journal *j = arg;

	if (!j->known) /* the first look is yet to come */
		return;
	if (strcmp(channel, "pgherald") != 0) {
		hand_on_one(j, channels_take(&j->channels, channel, payload, loop_now_ms(j->loop),
					     unix_now()));
		return;
	}
	/* The payload is only a bell: anybody in the database could have rung it. */
	keeper_rung(&j->keeper, payload);
	look(j);
}

static void on_poll(void *arg)
{
	struct journal *j = arg;

	if (j->busy || !conn_up(&j->conn))
		return;
	fetch(j);
	j->by_poll = true;
}

static void on_failed(void *arg, const PGresult *r)
{
	give_up(arg, r, "an answer makes no sense");
}

void journal_start(struct journal *j, struct loop *loop, const char *conninfo)
{
	j->loop = loop;
	j->poll = (struct loop_timer){.fire = on_poll, .arg = j};
	j->keeper.conn = &j->conn;
	j->keeper.loop = loop;
	j->keeper.look = look;
	j->keeper.failed = on_failed;
	j->keeper.arg = j;
	keeper_init(&j->keeper);
	conn_start(&j->conn, loop, "journal", conninfo, on_state, on_notify, j);
}

void journal_stop(struct journal *j)
{
	conn_stop(&j->conn);
	loop_timer_clear(j->loop, &j->poll);
	fetch_plan_free(&j->plan);
	snapshot_free(&j->seen);
	free(j->extra);
	free(j->topics);
	j->topics = NULL;
	channels_free(&j->channels);
}
