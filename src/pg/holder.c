/* SPDX-License-Identifier: PostgreSQL
 * See holder.h. */
#include "config.h"
#include "pg/holder.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/num.h"
#include "pg/doorbell.h"

#define NEXT_REFUSALS 300 /* who has it is asked again after so many */

/* Another daemon has our own role. What others see of a session is its role and its name. */
static const char holder_sql[] =
	"SELECT l.pid, coalesce(a.usename::text, '?'), coalesce(a.application_name, ''), l.mode"
	" FROM pg_catalog.pg_locks AS l"
	" LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid"
	" WHERE l.locktype = 'advisory' AND l.classid = $1::integer::oid"
	" AND l.objid = $2::integer::oid AND l.objsubid = 2 AND l.pid <> "
	"pg_catalog.pg_backend_pid()"
	" AND l.database = (SELECT oid FROM pg_catalog.pg_database"
	" WHERE datname = pg_catalog.current_database())"
	" AND a.usename IS DISTINCT FROM session_user"
	" ORDER BY l.granted DESC, l.mode LIMIT 1";

void holder_init(struct holder *h, struct conn *conn, const char *key, unsigned patience,
		 const char *follows)
{
	*h = (struct holder){.conn = conn,
			     .key = key,
			     .follows = follows,
			     .patience = patience,
			     .ask_at = patience};
}

static void show(const struct holder *h)
{
	if (h->named)
		atomic_store_explicit(h->named, h->pid, memory_order_relaxed);
}

static void on_holder(void *arg, const PGresult *r)
{
	struct holder *h = arg;
	uint64_t pid = 0;

	h->asking = false;
	h->ask_at = h->n_refused + h->patience;
	if (!r)
		return;
	if (PQresultStatus(r) != PGRES_TUPLES_OK) {
		log_debug("advisory lock (" NUM_TEXT(DOORBELL_CLASS) ", %s): %s", h->key,
			  conn_error(r));
		return;
	}
	h->ask_at = h->n_refused + NEXT_REFUSALS;
	if (PQntuples(r) != 1 ||
	    !num_u64(PQgetvalue(r, 0, 0), (size_t)PQgetlength(r, 0, 0), &pid) || h->pid == (int)pid)
		return;
	h->pid = (int)pid;
	show(h);
	const struct log_field fields[] = {
		{"key", h->key},
		{"role", PQgetvalue(r, 0, 1)},
		{"pid", PQgetvalue(r, 0, 0)},
		{"application", PQgetvalue(r, 0, 2)},
		{"mode", PQgetvalue(r, 0, 3)},
		{"follows", h->follows},
		{NULL, NULL},
	};
	log_with(LOG_L_WARN, "somebody else holds an advisory lock of the daemons", fields);
}

void holder_refused(struct holder *h)
{
	static const char class[] = NUM_TEXT(DOORBELL_CLASS);
	const char *params[] = {class, h->key};

	if (++h->n_refused < h->ask_at || h->asking || !conn_up(h->conn))
		return;
	h->asking = true;
	conn_query(h->conn, holder_sql, 2, params, on_holder, h);
}

void holder_had(struct holder *h)
{
	h->n_refused = 0;
	h->ask_at = h->patience;
	if (h->pid) {
		h->pid = 0;
		show(h);
	}
}
