/* SPDX-License-Identifier: PostgreSQL
 * See journal.h. Must not know who listens. */
#include "config.h"
#include "pg/journal_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define GARBLED_MAX 3	   /* so many notifications that end the session … */
#define GARBLED_MS  60000  /* … in this time are enough, for … */
#define DEAF_MS	    600000 /* … so long */

static void on_aside(void *arg)
{
	struct journal *j = arg;

	if (!j->busy && j->known)
		journal_take_aside(j);
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
		journal_fetch(j);
	else
		journal_find_start(j);
}

/* A notification that has no form in UTF-8 ends the session of whoever listens: in a database of
 * another encoding everybody can send one. Who does so again and again is not listened to. Before
 * version 14 a server only says that it cannot go on with its sentence, which is 08P01. */
static void mind_the_ears(struct journal *j)
{
	static const char states[] = "22021 22P05 08P01";
	uint64_t now = loop_now_ms(j->loop);

	if ((!*j->conn.last_words || !strstr(states, j->conn.last_words)) &&
	    (j->busy || !strstr(j->conn.complaint, "\"UTF8\"")))
		return;
	if (now >= j->garbled_ms + GARBLED_MS)
		j->n_garbled = 0;
	j->garbled_ms = now;
	if (++j->n_garbled < GARBLED_MAX)
		return;
	j->deaf_until_ms = now + DEAF_MS;
	log_warn("journal: somebody sends notifications that have no form in UTF-8, which end the "
		 "connection: not listening for %d minutes, polling",
		 DEAF_MS / 60000);
}

static void begin(struct journal *j)
{
	bool deaf = loop_now_ms(j->loop) < j->deaf_until_ms;

	j->busy = true; /* on_listen() begins to look; what rings before has to wait */
	keeper_begin(&j->keeper, deaf);
	if (!deaf)
		channels_listen(&j->channels, &j->conn);
	/* LISTEN first, then look: what commits in between rings the bell. */
	conn_query(&j->conn, deaf ? "UNLISTEN *" : "LISTEN pgherald", 0, NULL, on_listen, j);
}

static void on_state(void *arg, bool up)
{
	struct journal *j = arg;

	if (up) {
		begin(j);
		return;
	}
	mind_the_ears(j);
	j->channels.gap = true;
	loop_timer_clear(j->loop, &j->poll);
	loop_timer_clear(j->loop, &j->patience);
	/* Between two pages: what was handed on must not come again. */
	position_keep(&j->at, j->plan.order, j->plan.done);
	fetch_plan_free(&j->plan);
	aside_reset(&j->aside, NULL); /* the next plan has them again */
	j->busy = j->again = false;
	journal_set_ready(j, false);
}

/* Looks now, or once what is under way is done. */
static void look(void *arg)
{
	struct journal *j = arg;

	if (j->busy)
		j->again = true;
	else if (conn_up(&j->conn))
		journal_fetch(j);
}

static void on_notify(void *arg, const char *channel, const char *payload)
{
	struct journal *j = arg;

	if (!j->known) /* the first look is yet to come */
		return;
	if (strcmp(channel, "pgherald") != 0) {
		journal_hand_on_one(j, channels_take(&j->channels, channel, payload,
						     loop_now_ms(j->loop), journal_unix_now()));
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
	if (j->deaf_until_ms && loop_now_ms(j->loop) >= j->deaf_until_ms) {
		j->deaf_until_ms = 0;
		begin(j);
		return;
	}
	journal_fetch(j);
	j->by_poll = true;
}

static void on_patience(void *arg)
{
	journal_go_on(arg);
}

static void on_failed(void *arg, const PGresult *r)
{
	journal_give_up(arg, r, "an answer makes no sense");
}

void journal_start(struct journal *j, struct loop *loop, const char *conninfo)
{
	j->loop = loop;
	j->poll = (struct loop_timer){.fire = on_poll, .arg = j};
	j->patience = (struct loop_timer){.fire = on_patience, .arg = j};
	j->keeper.conn = &j->conn;
	j->keeper.loop = loop;
	j->keeper.look = look;
	j->keeper.failed = on_failed;
	j->keeper.arg = j;
	keeper_init(&j->keeper);
	aside_init(&j->aside, loop, conninfo, j->ring_bytes, on_aside, j);
	conn_start(&j->conn, loop, "journal", conninfo, on_state, on_notify, j);
}

void journal_restart(struct journal *j, const char *conninfo, const char *why)
{
	aside_reset(&j->aside, conninfo);
	conn_restart(&j->conn, conninfo, why);
}

void journal_tell(struct journal *j, struct event *e)
{
	if (j->known)
		journal_hand_on_one(j, e);
	else
		event_unref(e);
}

void journal_stop(struct journal *j)
{
	conn_stop(&j->conn);
	loop_timer_clear(j->loop, &j->poll);
	loop_timer_clear(j->loop, &j->patience);
	aside_stop(&j->aside);
	fetch_plan_free(&j->plan);
	position_free(&j->at);
	free(j->topics);
	j->topics = NULL;
	channels_free(&j->channels);
}
