/* SPDX-License-Identifier: PostgreSQL
 * See auth.h: credentials that the daemon verifies itself. Whose one is stands in it, or beside it;
 * what he may, too, or else in the table of users, so that one who is deactivated is out at once.
 */
#include "config.h"
#include "pg/auth.h"

#include <stdlib.h>
#include <time.h>

#include "auth/api_key.h"
#include "hub/subscription.h"

enum column { COL_N, COL_USER, COL_ROLE, COL_ACTIVE, N_COLUMNS };

static enum auth_verified verify_api_key(const struct conf_auth *section, const char *token,
					 struct principal **ret)
{
	const struct api_key *k = api_keys_find(section->api_keys, token);
	struct principal *who;
	struct timespec now;
	int64_t left_ms = 0;

	clock_gettime(CLOCK_REALTIME, &now);
	if (k && k->expires_s)
		left_ms = (k->expires_s - now.tv_sec) * 1000 - now.tv_nsec / 1000000;
	if (!k || (k->expires_s && left_ms <= 0))
		return VERIFIED_NOT;
	who = *ret = xcalloc(1, sizeof(*who));
	who->user_id = xstrdup(k->user);
	who->role = xstrdup(k->role ? k->role : "");
	who->granted = k->channels ? subscription_grants(k->channels) : NULL;
	principal_expires(who, (uint64_t)left_ms);
	return VERIFIED;
}

static enum lookup_verdict found(struct post_lookup *l, const PGresult *r, int row)
{
	const char *active = PQgetvalue(r, row, COL_ACTIVE);

	if (PQgetisnull(r, row, COL_ACTIVE) || *active != 't' || PQgetisnull(r, row, COL_USER))
		return LOOKUP_INACTIVE;
	free(l->who->user_id);
	free(l->who->role);
	l->who->user_id = xstrdup(PQgetvalue(r, row, COL_USER)); /* in the table's spelling */
	l->who->role = xstrdup(PQgetvalue(r, row, COL_ROLE));	 /* "" for NULL */
	return LOOKUP_OK;
}

static void on_users(void *arg, const PGresult *r)
{
	struct auth *a = arg;
	uint64_t place = 0;
	int row = 0, his;

	if (auth_answered(a, r, N_COLUMNS))
		LIST_EACH (&a->asked, node, tmp) {
			struct post_lookup *l = LIST_ENTRY(node, struct post_lookup, letter.node);
			enum lookup_verdict verdict = LOOKUP_INACTIVE; /* deleted, that is */

			if (auth_take_row(a, r, &row, ++place, -1, &his))
				verdict = found(l, r, his);
			if (verdict != LOOKUP_OK) {
				principal_free(l->who);
				l->who = NULL;
			}
			auth_reply(l, verdict);
		}
	if (r)
		auth_ask_next(a);
}

void auth_ask_verified(struct auth *a, const struct conf_auth *section)
{
	autobuf users = {0}, sql = {0};
	autofree char *param = NULL;

	buf_init(&users, SIZE_MAX / 2);
	a->n_asked = 0;
	LIST_EACH (&a->asked, node, tmp) {
		struct post_lookup *l = LIST_ENTRY(node, struct post_lookup, letter.node);

		enum auth_verified v = section->api_keys
					       ? verify_api_key(section, l->token, &l->who)
					       : auth_verify_jwt(a, section, l->token, &l->who);

		if (v == VERIFIED_LATER) {
			list_remove(node);
			auth_keys_park(&a->keys, section, l);
		} else if (v != VERIFIED) {
			auth_reply(l, v == VERIFIED_AWAY ? LOOKUP_UNAVAILABLE : LOOKUP_UNKNOWN);
		} else if (section->users == USERS_CLAIMS) {
			auth_reply(l, LOOKUP_OK);
		} else {
			auth_put_element(&users, l->who->user_id);
			a->n_asked++;
		}
	}
	if (!a->n_asked)
		return;
	param = xasprintf("{%s}", buf_cstr(&users));
	buf_init(&sql, 1024);
	buf_str(&sql, "SELECT n, user_id, role, active FROM ");
	auth_put_function(a, &sql, "auth", section->name);
	buf_str(&sql, "($1::text[]) ORDER BY n");
	const char *params[] = {param};
	a->busy = true;
	conn_query(&a->conn, buf_cstr(&sql), 1, params, on_users, a);
}
