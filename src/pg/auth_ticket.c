/* SPDX-License-Identifier: PostgreSQL
 * See auth.h: tickets, kept and taken. Whose ticket it was is then looked up by his own credential.
 * Must not log either. */
#include "config.h"
#include "pg/auth.h"

#include <stdlib.h>
#include <string.h>

#include "auth/ticket.h"
#include "base/num.h"

/* What was in it takes its place; false when that cannot be read. */
static bool unpack(struct post_lookup *l, const char *sealed)
{
	char *door, *token;

	if (!ticket_open(l->token, sealed, &door, &token))
		return false;
	explicit_bzero(l->token, strlen(l->token));
	free(l->token);
	free(l->auth);
	l->token = token;
	l->auth = door;
	return true;
}

static void on_taken(void *arg, const PGresult *r)
{
	struct auth *a = arg;
	uint64_t place = 0;
	int row = 0;

	if (auth_answered(a, r, 2))
		LIST_EACH (&a->asked, node, tmp) {
			struct post_lookup *l = LIST_ENTRY(node, struct post_lookup, letter.node);
			bool found = auth_row_is(r, row, ++place);

			if (!found || !unpack(l, PQgetvalue(r, row, 1))) {
				auth_reply(l, LOOKUP_UNKNOWN);
			} else {
				list_remove(node);
				list_push(&a->waiting, node);
				a->n_waiting++;
			}
			row += found;
		}
	if (r)
		auth_ask_next(a);
}

void auth_take_tickets(struct auth *a)
{
	autobuf hashes = {.max = SIZE_MAX / 2}, routes = {.max = SIZE_MAX / 2};
	autofree char *param_hashes = NULL, *param_routes = NULL;

	LIST_EACH (&a->asked, node, tmp) {
		struct post_lookup *l = LIST_ENTRY(node, struct post_lookup, letter.node);
		char name[TICKET_NAME + 1] = "";

		if (!ticket_name(l->token, name))
			*name = '\0'; /* nobody's */
		auth_put_element(&hashes, name);
		auth_put_element(&routes, l->route ? l->route : "");
	}
	param_hashes = xasprintf("{%s}", buf_cstr(&hashes));
	param_routes = xasprintf("{%s}", buf_cstr(&routes));
	const char *params[] = {param_hashes, param_routes};
	a->busy = true;
	conn_query(&a->conn,
		   "SELECT n, sealed FROM pgherald.tickets_take($1::text[], $2::text[]) ORDER BY n",
		   2, params, on_taken, a);
}

static void on_kept(void *arg, const PGresult *r)
{
	struct auth *a = arg;

	if (auth_answered(a, r, 1))
		LIST_EACH (&a->asked, node, tmp)
			auth_reply(LIST_ENTRY(node, struct post_lookup, letter.node), LOOKUP_OK);
	if (r)
		auth_ask_next(a);
}

void auth_keep_tickets(struct auth *a, const char *hashes)
{
	autobuf routes = {.max = SIZE_MAX / 2}, seals = {.max = SIZE_MAX / 2};
	autofree char *param_routes = NULL, *param_seals = NULL;

	LIST_EACH (&a->asked, node, tmp) {
		struct post_lookup *l = LIST_ENTRY(node, struct post_lookup, letter.node);

		auth_put_element(&routes, l->route);
		auth_put_element(&seals, l->sealed);
	}
	param_routes = xasprintf("{%s}", buf_cstr(&routes));
	param_seals = xasprintf("{%s}", buf_cstr(&seals));
	const char *params[] = {hashes, param_routes, param_seals, NUM_TEXT(TICKET_LIFE_S)};
	a->busy = true;
	conn_query(&a->conn,
		   "SELECT pgherald.tickets_keep($1::text[], $2::text[], $3::text[], $4::int)", 4,
		   params, on_kept, a);
}
