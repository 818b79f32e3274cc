/* SPDX-License-Identifier: PostgreSQL
 * See auth.h: Django's sessions. The database knows the rows and the passwords, the daemon the key;
 * neither shows the other. Must not log what is in a session. */
#include "config.h"
#include "pg/auth.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define COMPLAIN_EVERY_MS 10000

enum session_column { SESSION_N, SESSION_DATA, SESSION_EXPIRES, N_SESSION_COLUMNS };
enum user_column { USER_N, USER_ID, USER_ROLE, USER_ACTIVE, USER_PROOFS, N_USER_COLUMNS };

static void drop_sessions(struct auth *a)
{
	for (size_t i = 0; i < a->n_sessions; i++)
		session_clear(&a->sessions[i]);
	free(a->sessions);
	a->sessions = NULL;
	a->n_sessions = 0;
}

/* Whether one of the proofs, 64 digits each with a space between, is what the session has. */
static bool proven(const struct session *s, const char *proofs)
{
	bool ok = false;

	while (*proofs) {
		size_t len = strcspn(proofs, " ");
		autofree char *proof = xstrndup(proofs, len);

		ok |= session_hash_is(s, proof);
		proofs += len + (proofs[len] == ' ');
	}
	return ok;
}

static enum lookup_verdict answer(struct post_lookup *l, const struct session *s, const PGresult *r,
				  int row)
{
	char name[SESSION_NAME_SIZE];

	if (*PQgetvalue(r, row, USER_ACTIVE) != 't')
		return LOOKUP_INACTIVE;
	if (!proven(s, PQgetvalue(r, row, USER_PROOFS)))
		return LOOKUP_UNKNOWN; /* another password since then */
	if (!session_name(name, l->token))
		return LOOKUP_UNKNOWN;
	principal_name(l->who, PQgetvalue(r, row, USER_ID), name);
	l->who->role = xstrdup(PQgetvalue(r, row, USER_ROLE)); /* "" for NULL */
	return LOOKUP_OK;
}

static void on_users(void *arg, const PGresult *r)
{
	struct auth *a = arg;
	size_t place = 0;
	int row = 0, his;

	if (auth_answered(a, r, N_USER_COLUMNS))
		LIST_EACH (&a->asked, node, tmp) {
			struct post_lookup *l = LIST_ENTRY(node, struct post_lookup, letter.node);
			const struct session *s = &a->sessions[place++];
			enum lookup_verdict verdict = LOOKUP_INACTIVE; /* deleted, that is */

			if (auth_take_row(a, r, &row, place, -1, &his))
				verdict = answer(l, s, r, his);
			if (verdict != LOOKUP_OK) {
				principal_free(l->who);
				l->who = NULL;
			}
			auth_reply(l, verdict);
		}
	drop_sessions(a);
	if (r)
		auth_ask_next(a);
}

static void put_bytes(struct buf *b, const unsigned char *bytes, size_t len)
{
	static const char hex[] = "0123456789abcdef";

	buf_str(b, b->len ? ",\"\\\\x" : "\"\\\\x");
	for (size_t i = 0; i < len; i++) {
		buf_char(b, hex[bytes[i] >> 4]);
		buf_char(b, hex[bytes[i] & 15]);
	}
	buf_char(b, '"');
}

