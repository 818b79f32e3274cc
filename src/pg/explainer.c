/* SPDX-License-Identifier: PostgreSQL
 * See explainer.h. */
#include "config.h"
#include "pg/explainer.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/api_key.h"
#include "base/num.h"
#include "pg/auth.h"
#include "pg/fetch.h"
#include "sql/ident.h"
#include "wire/array.h"

#define MAX_WAITING 8
#define MAX_MS	    30000 /* of one statement */
#define ROWS	    20	  /* of a watched row, the latest */

/* What is told of a row, without its document. */
static const char tell_sql[] =
	"SELECT t.place, t.txid, t.id, pg_catalog.floor(extract(epoch FROM t.at))::bigint,"
	" t.topic, t.op::text,"
	" CASE WHEN t.op NOT IN ('i', 'u', 'd', 'I', 'U', 'D', 'o', 'm') THEN t.doc::text END,"
	" CASE WHEN t.op = 'm' THEN t.leave::text END, t.own_old::text, t.own_new::text"
	" FROM pgherald.tell($1::bigint[]) AS t WHERE t.id = ANY ($2::bigint[]) ORDER BY t.id";

/* The journal has no index but that of transactions: each of these reads all of it. */
#define FOUND                                                                                      \
	"SELECT j.id, j.txid, pg_catalog.floor(extract(epoch FROM j.at))::bigint, j.topic,"        \
	" j.op::text, j.pk FROM pgherald.journal AS j "

static const char *const find_sql[] = {
	[QUESTION_NUMBER] = FOUND "WHERE j.id = $1::bigint LIMIT " NUM_TEXT(ROWS),
	/* $1 xmax, $2 out, $3 in, $4 and $5 the half one and its row, 0 without, $6 epoch */
	[QUESTION_POSITION] = FOUND "WHERE pgherald.epoch() = $6::text AND CASE WHEN $4::bigint > 0"
				    " THEN j.txid = $4::bigint AND j.id = $5::bigint"
				    " ELSE j.txid < $1::bigint AND j.txid <> ALL ($2::bigint[])"
				    " OR j.txid = ANY ($3::bigint[]) END"
				    " ORDER BY j.id DESC LIMIT 1",
	[QUESTION_ROW] = FOUND "WHERE j.topic = $1::text"
			       " AND (j.pk = $2::text OR j.op IN ('r', 't'))"
			       " ORDER BY j.id DESC LIMIT " NUM_TEXT(ROWS),
};

static const char bounds_sql[] = "SELECT pg_catalog.min(j.id), pg_catalog.max(j.id),"
				 " pg_catalog.to_char(pg_catalog.min(j.at) AT TIME ZONE 'UTC', "
				 "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
				 " pgherald.epoch() FROM pgherald.journal AS j";

static void ask_next(struct explainer *e);

static void reply(struct post_explain *l, enum explain_verdict verdict, const char *why)
{
	l->verdict = verdict;
	l->why = why ? xstrdup(why) : NULL;
	inbox_post(l->reply_to, &l->letter);
}

static void finish(struct explainer *e, enum explain_verdict verdict, const char *why)
{
	struct post_explain *l = e->asked;

	if (verdict == EXPLAINED) {
		l->events = xcalloc(e->x.n_rows, sizeof(struct event *));
		l->n = e->x.n_rows;
		for (size_t i = 0; i < l->n; i++)
			l->events[i] = event_ref(e->x.rows[i].event);
		l->answer = explanation_document(&e->x);
	}
	explanation_end(&e->x);
	conf_unref(e->asked_conf);
	e->asked_conf = NULL;
	e->asked = NULL;
	reply(l, verdict, why);
	ask_next(e);
}

