/* SPDX-License-Identifier: PostgreSQL
 * See auth.h. Must not log a token, nor an error text of the server that could quote one. */
#include "config.h"
#include "pg/auth.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/num.h"
#include "hub/subscription.h"

#define MAX_WAITING 20000 /* while the database is away; more are told so at once */
#define COMPLAIN_MS 10000
#define MAX_BATCH   500 /* tokens per statement: bounds how long the first one waits */

/* Errors that would meet every look-up: see fetch.c. What is left belongs to one token. */
#define NOBODYS_FAULT "08 0A 25 26 28 3D 3F 42 53 55 57 F0"

enum column {
	COL_N,
	COL_USER,
	COL_ROLE,
	COL_ACTIVE,
	COL_EXPIRES,
	N_COLUMNS,
	COL_CHANNELS = N_COLUMNS
};

void auth_reply(struct post_lookup *l, enum lookup_verdict verdict)
{
	list_remove(&l->letter.node);
	l->verdict = verdict;
	inbox_post(l->reply_to, &l->letter);
}

static void reply_all(struct list *letters, enum lookup_verdict verdict)
{
	LIST_EACH (letters, node, tmp) {
		struct post_lookup *l = LIST_ENTRY(node, struct post_lookup, letter.node);

		principal_free(l->who); /* of a session half asked about */
		l->who = NULL;
		auth_reply(l, verdict);
	}
}

void auth_put_element(struct buf *b, const char *s)
{
	buf_str(b, b->len ? ",\"" : "\"");
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			buf_char(b, '\\');
		buf_char(b, *s);
	}
	buf_char(b, '"');
}

void auth_put_function(struct auth *a, struct buf *b, const char *prefix, const char *name)
{
	autofree char *function = xasprintf("%s_%s", prefix, name);
	char *ident = PQescapeIdentifier(a->conn.pg, function, strlen(function));

	buf_printf(b, "pgherald.%s", ident ? ident : "\"\"");
	PQfreemem(ident);
}

uint64_t auth_expires_ms(const PGresult *r, int row, int column)
{
	const char *text = PQgetvalue(r, row, column);
	uint64_t ms;

	if (PQgetisnull(r, row, column))
		return 0;
	return num_u64(text, strlen(text), &ms) ? ms : 1;
}

/* What cannot be read is no right: whose token has it is let in nowhere. */
static void complain_channels(struct auth *a, const char *user_id)
{
	uint64_t now = loop_now_ms(a->conn.loop);

	if (a->n_bad++ && now < a->complain_at_ms)
		return;
	a->complain_at_ms = now + COMPLAIN_MS;
	log_warn("auth %s: the channels of a token of user %s are no list of at most %d names of "
		 "channels: it is refused; %" PRIu64 " so far",
		 a->turn, user_id, SUBSCRIPTION_MAX, a->n_bad);
}

static enum lookup_verdict answer(struct auth *a, struct post_lookup *l, const PGresult *r, int row)
{
	const char *active = PQgetvalue(r, row, COL_ACTIVE);
	bool limited = PQnfields(r) > N_COLUMNS && !PQgetisnull(r, row, COL_CHANNELS);
	struct keys *granted =
		limited ? subscription_grants(PQgetvalue(r, row, COL_CHANNELS)) : NULL;

	if (PQgetisnull(r, row, COL_ACTIVE) || *active != 't' || PQgetisnull(r, row, COL_USER)) {
		free(granted);
		return LOOKUP_INACTIVE;
	}
	if (limited && !granted) {
		complain_channels(a, PQgetvalue(r, row, COL_USER));
		return LOOKUP_UNKNOWN;
	}
	l->who = xcalloc(1, sizeof(*l->who));
	l->who->granted = granted;
	principal_expires(l->who, auth_expires_ms(r, row, COL_EXPIRES));
	l->who->user_id = xstrdup(PQgetvalue(r, row, COL_USER));
	l->who->role = xstrdup(PQgetisnull(r, row, COL_ROLE) ? "" : PQgetvalue(r, row, COL_ROLE));
	return LOOKUP_OK;
}

bool auth_row_is(const PGresult *r, int row, uint64_t place)
{
	const char *at = row < PQntuples(r) ? PQgetvalue(r, row, COL_N) : "";
	uint64_t n;

	return num_u64(at, strlen(at), &n) && n == place;
}

bool auth_rows_agree(const PGresult *r, int x, int y, int ends)
{
	for (int column = 0; column < PQnfields(r); column++)
		if (column != ends && (PQgetisnull(r, x, column) != PQgetisnull(r, y, column) ||
				       strcmp(PQgetvalue(r, x, column), PQgetvalue(r, y, column))))
			return false;
	return true;
}

/* No key of theirs is unique: whose it is, or what he may, nobody can say. */
static void complain_twice(struct auth *a)
{
	uint64_t now = loop_now_ms(a->conn.loop);

	if (a->n_bad++ && now < a->complain_at_ms)
		return;
	a->complain_at_ms = now + COMPLAIN_MS;
	log_warn("auth %s: a credential, or its user, stands in a table more than once, and the "
		 "rows do not say the same: it is refused; %" PRIu64 " so far",
		 a->turn, a->n_bad);
}

