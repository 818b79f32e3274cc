/* SPDX-License-Identifier: PostgreSQL
 * See keeper.h. Nothing here waits for a lock that others may hold. */
#include "config.h"
#include "pg/keeper.h"

#include <string.h>

#include "base/log.h"
#include "base/num.h"

/* What daemons tell each other when one takes the lock; a ring to those of an earlier version. */
#define ANNOUNCEMENT "{\"v\":1,\"topic\":\"*\"}"

static const char *const lock[] = {NUM_TEXT(DOORBELL_CLASS), NUM_TEXT(DOORBELL_KEEPER)};

/* One value, or the connection is no good. */
static bool answered(struct keeper *k, const PGresult *r)
{
	if (!r)
		return false; /* it went down: keeper_begin() follows */
	if (PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1)
		return true;
	k->failed(k->arg, r);
	return false;
}

static void on_let_go(void *arg, const PGresult *r)
{
	struct keeper *k = arg;

	if (!answered(k, r))
		return;
	doorbell_let_go(&k->bell, loop_now_ms(k->loop));
	k->look(k->arg); /* a writer that did not ring may have committed meanwhile */
}

static void on_asked(void *arg, const PGresult *r)
{
	struct keeper *k = arg;
	bool held;

	if (!answered(k, r))
		return;
	held = *PQgetvalue(r, 0, 0) == 't';
	doorbell_answered(&k->bell, loop_now_ms(k->loop), held);
	if (held) {
		log_debug("journal: busy: polling, writers need not ring");
		holder_had(&k->holder);
	} else {
		holder_refused(&k->holder);
	}
	k->look(k->arg);
}

static void on_checked(void *arg, const PGresult *r)
{
	struct keeper *k = arg;
	bool free;

	if (!answered(k, r))
		return;
	free = *PQgetvalue(r, 0, 0) == 't';
	doorbell_checked(&k->bell, loop_now_ms(k->loop), free);
	if (free)
		holder_had(&k->holder);
	else
		holder_refused(&k->holder);
	k->look(k->arg);
}

/* The other daemons hear of it: from now on nobody rings for them. */
static void ask(struct keeper *k)
{
	static const char sql[] =
		"SELECT l.got, CASE WHEN l.got AND pg_catalog.pg_notification_queue_usage() < 0.5"
		" THEN pg_catalog.pg_notify('pgherald', '" ANNOUNCEMENT "') END"
		" FROM (SELECT pg_catalog.pg_try_advisory_lock($1::integer, $2::integer) AS got"
		" OFFSET 0) AS l";

	conn_query(k->conn, sql, 2, lock, on_asked, k);
}

static void let_go(struct keeper *k)
{
	static const char sql[] = "SELECT pg_catalog.pg_advisory_unlock($1::integer, $2::integer)";

	log_debug("journal: quiet: writers ring again");
	conn_query(k->conn, sql, 2, lock, on_let_go, k);
}

/* Exactly what a writer asks to know whether to ring (sql/render.c). */
static void check(struct keeper *k)
{
	static const char sql[] =
		"SELECT pg_catalog.pg_try_advisory_lock_shared($1::integer, $2::integer)"
		" AND pg_catalog.pg_advisory_unlock_shared($1::integer, $2::integer)";

	conn_query(k->conn, sql, 2, lock, on_checked, k);
}

static void carry_out(struct keeper *k, enum doorbell_deed deed)
{
	if (deed == BELL_ASK)
		ask(k);
	else if (deed == BELL_LET_GO)
		let_go(k);
	else if (deed == BELL_CHECK)
		check(k);
}

static void on_begun(void *arg, const PGresult *r)
{
	struct keeper *k = arg;

	if (!answered(k, r))
		return;
	doorbell_reset(&k->bell,
		       k->deaf || k->never_rung ||
			       (!k->always_rung && strcmp(PQgetvalue(r, 0, 0), "0") != 0));
}

void keeper_init(struct keeper *k)
{
	doorbell_reset(&k->bell, true);
	holder_init(&k->holder, k->conn, lock[1], 3,
		    "writers may not ring: the journal is read every " NUM_TEXT(
			    SHADOW_POLL_MS) " ms, or writers ring each time");
	k->holder.named = k->lock_taken;
}

void keeper_begin(struct keeper *k, bool deaf)
{
	k->deaf = deaf;
	doorbell_reset(&k->bell, true); /* until the answer is there */
	k->holder.asking = false;
	conn_query(k->conn, "SELECT pg_catalog.current_setting('max_prepared_transactions')", 0,
		   NULL, on_begun, k);
}

void keeper_rung(struct keeper *k, const char *payload)
{
	if (!strcmp(payload, ANNOUNCEMENT))
		doorbell_announced(&k->bell);
	else
		carry_out(k, doorbell_rung(&k->bell, loop_now_ms(k->loop)));
}

void keeper_looked(struct keeper *k, uint64_t found, uint64_t xmin, uint64_t xmax, bool by_poll)
{
	carry_out(k, doorbell_looked(&k->bell, loop_now_ms(k->loop), found, xmin, xmax, by_poll));
}

uint64_t keeper_poll_ms(const struct keeper *k, uint64_t ordinary_ms)
{
	return doorbell_poll_ms(&k->bell, ordinary_ms);
}
