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

/* What the events say about the tables themselves: a loss may be that of a column or table which is
 * not there any more. */
static void note_shape(struct db *db, const struct event *e)
{
	if (e->op != 'r' || !e->doc)
		return;
	if (!strcmp(e->doc, "loss"))
		shape_hint(&db->shape);
	else if (!strcmp(e->doc, "truncate"))
		shape_emptied(&db->shape, e->topic);
}

static void on_events(void *arg, struct event **events, size_t n, bool restart, uint64_t floor,
		      const struct cursor_text *position, uint64_t position_xmin)
{
	struct db *db = arg;
	size_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += events[i]->bytes;
	atomic_fetch_add_explicit(&db->in_flight, bytes * db->n_workers, memory_order_relaxed);
	for (size_t w = 0; w < db->n_workers; w++) {
		struct post_events *p = xcalloc(1, sizeof(*p) + n * sizeof(struct event *));

		p->letter.kind = POST_EVENTS;
		p->restart = restart;
		p->floor = floor;
		p->position = *position;
		p->position_xmin = position_xmin;
		p->in_flight = &db->in_flight;
		p->bytes = bytes;
		p->n = n;
		for (size_t i = 0; i < n; i++)
			p->events[i] = event_ref(events[i]);
		inbox_post(db->workers[w], &p->letter);
	}
	for (size_t i = 0; i < n; i++) {
		note_shape(db, events[i]);
		event_unref(events[i]);
	}
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

/* Before the first token is looked up: whoever listens hears of every change that comes after. */
static void on_connected(void *arg)
{
	struct db *db = arg;

	shape_up(&db->shape);
}

static void on_keys_gone(void *arg, const char *section)
{
	struct db *db = arg;
	size_t size = strlen(section) + 1;

	for (size_t w = 0; w < db->n_workers; w++) {
		struct post_keys *p = xcalloc(1, sizeof(*p) + size);

		p->letter.kind = POST_KEYS;
		memcpy(p->auth, section, size);
		inbox_post(db->workers[w], &p->letter);
	}
}

static void on_problems(void *arg, const char *lines)
{
	struct db *db = arg;
	size_t size = strlen(lines) + 1;

	for (size_t w = 0; w < db->n_workers; w++) {
		struct post_problems *p = xcalloc(1, sizeof(*p) + size);

		p->letter.kind = POST_PROBLEMS;
		memcpy(p->lines, lines, size);
		inbox_post(db->workers[w], &p->letter);
	}
}

/* What a source has sent is told as it comes; it stands in no journal. */
static void take_told(struct db *db, struct post_events *p)
{
	for (size_t i = 0; i < p->n; i++)
		journal_tell(&db->journal, event_ref(p->events[i]));
	post_events_free(p);
}

static void open_post(void *arg, struct list *letters)
{
	struct db *db = arg;

	LIST_EACH (letters, node, tmp) {
		struct letter *l = LIST_ENTRY(node, struct letter, node);

		list_remove(node);
		if (l->kind == POST_LOOKUP)
			auth_ask(&db->auth, (struct post_lookup *)l);
		else if (l->kind == POST_AUTHORIZE)
			authorizer_ask(&db->authorizer, (struct post_lookup *)l);
		else if (l->kind == POST_REPLAY)
			replay_ask(&db->replay, (struct post_replay *)l);
		else if (l->kind == POST_PUBLISH)
			publisher_ask(&db->publisher, (struct post_publish *)l);
		else if (l->kind == POST_EXPLAIN)
			explainer_ask(&db->explainer, (struct post_explain *)l);
		else if (l->kind == POST_EVENTS)
			take_told(db, (struct post_events *)l);
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
	if (strcmp(n, "0") != 0 && strcmp(n, "-1") != 0) { /* -1: another daemon is at it */
		log_debug("journal: %s old rows deleted", n);
		loop_timer_set(db->loop, &db->prune_timer, PRUNE_AGAIN_MS);
	}
}

/* One daemon of several prunes at a time: the function takes a lock and deletes nothing without
 * it. */
static void on_prune_timer(void *arg)
{
	struct db *db = arg;
	char age[40], rows[16], bytes[24];
	const char *params[] = {age, rows, bytes};

	loop_timer_set(db->loop, &db->prune_timer, PRUNE_EVERY_MS);
	if (!conn_up(&db->auth.conn))
		return;
	if (db->retention_ms)
		snprintf(age, sizeof(age), "%" PRIu64 " milliseconds", db->retention_ms);
	else /* no limit of age */
		snprintf(age, sizeof(age), "100 years");
	snprintf(rows, sizeof(rows), "%d", PRUNE_ROWS);
	snprintf(bytes, sizeof(bytes), "%" PRIu64, db->conf->journal_size);
	conn_query(&db->auth.conn, "SELECT pgherald.prune($1::interval, $2::integer, $3::bigint)",
		   3, params, on_pruned, db);
}

/* Of which topics triggers send events themselves, and "fetch again" besides. */
static void inline_topics(struct inline_topics *t, const struct conf *conf)
{
	size_t max = 0;

	for (size_t i = 0; i < conf->n_watches; i++)
		max += 1 + conf->watches[i].rescope.n;
	free(t->names);
	*t = (struct inline_topics){.names = xcalloc(max, sizeof(*t->names))};
	for (size_t i = 0; i < conf->n_watches; i++)
		if (conf->watches[i].capture == CAPTURE_NOTIFY)
			t->names[t->n++] = conf->watches[i].name;
	for (size_t i = 0; i < conf->n_watches; i++)
		if (conf->watches[i].capture == CAPTURE_NOTIFY)
			for (size_t k = 0; k < conf->watches[i].rescope.n; k++)
				t->names[t->n + t->n_refetch++] = conf->watches[i].rescope.items[k];
}

static void watched(struct db *db)
{
	const struct conf *conf = db->conf;

	free(db->watched);
	db->watched = xcalloc(conf->n_watches, sizeof(*db->watched));
	for (size_t i = 0; i < conf->n_watches; i++)
		db->watched[i] = conf->watches[i].name;
}

/* The channels to listen on besides the doorbell, and what they are called towards clients. */
static void channels(struct db *db)
{
	const struct conf *conf = db->conf;
	struct channels *cs = &db->journal.channels;
	struct buf topics;

	buf_init(&topics, SIZE_MAX / 2);
	inline_topics(&db->inline_topics, conf);
	watched(db);
	free(db->channels);
	db->channels = xcalloc(conf->n_listens + 1, sizeof(*db->channels));
	cs->list = db->channels;
	for (size_t i = 0; i < db->inline_topics.n; i++)
		buf_printf(&topics, "%s\"%s\"", i ? ", " : "", db->inline_topics.names[i]);
	if (db->inline_topics.n)
		db->channels[0] =
			(struct channel){.name = INLINE_CHANNEL, .topics = &db->inline_topics};
	cs->n = db->inline_topics.n != 0;
	for (size_t i = 0; i < conf->n_listens; i++) {
		const struct conf_listen *l = &conf->listens[i];

		if (l->kind != LISTEN_NOTIFY)
			continue;
		db->channels[cs->n++] = (struct channel){
			.name = l->channel,
			.rule = {.topic = l->name,
				 .event_key = l->event_key,
				 .data_key = l->data_key,
				 .owner_keys = l->owner_keys.items,
				 .n_owner_keys = l->owner_keys.n,
				 .watched = db->watched,
				 .n_watched = conf->n_watches},
		};
		buf_printf(&topics, "%s\"%s\"", topics.len ? ", " : "", l->name);
	}
	free(cs->topics);
	cs->topics = xasprintf("[%s]", buf_cstr(&topics));
	buf_free(&topics);
}

static void settings(struct db *db, struct conf *conf)
{
	conf_unref(db->conf);
	db->conf = conf_ref(conf);
	free(db->journal.topics);
	db->journal.topics = conf_topics(conf);
	db->journal.poll_ms = conf->poll_ms;
	db->journal.ring_events = conf->ring_events;
	db->journal.ring_bytes = conf->ring_bytes;
	db->journal.keeper.never_rung = conf->doorbell == DOORBELL_POLL;
	db->journal.keeper.always_rung = conf->doorbell == DOORBELL_NOTIFY;
	db->retention_ms = conf->retention_ms;
	channels(db);
}

bool db_start(struct db *db, struct loop *loop, struct conf *conf, struct inbox **workers,
	      size_t n_workers)
{
	db->loop = loop;
	db->workers = workers;
	db->n_workers = n_workers;
	if (!inbox_init(&db->inbox, loop, open_post, db) ||
	    !auth_keys_start(&db->auth.keys, loop) ||
	    !explainer_init(&db->explainer, loop, conf, &db->authorizer))
		return false;
	settings(db, conf);
	db->journal.on_events = on_events;
	db->journal.in_flight = &db->in_flight;
	db->journal.max_in_flight =
		conf->ring_bytes < SIZE_MAX ? (size_t)conf->ring_bytes : SIZE_MAX;
	db->journal.on_state = on_state;
	db->journal.arg = db;
	db->prune_timer = (struct loop_timer){.fire = on_prune_timer, .arg = db};
	db->journal.keeper.lock_taken = db->vitals ? &db->vitals->doorbell_taken : NULL;
	journal_start(&db->journal, loop, conf->conninfo);
	auth_start(&db->auth, loop, conf, on_connected, db);
	db->auth.keys.gone = on_keys_gone;
	db->auth.keys.gone_arg = db;
	auth_keys_reload(&db->auth.keys, conf);
	replay_start(&db->replay, loop, conf);
	authorizer_init(&db->authorizer, loop, conf, db->vitals);
	publisher_init(&db->publisher, loop, conf->conninfo);
	shape_start(&db->shape, loop, &db->auth.conn, conf, on_problems, db);
	loop_timer_set(loop, &db->prune_timer, PRUNE_EVERY_MS);
	return true;
}

/* Whether `a` listens to all that `b` does. A section that listens elsewhere has none. */
static bool has_channels(const struct conf *a, const struct conf *b)
{
	for (size_t i = 0, k; i < b->n_listens; i++) {
		for (k = 0; k < a->n_listens; k++)
			if (!strcmp(a->listens[k].channel, b->listens[i].channel))
				break;
		if (k == a->n_listens && *b->listens[i].channel)
			return false;
	}
	return true;
}

static bool same_channels(const struct conf *a, const struct conf *b)
{
	size_t n_a = 0, n_b = 0;

	for (size_t i = 0; i < a->n_watches; i++)
		n_a += a->watches[i].capture == CAPTURE_NOTIFY;
	for (size_t i = 0; i < b->n_watches; i++)
		n_b += b->watches[i].capture == CAPTURE_NOTIFY;
	return !n_a == !n_b && has_channels(a, b) && has_channels(b, a);
}

void db_reload(struct db *db, struct conf *conf)
{
	struct conf *old = conf_ref(db->conf);
	const char *why = NULL;

	if (strcmp(conf->conninfo, old->conninfo) != 0)
		why = "conninfo changed";
	else if (!same_channels(conf, old))
		why = "channels changed";
	settings(db, conf);
	auth_reload(&db->auth, conf);
	auth_keys_reload(&db->auth.keys, conf);
	replay_reload(&db->replay, conf);
	authorizer_reload(&db->authorizer, conf, strcmp(conf->conninfo, old->conninfo) != 0);
	publisher_reload(&db->publisher, conf->conninfo,
			 strcmp(conf->conninfo, old->conninfo) != 0);
	explainer_reload(&db->explainer, conf, strcmp(conf->conninfo, old->conninfo) != 0);
	shape_reload(&db->shape, conf);
	if (why) {
		journal_restart(&db->journal, conf->conninfo, why);
		conn_restart(&db->auth.conn, conf->conninfo, why);
		conn_restart(&db->replay.conn, conf->conninfo, why);
	}
	conf_unref(old);
}

void db_stop(struct db *db)
{
	loop_timer_clear(db->loop, &db->prune_timer);
	journal_stop(&db->journal);
	auth_keys_stop(&db->auth.keys);
	auth_stop(&db->auth);
	replay_stop(&db->replay);
	authorizer_stop(&db->authorizer);
	publisher_stop(&db->publisher);
	explainer_stop(&db->explainer);
	shape_stop(&db->shape);
}

static void drop(struct letter *l)
{
	if (l->kind == POST_LOOKUP || l->kind == POST_AUTHORIZE)
		post_lookup_free((struct post_lookup *)l);
	else if (l->kind == POST_REPLAY)
		post_replay_free((struct post_replay *)l);
	else if (l->kind == POST_PUBLISH)
		post_publish_free((struct post_publish *)l);
	else if (l->kind == POST_EXPLAIN)
		post_explain_free((struct post_explain *)l);
	else if (l->kind == POST_EVENTS)
		post_events_free((struct post_events *)l);
	else
		free(l);
}

void db_free(struct db *db)
{
	inbox_close(&db->inbox, drop);
	free(db->channels);
	free(db->inline_topics.names);
	free(db->watched);
	conf_unref(db->conf);
}