bool auth_take_row(struct auth *a, const PGresult *r, int *row, uint64_t place, int ends, int *ret)
{
	int first = *row;
	bool same = true;

	for (; auth_row_is(r, *row, place); ++*row)
		same &= auth_rows_agree(r, first, *row, ends);
	if (*row == first)
		return false;
	if (!same)
		complain_twice(a);
	*ret = first;
	return same;
}

/* A table of theirs is locked, by a migration for one: they wait behind all others, who may be of
 * other tables, for as long as they have. */
static void ask_later(struct auth *a)
{
	uint64_t now = loop_now_ms(a->conn.loop);

	if (now >= a->locked_at_ms) {
		a->locked_at_ms = now + COMPLAIN_MS;
		log_warn("auth %s: a table is locked; look-ups wait for it", a->turn);
	}
	LIST_EACH (&a->asked, node, tmp) {
		struct post_lookup *l = LIST_ENTRY(node, struct post_lookup, letter.node);

		principal_free(l->who); /* of a session half asked about */
		l->who = NULL;
		if (now >= l->until_ms) {
			auth_reply(l, LOOKUP_UNAVAILABLE);
			continue;
		}
		list_remove(node);
		list_push(&a->waiting, node);
		a->n_waiting++;
	}
}

/* Those asked wait again, before all others. */
static void ask_again(struct auth *a)
{
	LIST_EACH (&a->asked, node, tmp) {
		struct post_lookup *l = LIST_ENTRY(node, struct post_lookup, letter.node);

		principal_free(l->who);
		l->who = NULL;
		a->n_waiting++;
	}
	list_splice(&a->asked, &a->waiting);
	list_splice(&a->waiting, &a->asked);
}

/* A time, a role or a name that cannot be read is its own token's affair: half as many are asked
 * about, until it is alone, and then it is refused. */
static void look_for_the_bad_one(struct auth *a, const char *state)
{
	uint64_t now = loop_now_ms(a->conn.loop);

	if (a->n_asked > 1) {
		a->max_asked = a->n_asked / 2;
		ask_again(a);
		return;
	}
	reply_all(&a->asked, LOOKUP_UNKNOWN);
	if (a->n_bad++ && now < a->complain_at_ms)
		return;
	a->complain_at_ms = now + COMPLAIN_MS;
	log_warn("auth: what belongs to a token cannot be read (SQLSTATE %s): it is refused; "
		 "%" PRIu64 " so far",
		 state, a->n_bad);
}

/* Every login brings one. */
static void complain(struct auth *a, const char *state)
{
	char why[100];

	snprintf(why, sizeof(why), "%s: the look-up function failed (SQLSTATE %s)", a->turn, state);
	if (complaint_due(&a->failures, why, loop_now_ms(a->conn.loop)))
		log_error("auth %s: is pgherald sql install up to date? (failures so far: %" PRIu64
			  ")",
			  why, a->failures.n);
}

bool auth_answered(struct auth *a, const PGresult *r, int n_columns)
{
	const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;

	a->busy = false;
	if (!r || conn_error_is(r, CONN_LOST)) { /* they are asked again when it is back */
		ask_again(a);
		return false;
	}
	if (PQresultStatus(r) == PGRES_TUPLES_OK && PQnfields(r) == n_columns) {
		a->max_asked = a->max_asked * 2 > MAX_BATCH ? MAX_BATCH : a->max_asked * 2;
		return true;
	}
	if (conn_error_is(r, "55P03")) { /* lock_not_available */
		ask_later(a);
		return false;
	}
	if (state && !conn_error_is(r, NOBODYS_FAULT)) {
		look_for_the_bad_one(a, state);
		return false;
	}
	complain(a, state ? state : "unknown");
	reply_all(&a->asked, LOOKUP_UNAVAILABLE);
	return false;
}

static void on_tokens(void *arg, const PGresult *r)
{
	struct auth *a = arg;
	uint64_t place = 0;
	int row = 0, found;

	if (auth_answered(a, r, N_COLUMNS + a->asked_channels))
		LIST_EACH (&a->asked, node, tmp) { /* both in the order of asking */
			struct post_lookup *l = LIST_ENTRY(node, struct post_lookup, letter.node);
			enum lookup_verdict verdict = LOOKUP_UNKNOWN;

			if (auth_take_row(a, r, &row, ++place, COL_EXPIRES, &found))
				verdict = answer(a, l, r, found);
			auth_reply(l, verdict);
		}
	if (r)
		auth_ask_next(a);
}

static void ask_tokens(struct auth *a, const struct conf_auth *section, const char *tokens)
{
	const char *params[] = {tokens};
	autobuf sql = {0};

	buf_init(&sql, 1024);
	a->asked_channels = *section->token_channels != '\0';
	buf_printf(&sql, "SELECT n, user_id, role, active, " AUTH_EXPIRES_SQL "%s FROM ",
		   a->asked_channels ? ", channels" : "");
	auth_put_function(a, &sql, "auth", section->name);
	buf_str(&sql, "($1::text[]) ORDER BY n, expires DESC NULLS FIRST");
	a->busy = true;
	conn_query(&a->conn, buf_cstr(&sql), 1, params, on_tokens, a);
}