/* Whether this is an answer; otherwise the question has had its own. */
static bool answered(struct explainer *e, const PGresult *r, const char *what)
{
	autofree char *why = NULL;

	if (r && PQresultStatus(r) == PGRES_TUPLES_OK)
		return true;
	if (!r)
		why = xstrdup("The connection to the database was lost.");
	else if (conn_error_is(r, "57014"))
		why = xasprintf("%s takes too long: the journal has no index for this.", what);
	else if (conn_error_is(r, "42501 42883 42P01 3F000"))
		why = xasprintf("%s is not possible: is pgherald installed in this database, and "
				"up to date (pgherald sql check)?",
				what);
	else
		why = xasprintf("%s failed (SQLSTATE %.5s).", what,
				PQresultErrorField(r, PG_DIAG_SQLSTATE)
					? PQresultErrorField(r, PG_DIAG_SQLSTATE)
					: "unknown");
	finish(e, EXPLAIN_UNAVAILABLE, why);
	return false;
}

static uint64_t number(const PGresult *r, int row, int column)
{
	const char *text = PQgetvalue(r, row, column);
	uint64_t n;

	return num_u64(text, strlen(text), &n) ? n : 0;
}

static char *text_of(const PGresult *r, int row, int column)
{
	return PQgetisnull(r, row, column) ? NULL : xstrdup(PQgetvalue(r, row, column));
}

/* As the daemon asks about who comes. All at once: each route has a connection of its own. */
static void ask_permissions(struct explainer *e)
{
	const struct explanation *x = &e->x;

	explanation_plan(&e->x);
	for (size_t i = 0; i < x->n_permissions; i++) {
		const struct explained_permission *p = &x->permissions[i];
		struct post_lookup *l = xcalloc(1, sizeof(*l));

		l->reply_to = &e->inbox;
		l->until_ms = e->asked->until_ms;
		l->route = xstrdup(p->route->name);
		l->stream = i;
		l->authorizing = true;
		l->who = xcalloc(1, sizeof(*l->who));
		l->who->user_id = xstrdup(p->user);
		l->who->role = xstrdup(p->role);
		l->who->channels = keys_copy(p->channels);
		e->n_away++;
		authorizer_ask(e->authorizer, l);
	}
	if (!e->n_away)
		finish(e, EXPLAINED, NULL);
}

static void on_permissions(void *arg, struct list *letters)
{
	struct explainer *e = arg;

	LIST_EACH (letters, node, tmp) {
		struct post_lookup *l = LIST_ENTRY(node, struct post_lookup, letter.node);
		struct explained_permission *p = &e->x.permissions[l->stream];

		list_remove(node);
		p->verdict = l->verdict;
		p->asked = true;
		post_lookup_free(l);
		e->n_away--;
	}
	if (!e->n_away)
		finish(e, EXPLAINED, NULL);
}

/* A row that cannot be told is told as "fetch again", by the daemon too. */
static struct event *stand_in(const struct explained_row *row)
{
	const struct event_row it = {
		.op = 'r',
		.txid = row->txid,
		.id = row->id,
		.at = row->at,
		.topic = row->topic,
		.doc = "{\"reason\":\"loss\"}",
	};

	return event_new(&it);
}

static void on_told(void *arg, const PGresult *r)
{
	struct explainer *e = arg;
	struct explanation *x = &e->x;
	int n = r && PQresultStatus(r) == PGRES_TUPLES_OK && PQnfields(r) == FETCH_N_COLUMNS
			? PQntuples(r)
			: 0;

	if (!r) {
		(void)!answered(e, r, "");
		return;
	}
	for (size_t i = 0; i < x->n_rows; i++) {
		struct explained_row *row = &x->rows[i];

		for (int k = 0; k < n && !row->event; k++)
			if (number(r, k, FETCH_ID) == row->id && !PQgetisnull(r, k, FETCH_OP))
				row->event = fetch_event(r, k);
		row->told = row->event != NULL;
		if (!row->event)
			row->event = stand_in(row);
	}
	ask_permissions(e);
}

/* Whether an earlier row is of the same transaction. */
static bool is_named(const struct explanation *x, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (x->rows[k].txid == x->rows[i].txid)
			return true;
	return false;
}