static void ask_users(struct auth *a, const struct conf_auth *section)
{
	autobuf users = {0}, inner = {0}, outer = {0}, sql = {0};
	autofree char *param_users = NULL, *param_inner = NULL, *param_outer = NULL;

	buf_init(&users, SIZE_MAX / 2);
	buf_init(&inner, SECRETS_MAX * 200);
	buf_init(&outer, SECRETS_MAX * 200);
	buf_init(&sql, 1024);
	for (size_t i = 0; i < a->n_sessions; i++)
		auth_put_element(&users, a->sessions[i].user_id);
	for (size_t i = 0; i < section->secrets->n; i++) {
		put_bytes(&inner, section->secrets->items[i].inner, SECRET_PAD);
		put_bytes(&outer, section->secrets->items[i].outer, SECRET_PAD);
	}
	param_users = xasprintf("{%s}", buf_cstr(&users));
	param_inner = xasprintf("{%s}", buf_cstr(&inner));
	param_outer = xasprintf("{%s}", buf_cstr(&outer));
	buf_str(&sql, "SELECT n, user_id, role, active,"
		      " pg_catalog.array_to_string(proofs, ' ') FROM ");
	auth_put_function(a, &sql, "session", section->name);
	buf_str(&sql, "($1::text[], $2::bytea[], $3::bytea[]) ORDER BY n");
	const char *params[] = {param_users, param_inner, param_outer};
	a->busy = true;
	conn_query(&a->conn, buf_cstr(&sql), 3, params, on_users, a);
}

/* A wrong key refuses everybody: that must be seen, though not once for everybody. */
static void complain(struct auth *a, const struct conf_auth *section, enum session_verdict why)
{
	uint64_t now = loop_now_ms(a->conn.loop);

	if (now < a->complain_at_ms)
		return;
	a->complain_at_ms = now + COMPLAIN_EVERY_MS;
	if (why == SESSION_FOREIGN)
		log_warn(
			"auth %s: the signature of a session fits no key of secret_key_file: is it "
			"Django's SECRET_KEY, and Django 3.1 or later?",
			section->name);
	else
		log_warn("auth %s: a session is no JSON object of at most %d bytes", section->name,
			 SESSION_JSON_MAX);
}

static enum lookup_verdict read_row(struct auth *a, const struct conf_auth *section,
				    struct post_lookup *l, const PGresult *r, int row)
{
	struct session s = {0};
	enum session_verdict verdict =
		session_read(section->secrets, PQgetvalue(r, row, SESSION_DATA),
			     (size_t)PQgetlength(r, row, SESSION_DATA), &s);

	if (verdict == SESSION_FOREIGN || verdict == SESSION_BROKEN)
		complain(a, section, verdict);
	if (verdict != SESSION_OK) {
		session_clear(&s);
		return LOOKUP_UNKNOWN;
	}
	l->who = xcalloc(1, sizeof(*l->who));
	principal_expires(l->who, auth_expires_ms(r, row, SESSION_EXPIRES));
	a->sessions = xrealloc(a->sessions, a->n_sessions + 1, sizeof(*a->sessions));
	a->sessions[a->n_sessions++] = s;
	return LOOKUP_OK;
}

static void on_sessions(void *arg, const PGresult *r)
{
	struct auth *a = arg;
	const struct conf_auth *section = NULL;
	uint64_t place = 0;
	int row = 0, its;

	if (auth_answered(a, r, N_SESSION_COLUMNS))
		LIST_EACH (&a->asked, node, tmp) {
			struct post_lookup *l = LIST_ENTRY(node, struct post_lookup, letter.node);
			enum lookup_verdict verdict = LOOKUP_UNKNOWN;

			section = conf_find_auth(a->conf, l->auth);
			if (auth_take_row(a, r, &row, ++place, SESSION_EXPIRES, &its) && section &&
			    section->secrets)
				verdict = read_row(a, section, l, r, its);
			if (verdict != LOOKUP_OK)
				auth_reply(l, verdict);
		}
	if (a->n_sessions && section)
		ask_users(a, section);
	else if (r)
		auth_ask_next(a);
}

void auth_ask_sessions(struct auth *a, const struct conf_auth *section, const char *tokens)
{
	const char *params[] = {tokens};
	autobuf sql = {0};

	buf_init(&sql, 1024);
	buf_str(&sql, "SELECT n, session_data, " AUTH_EXPIRES_SQL " FROM ");
	auth_put_function(a, &sql, "auth", section->name);
	buf_str(&sql, "($1::text[]) ORDER BY n, expires DESC NULLS FIRST");
	a->busy = true;
	conn_query(&a->conn, buf_cstr(&sql), 1, params, on_sessions, a);
}