/* Everybody, under the name that stands in place of a token. */
static void let_in(struct auth *a, const struct conf_auth *section)
{
	LIST_EACH (&a->asked, node, tmp) {
		struct post_lookup *l = LIST_ENTRY(node, struct post_lookup, letter.node);

		l->who = xcalloc(1, sizeof(*l->who));
		l->who->user_id = xstrdup(l->token);
		l->who->role = xstrdup(section->role);
		auth_reply(l, LOOKUP_OK);
	}
}

/* The first one of another section than was asked last, or the first one. */
static const struct post_lookup *first_in_turn(const struct auth *a)
{
	LIST_EACH (&a->waiting, node, tmp) {
		const struct post_lookup *l = LIST_ENTRY(node, struct post_lookup, letter.node);

		if (!a->turn || strcmp(l->auth, a->turn) != 0)
			return l;
	}
	return LIST_ENTRY(a->waiting.next, struct post_lookup, letter.node);
}

/* Moves those who wait for the section whose turn it is to `asked`, and their tokens out. */
static const struct conf_auth *gather(struct auth *a, struct buf *tokens)
{
	char *turn = xstrdup(first_in_turn(a)->auth);

	free(a->turn);
	a->turn = turn;
	a->n_asked = 0;
	LIST_EACH (&a->waiting, node, tmp) {
		struct post_lookup *l = LIST_ENTRY(node, struct post_lookup, letter.node);

		if (a->n_asked == a->max_asked)
			break;
		if (strcmp(l->auth, turn) != 0)
			continue;
		list_remove(node);
		list_push(&a->asked, node);
		auth_put_element(tokens, l->token);
		a->n_waiting--;
		a->n_asked++;
	}
	return conf_find_auth(a->conf, turn);
}

void auth_ask_next(struct auth *a)
{
	while (!a->busy && a->open && conn_up(&a->conn) && !list_empty(&a->waiting)) {
		autobuf elements = {0};
		autofree char *tokens = NULL;
		const struct conf_auth *section;

		buf_init(&elements, SIZE_MAX / 2);
		section = gather(a, &elements);
		tokens = xasprintf("{%s}", buf_cstr(&elements));
		if (!strcmp(a->turn, AUTH_TICKETS))
			auth_keep_tickets(a, tokens);
		else if (!section) /* a reload has taken it away */
			reply_all(&a->asked, LOOKUP_UNKNOWN);
		else if (section->preset == PRESET_SESSION)
			auth_ask_sessions(a, section, tokens);
		else if (section->preset == PRESET_TICKET)
			auth_take_tickets(a);
		else if (section->preset == PRESET_NONE)
			let_in(a, section);
		else if (conf_auth_verifies(section))
			auth_ask_verified(a, section);
		else
			ask_tokens(a, section, tokens);
	}
}

static void on_state(void *arg, bool up)
{
	struct auth *a = arg;

	if (!up)
		return;
	conn_worked(&a->conn);
	a->connected(a->arg);
	auth_ask_next(a);
}

/* Their keys have come, or will not: behind all others. */
static void on_keys(void *arg, struct list *letters)
{
	struct auth *a = arg;

	LIST_EACH (letters, node, tmp)
		a->n_waiting++;
	list_splice(&a->waiting, letters);
	auth_ask_next(a);
}

void auth_start(struct auth *a, struct loop *loop, struct conf *conf, void (*connected)(void *arg),
		void *arg)
{
	a->connected = connected;
	a->arg = arg;
	list_init(&a->waiting);
	list_init(&a->asked);
	a->busy = a->open = false;
	a->n_waiting = 0;
	a->max_asked = MAX_BATCH;
	a->conf = conf_ref(conf);
	a->keys.again = on_keys;
	a->keys.again_arg = a;
	conn_start(&a->conn, loop, "auth", conf->conninfo, on_state, NULL, a);
}

void auth_reload(struct auth *a, struct conf *conf)
{
	struct conf *old = a->conf;

	a->conf = conf_ref(conf);
	conf_unref(old);
}

void auth_open(struct auth *a, bool open)
{
	a->open = open;
	auth_ask_next(a);
}

void auth_stop(struct auth *a)
{
	conn_stop(&a->conn);
	reply_all(&a->asked, LOOKUP_UNAVAILABLE);
	reply_all(&a->waiting, LOOKUP_UNAVAILABLE);
	free(a->turn);
	conf_unref(a->conf);
}

void auth_ask(struct auth *a, struct post_lookup *l)
{
	list_push(&a->waiting, &l->letter.node);
	if (a->n_waiting == MAX_WAITING) {
		auth_reply(l, LOOKUP_UNAVAILABLE);
		return;
	}
	a->n_waiting++;
	auth_ask_next(a);
}