static void ask_tell(struct explainer *e)
{
	autobuf txids = {.max = 4096}, ids = {.max = 4096};

	for (size_t i = 0; i < e->x.n_rows; i++) {
		buf_char(&ids, i ? ',' : '{');
		buf_u64(&ids, e->x.rows[i].id);
		if (is_named(&e->x, i))
			continue;
		buf_char(&txids, i ? ',' : '{');
		buf_u64(&txids, e->x.rows[i].txid);
	}
	buf_char(&txids, '}');
	buf_char(&ids, '}');
	const char *params[] = {buf_cstr(&txids), buf_cstr(&ids)};
	conn_query(&e->conn, tell_sql, 2, params, on_told, e);
}

static void ask_doors(struct explainer *e);

static void read_door(struct explained_door *d, const PGresult *r)
{
	if (PQresultStatus(r) != PGRES_TUPLES_OK) {
		const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);

		d->state = conn_error_is(r, "42883 42501") ? DOOR_OUTDATED : DOOR_FAILED;
		snprintf(d->error, sizeof(d->error), "%.5s", state ? state : "");
		return;
	}
	if (!PQntuples(r)) {
		d->state = DOOR_NO_USER;
		return;
	}
	for (int i = 1; i < PQntuples(r); i++)
		if (!auth_rows_agree(r, 0, i, -1)) { /* as the daemon does who asks for a login */
			d->state = DOOR_TWICE;
			return;
		}
	d->user = text_of(r, 0, 0);
	d->role = text_of(r, 0, 1);
	if (PQgetisnull(r, 0, 2) || *PQgetvalue(r, 0, 2) != 't')
		d->state = DOOR_INACTIVE;
	else
		d->state = d->role && *d->role ? DOOR_ROLE : DOOR_NO_ROLE;
	if (d->state == DOOR_ROLE)
		return;
	free(d->role);
	d->role = NULL;
}

static void on_door(void *arg, const PGresult *r)
{
	struct explainer *e = arg;

	if (!r) {
		(void)!answered(e, r, "");
		return;
	}
	read_door(&e->x.doors[e->next_door++], r);
	ask_doors(e);
}

/* The role of his keys in the file that have not ended; none, when they have several. */
static void read_file(struct explained_door *d, const char *user)
{
	const struct api_keys *keys = d->auth->api_keys;
	int64_t now = (int64_t)time(NULL);

	d->state = keys ? DOOR_NO_USER : DOOR_SAYS_ITSELF;
	for (size_t i = 0; keys && i < keys->n; i++) {
		const struct api_key *k = &keys->items[i];

		if (strcmp(k->user, user) != 0 || !k->role ||
		    (k->expires_s && k->expires_s <= now) || d->state == DOOR_SAYS_ITSELF)
			continue;
		if (!d->role) {
			d->state = DOOR_ROLE;
			d->role = xstrdup(k->role);
		} else if (strcmp(d->role, k->role) != 0) {
			d->state = DOOR_SAYS_ITSELF;
			free(d->role);
			d->role = NULL;
		}
	}
}

/* What a door says without the database. False when that has to be asked. */
static bool says_itself(struct explainer *e, struct explained_door *d)
{
	const struct conf_auth *a = d->auth;
	static const char anonymous[] = "anonymous@";

	if (a->preset == PRESET_TICKET)
		return true;
	if (a->preset == PRESET_NONE) {
		bool is = !strncmp(e->x.question->user, anonymous, sizeof(anonymous) - 1);

		d->state = is ? DOOR_ROLE : DOOR_KNOWS_NOBODY;
		d->role = is ? xstrdup(a->role) : NULL;
		return true;
	}
	if (conf_auth_asks(a))
		return false;
	if (a->preset == PRESET_APIKEY)
		read_file(d, e->x.question->user);
	else
		d->state = DOOR_SAYS_ITSELF;
	return true;
}

