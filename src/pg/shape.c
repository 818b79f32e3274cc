/* SPDX-License-Identifier: PostgreSQL
 * See shape.h. A migration that renames a column, or drops a table and makes it again, says nothing
 * to us: nobody would notice that events have become empty, or have ended. */
#include "config.h"
#include "pg/shape.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "pg/shape_ask.h"

enum {
	AGAIN_MS = 1000, /* while the connection is away */
	HINT_MS = 2000,	 /* no look sooner than this after the last one, whatever hints at it */
	MAX_LINE = 400,
};

enum { N_COLUMNS = 3 };

static void look(struct shape *s);

static void on_told(void *arg, const PGresult *r)
{
	(void)arg;
	if (r && PQresultStatus(r) != PGRES_TUPLES_OK)
		log_warn("clients are not told to fetch again: %s: is pgherald sql install up to "
			 "date?",
			 conn_error(r));
}

/* Through the journal, so that clients that are away now, and those of other daemons, hear it, too.
 */
static void tell_clients(struct shape *s, struct buf *topics, struct buf *found)
{
	const char *params[] = {buf_cstr(topics), buf_cstr(found)};

	if (topics->len > 2 && conn_up(s->conn))
		conn_query(s->conn, "SELECT pgherald.fetch_again($1::text[], $2::text[])", 2,
			   params, on_told, s);
}

static void tell_problems(struct shape *s)
{
	autobuf lines = {0};

	buf_init(&lines, SHAPE_TEXT_MAX);
	for (size_t i = 0; i < s->conf->n_watches; i++)
		if (s->watches[i].problem)
			buf_printf(&lines, "watch %s: %s\n", s->conf->watches[i].name,
				   s->watches[i].problem);
	for (size_t i = 0; i < s->conf->n_auths; i++)
		if (s->doors[i])
			buf_printf(&lines, "auth %s: %s\n", s->conf->auths[i].name, s->doors[i]);
	if (s->told && !strcmp(s->told, buf_cstr(&lines)))
		return;
	free(s->told);
	s->told = xstrdup(buf_cstr(&lines));
	s->changed(s->arg, s->told);
}

/* The first problem of a topic, with its remedy, or NULL. */
static char *problem_of(const PGresult *r, const char *topic)
{
	for (int i = 0; i < PQntuples(r); i++)
		if (!PQgetisnull(r, i, 2) && !strcmp(PQgetvalue(r, i, 0), topic))
			return xasprintf("%.*s (%s)", MAX_LINE, PQgetvalue(r, i, 1),
					 PQgetvalue(r, i, 2));
	return NULL;
}

/* What a topic's table is made of, or NULL while it is not there. */
static char *print_of(const PGresult *r, const char *topic)
{
	for (int i = 0; i < PQntuples(r); i++)
		if (PQgetisnull(r, i, 2) && !strcmp(PQgetvalue(r, i, 0), topic))
			return xstrdup(PQgetvalue(r, i, 1));
	return NULL;
}

static bool same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void watch_clear(struct shape_watch *w)
{
	free(w->problem);
	free(w->print);
	*w = (struct shape_watch){0};
}

/* Whether the table is another one than before, and not because of a TRUNCATE, which clients have
 * been told of. That may not have been read from the journal yet: so it must be seen twice. */
static bool is_rewritten(struct shape_watch *was, struct shape_watch *now)
{
	bool differs = was->known && !now->problem && was->print && !same(now->print, was->print);

	if (!differs || was->emptied || was->suspect) {
		now->emptied = was->emptied && !differs;
		return differs && !was->emptied;
	}
	free(now->print);
	now->print = was->print;
	was->print = NULL;
	now->suspect = true;
	return false;
}

/* What was found of one watch, for the log and for the clients. True when these are to fetch again,
 * because of *ret_why. */
static bool take_watch(struct shape_watch *w, const PGresult *r, const char *topic, char **ret_why)
{
	struct shape_watch now = {
		.problem = problem_of(r, topic), .print = print_of(r, topic), .known = true};
	bool other = !same(now.problem, w->problem), known = w->known;
	bool rewritten = is_rewritten(w, &now);

	if (other && now.problem)
		log_warn("watch %s: %s", topic, now.problem);
	else if (other)
		log_info("watch %s: whole again", topic);
	else if (rewritten)
		log_info("watch %s: its table was rewritten, or has other partitions", topic);
	*ret_why = now.problem ? xstrdup(now.problem)
			       : xasprintf("whole %s", now.print ? now.print : "");
	watch_clear(w);
	*w = now;
	/* A problem at the first look may have come a moment ago, too. */
	return known ? other || rewritten : w->problem != NULL;
}

/* What was found of a door. No client has to fetch anything because of it: it is the operator's. */
static void take_door(char **was, const PGresult *r, const char *name)
{
	autofree char *key = xasprintf("#%s", name);
	char *now = problem_of(r, key);

	if (now && !same(now, *was))
		log_warn("auth %s: %s", name, now);
	else if (!now && *was)
		log_info("auth %s: whole again", name);
	free(*was);
	*was = now;
}

