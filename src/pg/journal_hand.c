/* SPDX-License-Identifier: PostgreSQL
 * What the listener hands on, and what it says when nothing can be read. See journal.h. */
#include "config.h"
#include "pg/journal_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"

int64_t journal_unix_now(void)
{
	return (int64_t)time(NULL);
}

void journal_hand_on(struct journal *j, struct event **events, size_t n, bool restart,
		     uint64_t floor, const struct cursor_text *text)
{
	j->on_events(j->arg, events, n, restart, floor, text, position_xmin(&j->at));
}

struct event **journal_resync(struct journal *j, const char *reason, const char *cursor)
{
	struct event **list = xcalloc(1, sizeof(struct event *));

	list[0] = event_resync(reason, j->topics, cursor, journal_unix_now());
	if (complaint_due(&j->refetches, reason, loop_now_ms(j->loop)))
		log_warn("journal: clients are told to refetch (%s); %" PRIu64 " so far", reason,
			 j->refetches.n);
	return list;
}

void journal_hand_on_one(struct journal *j, struct event *e)
{
	struct event **list;
	struct cursor_text text;

	if (!e)
		return;
	list = xcalloc(1, sizeof(struct event *));
	list[0] = e;
	cursor_format(&j->at.cursor, &text);
	journal_hand_on(j, list, 1, false, 0, &text);
}

void journal_give_up(struct journal *j, const PGresult *r, const char *why)
{
	const char *more = "";
	char line[400];

	if (r && PQresultStatus(r) != PGRES_TUPLES_OK)
		why = conn_error(r);
	if (r && conn_error_is(r, CONN_LOST)) {
		conn_fail(&j->conn, why);
		return;
	}
	snprintf(line, sizeof(line), "journal cannot be read: %s", why);
	if (r && conn_error_is(r, "3F000 42P01 42883")) /* schema, table, function */
		more = "; pgherald sql install --apply makes what is missing";
	else if (r && conn_error_is(r, "42501"))
		more = "; pgherald sql install --apply gives this role its rights, if it is the "
		       "configuration's login";
	snprintf(line + strlen(line), sizeof(line) - strlen(line), "%s", more);
	conn_fail(&j->conn, line);
}

void journal_set_ready(struct journal *j, bool ready)
{
	if (j->ready == ready)
		return;
	j->ready = ready;
	j->on_state(j->arg, ready);
}

void journal_check_loss(struct journal *j, uint64_t loss, uint64_t xmin, uint64_t xmax,
			struct cursor_text *text)
{
	bool ended;

	if (loss != j->loss_noted) {
		j->loss_noted = loss;
		j->loss_until = xmax;
		if (xmin < j->loss_until)
			journal_hand_on(j, journal_resync(j, "loss", NULL), 1, false, 0, text);
	}
	ended = j->loss_until && xmin >= j->loss_until;
	if (!ended)
		return;
	j->loss_until = 0;
	j->at.cursor.loss = j->loss_noted;
	cursor_format(&j->at.cursor, text);
	journal_hand_on(j, journal_resync(j, "loss", text->text), 1, false, 0, text);
}