/* One after the other, and then the rows. */
static void ask_doors(struct explainer *e)
{
	autobuf sql = {0}, user = {0}, name = {0};
	const struct conf_auth *a;

	while (e->next_door < e->x.conf->n_auths && says_itself(e, &e->x.doors[e->next_door]))
		e->next_door++;
	if (e->next_door == e->x.conf->n_auths) {
		if (e->x.n_rows)
			ask_tell(e);
		else
			finish(e, EXPLAINED, NULL);
		return;
	}
	a = e->x.doors[e->next_door].auth;
	buf_init(&sql, 4096);
	buf_init(&user, 4096);
	buf_init(&name, 1024);
	buf_printf(&name, "%s_%s",
		   a->preset == PRESET_SESSION ? "session"
		   : conf_auth_verifies(a)     ? "auth"
					       : "who",
		   a->name);
	/* Of passwords only whether they are the same: with these pads a proof opens nothing. */
	buf_printf(&sql, "SELECT user_id, role, active%s FROM pgherald.",
		   a->preset == PRESET_SESSION ? ", proofs" : "");
	ident_add(&sql, buf_cstr(&name));
	buf_str(&sql, a->preset == PRESET_SESSION
			      ? "($1::text[], ARRAY[''::bytea], ARRAY[''::bytea])"
			      : "($1::text[])");
	array_add(&user, e->x.question->user);
	array_end(&user);
	const char *params[] = {buf_cstr(&user)};
	conn_query(&e->conn, buf_cstr(&sql), 1, params, on_door, e);
}

static bool is_watched(const struct conf *c, const char *topic, bool *ret_live)
{
	for (size_t i = 0; i < c->n_watches; i++)
		if (!strcmp(c->watches[i].name, topic)) {
			*ret_live = c->watches[i].capture == CAPTURE_NOTIFY;
			return true;
		}
	return false;
}

/* The journal has nothing of it: what it does have. */
static void on_bounds(void *arg, const PGresult *r)
{
	struct explainer *e = arg;
	const struct question *q = e->x.question;
	bool live = false;

	if (!answered(e, r, "Looking at the journal"))
		return;
	if (q->kind == QUESTION_ROW && !is_watched(e->x.conf, q->topic, &live))
		explanation_note(&e->x, "The configuration has no [watch %s].", q->topic);
	if (live)
		explanation_note(&e->x,
				 "[watch %s] has capture = notify: its events are told to "
				 "who is connected, and stand in no journal.",
				 q->topic);
	if (q->kind == QUESTION_POSITION && strcmp(PQgetvalue(r, 0, 3), q->position.epoch) != 0)
		explanation_note(&e->x, "The id is of another database, of another timeline, or of "
					"an installation that is gone.");
	else if (PQgetisnull(r, 0, 0))
		explanation_note(&e->x, "The journal is empty.");
	else
		explanation_note(
			&e->x,
			"The journal has nothing of it: it has rows %s to %s, the oldest written "
			"at %s; older ones have been pruned (retention, journal_size), and not "
			"every number was given to a row.",
			PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 1), PQgetvalue(r, 0, 2));
	ask_doors(e);
}

static void on_found(void *arg, const PGresult *r)
{
	struct explainer *e = arg;
	struct explanation *x = &e->x;
	int n;

	if (!answered(e, r, "The search for the row"))
		return;
	n = PQntuples(r);
	x->rows = xcalloc((size_t)n, sizeof(*x->rows));
	for (int i = 0; i < n; i++) {
		int from = n - 1 - i; /* they come from the latest on */

		x->rows[x->n_rows++] = (struct explained_row){
			.id = number(r, from, 0),
			.txid = number(r, from, 1),
			.at = (int64_t)number(r, from, 2),
			.topic = xstrdup(PQgetvalue(r, from, 3)),
			.op = *PQgetvalue(r, from, 4),
			.key = text_of(r, from, 5),
		};
	}
	if (n && x->question->kind == QUESTION_POSITION && !x->question->position.txid)
		explanation_note(x,
				 "An id says how far its client was told: this is the last row "
				 "by number that it covers, and on a busy journal another one may "
				 "have come with the id.");
	if (n)
		ask_doors(e);
	else
		conn_query(&e->conn, bounds_sql, 0, NULL, on_bounds, e);
}

static void put_list(struct buf *b, const uint64_t *list, size_t n)
{
	buf_char(b, '{');
	for (size_t i = 0; i < n; i++) {
		buf_str(b, i ? "," : "");
		buf_u64(b, list[i]);
	}
	buf_char(b, '}');
}