static void take(struct shape *s, const PGresult *r)
{
	autobuf topics = {0}, found = {0};

	buf_init(&topics, SHAPE_TEXT_MAX);
	buf_init(&found, SHAPE_TEXT_MAX);
	buf_char(&topics, '{');
	buf_char(&found, '{');
	for (size_t i = 0; i < s->conf->n_watches; i++) {
		const char *topic = s->conf->watches[i].name;
		autofree char *why = NULL;

		if (!take_watch(&s->watches[i], r, topic, &why))
			continue;
		shape_add(&topics, topic);
		shape_add(&found, why);
	}
	buf_char(&topics, '}');
	buf_char(&found, '}');
	for (size_t i = 0; i < s->conf->n_auths; i++)
		take_door(&s->doors[i], r, s->conf->auths[i].name);
	tell_clients(s, &topics, &found);
	tell_problems(s);
}

static void on_looked(void *arg, const PGresult *r)
{
	struct shape *s = arg;

	s->away = false;
	s->looked_ms = loop_now_ms(s->loop);
	if (r && PQresultStatus(r) == PGRES_TUPLES_OK && PQnfields(r) == N_COLUMNS && !s->again)
		take(s, r);
	else if (r && PQresultStatus(r) != PGRES_TUPLES_OK && !s->complained)
		log_warn("the watched tables cannot be looked at: %s", conn_error(r));
	s->complained = r && PQresultStatus(r) != PGRES_TUPLES_OK;
	loop_timer_set(s->loop, &s->timer, s->again ? 0 : s->conf->verify_ms);
	s->again = false;
}

static void look(struct shape *s)
{
	struct buf params[SHAPE_PARAMS];
	const char *texts[SHAPE_PARAMS];

	if (s->away) {
		s->again = true;
		return;
	}
	if (!conn_up(s->conn)) {
		loop_timer_set(s->loop, &s->timer, AGAIN_MS);
		return;
	}
	shape_params(params, s->conf);
	for (size_t i = 0; i < SHAPE_PARAMS; i++)
		texts[i] = buf_cstr(&params[i]);
	s->away = true;
	conn_query(s->conn, shape_sql, SHAPE_PARAMS, texts, on_looked, s);
	for (size_t i = 0; i < SHAPE_PARAMS; i++)
		buf_free(&params[i]);
}

static void on_timer(void *arg)
{
	struct shape *s = arg;

	loop_timer_set(s->loop, &s->timer, s->conf->verify_ms);
	look(s);
}

static void forget(struct shape *s)
{
	for (size_t i = 0; s->conf && i < s->conf->n_watches; i++)
		watch_clear(&s->watches[i]);
	for (size_t i = 0; s->conf && i < s->conf->n_auths; i++)
		free(s->doors[i]);
	free(s->doors);
	free(s->watches);
	s->doors = NULL;
	s->watches = NULL;
	conf_unref(s->conf);
	s->conf = NULL;
}

/* What is known of a watch of the same name and table outlives a reload: a change may just have
 * been made that nobody has seen yet. */
static void use(struct shape *s, struct conf *conf)
{
	struct shape_watch *watches = xcalloc(conf->n_watches + 1, sizeof(*watches));
	char **doors = xcalloc(conf->n_auths + 1, sizeof(*doors));

	for (size_t i = 0; i < conf->n_watches; i++)
		for (size_t k = 0; s->conf && k < s->conf->n_watches; k++)
			if (!strcmp(conf->watches[i].name, s->conf->watches[k].name) &&
			    !strcmp(conf->watches[i].table, s->conf->watches[k].table)) {
				watches[i] = s->watches[k];
				s->watches[k] = (struct shape_watch){0};
			}
	for (size_t i = 0; i < conf->n_auths; i++)
		for (size_t k = 0; s->conf && k < s->conf->n_auths; k++)
			if (!strcmp(conf->auths[i].name, s->conf->auths[k].name)) {
				doors[i] = s->doors[k];
				s->doors[k] = NULL;
			}
	conf = conf_ref(conf);
	forget(s);
	s->conf = conf;
	s->watches = watches;
	s->doors = doors;
}

void shape_start(struct shape *s, struct loop *loop, struct conn *conn, struct conf *conf,
		 void (*changed)(void *arg, const char *lines), void *arg)
{
	*s = (struct shape){.loop = loop, .conn = conn, .changed = changed, .arg = arg};
	s->timer = (struct loop_timer){.fire = on_timer, .arg = s};
	use(s, conf);
}

void shape_stop(struct shape *s)
{
	loop_timer_clear(s->loop, &s->timer);
	forget(s);
	free(s->told);
	s->told = NULL;
}

void shape_reload(struct shape *s, struct conf *conf)
{
	use(s, conf);
	look(s);
}

void shape_hint(struct shape *s)
{
	uint64_t now = loop_now_ms(s->loop), next = s->looked_ms + HINT_MS;

	if (now >= next)
		look(s);
	else if (!s->timer.place || s->timer.at_ms > next)
		loop_timer_set(s->loop, &s->timer, next - now);
}

void shape_emptied(struct shape *s, const char *topic)
{
	for (size_t i = 0; i < s->conf->n_watches; i++)
		if (!strcmp(s->conf->watches[i].name, topic))
			s->watches[i].emptied = true;
}

void shape_up(struct shape *s)
{
	look(s);
}
