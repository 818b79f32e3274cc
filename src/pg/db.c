/* SPDX-License-Identifier: PostgreSQL
 * See db.h. */
#include "config.h"
#include "pg/db.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

#define PRUNE_EVERY_MS 60000
#define PRUNE_AGAIN_MS 200 /* while a whole batch was deleted */
#define PRUNE_ROWS     5000

static void on_events(void *arg, struct event **events, size_t n, bool restart, uint64_t floor,
		      const struct cursor_text *position, uint64_t position_xmin)
{
	struct db *db = arg;

	for (size_t w = 0; w < db->n_workers; w++) {
		struct post_events *p = xcalloc(1, sizeof(*p) + n * sizeof(struct event *));

		p->letter.kind = POST_EVENTS;
		p->restart = restart;
		p->floor = floor;
		p->position = *position;
		p->position_xmin = position_xmin;
		p->n = n;
		for (size_t i = 0; i < n; i++)
			p->events[i] = event_ref(events[i]);
		inbox_post(db->workers[w], &p->letter);
	}
	for (size_t i = 0; i < n; i++)
		event_unref(events[i]);
	free(events);
}

static void on_state(void *arg, bool up)
{
	struct db *db = arg;

	for (size_t w = 0; w < db->n_workers; w++) {
		struct post_database *p = xcalloc(1, sizeof(*p));

		p->letter.kind = POST_DATABASE;
		p->up = up;
		inbox_post(db->workers[w], &p->letter);
	}
	auth_open(&db->auth, up);
}

static void open_post(void *arg, struct list *letters)
{
	struct db *db = arg;

	LIST_EACH (letters, node, tmp) {
		struct letter *l = LIST_ENTRY(node, struct letter, node);

		list_remove(node);
		if (l->kind == POST_LOOKUP)
			auth_ask(&db->auth, (struct post_lookup *)l);
		else if (l->kind == POST_REPLAY)
			replay_ask(&db->replay, (struct post_replay *)l);
		else
			db->on_other(db->arg, l);
	}
}

static void on_pruned(void *arg, const PGresult *r)
{
	struct db *db = arg;
	const char *n;

	if (!r)
		return;
	if (PQresultStatus(r) != PGRES_TUPLES_OK) {
		log_warn("journal: old rows could not be deleted: %s", conn_error(r));
		return;
	}
	n = PQntuples(r) == 1 && !PQgetisnull(r, 0, 0) ? PQgetvalue(r, 0, 0) : "0";
	if (strcmp(n, "0") != 0) {
		log_debug("journal: %s old rows deleted", n);
		loop_timer_set(db->loop, &db->prune_timer, PRUNE_AGAIN_MS);
	}
}

/* One daemon of several prunes at a time: the function takes an advisory lock and deletes
 * nothing without it. */
static void on_prune_timer(void *arg)
{
	struct db *db = arg;
	char age[40], rows[16];
	const char *params[] = {age, rows};

	loop_timer_set(db->loop, &db->prune_timer, PRUNE_EVERY_MS);
	if (!conn_up(&db->auth.conn) || !db->retention_ms)
		return;
	snprintf(age, sizeof(age), "%" PRIu64 " milliseconds", db->retention_ms);
	snprintf(rows, sizeof(rows), "%d", PRUNE_ROWS);
	conn_query(&db->auth.conn, "SELECT pgherald.prune($1::interval, $2::integer)", 2, params,
		   on_pruned, db);
}

static void settings(struct db *db, const struct conf *conf)
{
	free(db->journal.topics);
	db->journal.topics = conf_topics(conf);
	db->journal.poll_ms = conf->poll_ms;
	db->journal.ring_events = conf->ring_events;
	db->retention_ms = conf->retention_ms;
}

bool db_start(struct db *db, struct loop *loop, const struct conf *conf, struct inbox **workers,
	      size_t n_workers)
{
	db->loop = loop;
	db->workers = workers;
	db->n_workers = n_workers;
	if (!inbox_init(&db->inbox, loop, open_post, db))
		return false;
	settings(db, conf);
	db->journal.on_events = on_events;
	db->journal.on_state = on_state;
	db->journal.arg = db;
	db->prune_timer = (struct loop_timer){.fire = on_prune_timer, .arg = db};
	journal_start(&db->journal, loop, conf->conninfo);
	auth_start(&db->auth, loop, conf->conninfo);
	replay_start(&db->replay, loop, conf->conninfo);
	loop_timer_set(loop, &db->prune_timer, PRUNE_EVERY_MS);
	return true;
}

void db_reload(struct db *db, const struct conf *conf, const struct conf *old)
{
	settings(db, conf);
	if (!strcmp(conf->conninfo, old->conninfo))
		return;
	conn_restart(&db->journal.conn, conf->conninfo, "conninfo changed");
	conn_restart(&db->auth.conn, conf->conninfo, "conninfo changed");
	conn_restart(&db->replay.conn, conf->conninfo, "conninfo changed");
}

void db_stop(struct db *db)
{
	loop_timer_clear(db->loop, &db->prune_timer);
	journal_stop(&db->journal);
	auth_stop(&db->auth);
	replay_stop(&db->replay);
}

static void drop(struct letter *l)
{
	if (l->kind == POST_LOOKUP)
		post_lookup_free((struct post_lookup *)l);
	else if (l->kind == POST_REPLAY)
		post_replay_free((struct post_replay *)l);
	else
		free(l);
}

void db_free(struct db *db)
{
	inbox_close(&db->inbox, drop);
}