static void find(struct explainer *e)
{
	const struct question *q = e->x.question;
	const struct cursor *c = &q->position;
	autobuf out = {0}, in = {0};
	char numbers[4][24];
	const char *by_number[] = {numbers[0]}, *by_row[] = {q->topic, q->key};

	buf_init(&out, 4096);
	buf_init(&in, 4096);
	put_list(&out, c->out, c->n_out);
	put_list(&in, c->in, c->n_in);
	snprintf(numbers[0], sizeof(numbers[0]), "%" PRIu64, q->number);
	snprintf(numbers[1], sizeof(numbers[1]), "%" PRIu64, c->xmax);
	snprintf(numbers[2], sizeof(numbers[2]), "%" PRIu64, c->txid);
	snprintf(numbers[3], sizeof(numbers[3]), "%" PRIu64, c->id);
	const char *by_position[] = {numbers[1], buf_cstr(&out), buf_cstr(&in),
				     numbers[2], numbers[3],	 c->epoch};
	conn_query(&e->conn, find_sql[q->kind],
		   q->kind == QUESTION_NUMBER ? 1
		   : q->kind == QUESTION_ROW  ? 2
					      : 6,
		   q->kind == QUESTION_NUMBER ? by_number
		   : q->kind == QUESTION_ROW  ? by_row
					      : by_position,
		   on_found, e);
}

static void ask_next(struct explainer *e)
{
	uint64_t now = loop_now_ms(e->loop);

	while (!e->asked && conn_up(&e->conn) && !list_empty(&e->waiting)) {
		struct post_explain *l =
			LIST_ENTRY(e->waiting.next, struct post_explain, letter.node);
		uint64_t left = l->until_ms > now ? l->until_ms - now : 0;

		list_remove(&l->letter.node);
		e->n_waiting--;
		if (!left || !l->reply_to) {
			reply(l, EXPLAIN_UNAVAILABLE, "The database could not be asked in time.");
			continue;
		}
		e->asked = l;
		e->asked_conf = conf_ref(e->conf);
		e->next_door = 0;
		explanation_begin(&e->x, e->asked_conf, &l->question);
		conn_limit(&e->conn, left < MAX_MS ? left : MAX_MS);
		find(e);
	}
}

static void on_state(void *arg, bool up)
{
	struct explainer *e = arg;

	if (!up)
		return;
	conn_worked(&e->conn);
	ask_next(e);
}

bool explainer_init(struct explainer *e, struct loop *loop, struct conf *conf,
		    struct authorizer *authorizer)
{
	*e = (struct explainer){.loop = loop, .conf = conf_ref(conf), .authorizer = authorizer};
	list_init(&e->waiting);
	return inbox_init(&e->inbox, loop, on_permissions, e);
}

void explainer_reload(struct explainer *e, struct conf *conf, bool changed)
{
	struct conf *old = e->conf;

	e->conf = conf_ref(conf);
	conf_unref(old);
	if (e->started && changed)
		conn_restart(&e->conn, conf->conninfo, "conninfo changed");
}

static void drop(struct letter *l)
{
	post_lookup_free((struct post_lookup *)l);
}

void explainer_stop(struct explainer *e)
{
	if (e->started)
		conn_stop(&e->conn); /* what is under way gets its answer */
	if (e->asked)
		finish(e, EXPLAIN_UNAVAILABLE, "Shutting down.");
	inbox_close(&e->inbox, drop);
	LIST_EACH (&e->waiting, node, tmp) {
		struct post_explain *l = LIST_ENTRY(node, struct post_explain, letter.node);

		list_remove(node);
		reply(l, EXPLAIN_UNAVAILABLE, "Shutting down.");
	}
	conf_unref(e->conf);
}

void explainer_ask(struct explainer *e, struct post_explain *l)
{
	if (e->n_waiting == MAX_WAITING) {
		reply(l, EXPLAIN_UNAVAILABLE, "Too many questions wait already.");
		return;
	}
	e->n_waiting++;
	list_push(&e->waiting, &l->letter.node);
	if (!e->started) {
		e->started = true;
		conn_start(&e->conn, e->loop, "explain", e->conf->conninfo, on_state, NULL, e);
	} else {
		ask_next(e);
	}
}
