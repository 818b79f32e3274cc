/* SPDX-License-Identifier: PostgreSQL
 * See recorder.h. */
#include "config.h"
#include "pg/recorder.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "wire/array.h"

#define BATCH_MAX    64 /* messages in a transaction */
#define BATCH_BYTES  (1 << 20)
#define LIMIT_MS     30000
#define RETRY_MIN_MS 100
#define RETRY_MAX_MS 30000

/* unnest() gives the rows in their order, and publish() is called in it. */
static const char publish_sql[] =
	"SELECT pg_catalog.count(pgherald.publish(m.channel, m.type, m.payload::pg_catalog.jsonb,"
	" m.user_id, m.key))"
	" FROM (SELECT pg_catalog.set_config('lock_timeout', '5s', true) AS it OFFSET 0) AS s,"
	" ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]),"
	" pg_catalog.unnest($2::pg_catalog.text[]), pg_catalog.unnest($3::pg_catalog.text[]),"
	" pg_catalog.unnest($4::pg_catalog.text[]), pg_catalog.unnest($5::pg_catalog.text[]))"
	" AS m(channel, user_id, type, payload, key)"
	" WHERE s.it IS NOT NULL";
static const char permitted_sql[] =
	"SELECT pg_catalog.has_function_privilege('pgherald.publish(text, text, jsonb, text, text, "
	"boolean)', 'EXECUTE')";

static void send(struct recorder *r);

static struct record *first(struct recorder *r)
{
	return LIST_ENTRY(r->waiting.next, struct record, node);
}

void record_free(struct record *record)
{
	free(record->channel);
	free(record->user);
	free(record->type);
	free(record->payload);
	free(record->key);
	free(record);
}

static void drop_first(struct recorder *r)
{
	struct record *record = first(r);

	list_remove(&record->node);
	r->n--;
	r->bytes -= record->bytes;
	record_free(record);
}

/* Those under way are done with. */
static void done(struct recorder *r)
{
	for (; r->n_asked; r->n_asked--) {
		drop_first(r);
		if (r->n_alone)
			r->n_alone--;
	}
	r->retry_ms = 0;
	if (*r->said)
		log_info("%s: goes on", r->name);
	*r->said = '\0';
	conn_worked(&r->conn);
	r->settled(r->arg);
	send(r);
}

static void refuse(struct recorder *r, const char *why)
{
	r->refused(r->arg, first(r), why);
	done(r);
}

/* Later, and what waits stays as it is. */
static void wait(struct recorder *r, const char *why)
{
	if (complaint_due(&r->trouble, why, loop_now_ms(r->loop)))
		log_warn("%s: the journal takes nothing for now (%s); it is tried again", r->name,
			 why);
	snprintf(r->said, sizeof(r->said), "%s", why);
	r->n_asked = 0;
	r->retry_ms = r->retry_ms ? r->retry_ms * 2 : RETRY_MIN_MS;
	if (r->retry_ms > RETRY_MAX_MS)
		r->retry_ms = RETRY_MAX_MS;
	/* from half of it on, so that several do not come at once */
	loop_timer_set(r->loop, &r->retry,
		       r->retry_ms / 2 + loop_now_ms(r->loop) * 7919 % (r->retry_ms / 2 + 1));
}

static void on_published(void *arg, const PGresult *result)
{
	struct recorder *r = arg;

	if (!result) { /* it may have been published: then its key says so the next time */
		r->n_asked = 0;
	} else if (PQresultStatus(result) == PGRES_TUPLES_OK) {
		done(r);
	} else if (conn_error_is(result, "53 55 40 57 08 25")) {
		wait(r, conn_error(result));
	} else if (r->n_asked > 1) { /* which of them is it? */
		r->n_alone = r->n_asked;
		r->n_asked = 0;
		send(r);
	} else if (conn_error_is(result, "22 54")) {
		refuse(r, conn_error(result));
	} else if (conn_error_is(result, "42501")) {
		r->n_asked = 0;
		r->permitted = false;
		r->suspect = true;
		send(r);
	} else {
		wait(r, conn_error(result));
	}
}

static void on_permitted(void *arg, const PGresult *result)
{
	struct recorder *r = arg;
	bool answered =
		result && PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1;

	if (!result)
		return;
	r->permitted = answered && *PQgetvalue(result, 0, 0) == 't';
	r->n_asked = 0;
	if (!r->permitted) {
		conn_fail(&r->conn, answered ? "it may not call pgherald.publish(): see [publish] "
					       "roles"
					     : conn_error(result));
	} else if (r->suspect) {
		r->suspect = false;
		r->n_asked = 1;
		refuse(r, "a type that may not be published");
	} else {
		send(r);
	}
}

/* How many go with the first one. */
static size_t batch(const struct recorder *r)
{
	size_t n = 0, bytes = 0;

	LIST_EACH (&r->waiting, node, tmp) {
		bytes += LIST_ENTRY(node, struct record, node)->bytes;
		if (n && (bytes > BATCH_BYTES || n == BATCH_MAX || r->n_alone))
			break;
		n++;
	}
	return n;
}

static void add(struct buf *list, const char *text)
{
	if (text)
		array_add(list, text);
	else
		buf_str(list, list->len ? ",NULL" : "{NULL");
}

static void publish(struct recorder *r)
{
	struct buf lists[5];
	const char *params[5];
	size_t n = 0;

	for (size_t i = 0; i < 5; i++)
		buf_init(&lists[i], SIZE_MAX / 2);
	r->n_asked = batch(r);
	LIST_EACH (&r->waiting, node, tmp) {
		const struct record *m = LIST_ENTRY(node, struct record, node);

		if (n++ == r->n_asked)
			break;
		add(&lists[0], m->channel);
		add(&lists[1], m->user);
		add(&lists[2], m->type);
		add(&lists[3], m->payload);
		add(&lists[4], m->key);
	}
	for (size_t i = 0; i < 5; i++) {
		array_end(&lists[i]);
		params[i] = buf_cstr(&lists[i]);
	}
	conn_query_prepared(&r->conn, "record", publish_sql, 5, params, on_published, r);
	for (size_t i = 0; i < 5; i++)
		buf_free(&lists[i]);
}

/* The next ones, when nothing is under way. */
static void send(struct recorder *r)
{
	if (!conn_up(&r->conn) || r->n_asked || r->retry.place)
		return;
	if (!r->permitted) {
		r->n_asked = 1;
		conn_query(&r->conn, permitted_sql, 0, NULL, on_permitted, r);
	} else if (r->n) {
		publish(r);
	}
}

static void on_retry(void *arg)
{
	send(arg);
}

static void on_state(void *arg, bool up)
{
	struct recorder *r = arg;

	r->n_asked = 0;
	r->permitted = r->suspect = false;
	if (!up)
		return;
	conn_limit(&r->conn, LIMIT_MS);
	send(r);
}

void recorder_start(struct recorder *r, struct loop *loop, const char *conninfo)
{
	r->loop = loop;
	r->retry = (struct loop_timer){.fire = on_retry, .arg = r};
	list_init(&r->waiting);
	conn_start(&r->conn, loop, r->name, conninfo, on_state, NULL, r);
}

void recorder_stop(struct recorder *r)
{
	conn_stop(&r->conn);
	loop_timer_clear(r->loop, &r->retry);
	while (r->n)
		drop_first(r);
}

void recorder_add(struct recorder *r, struct record *record)
{
	record->bytes = sizeof(*record) + strlen(record->payload);
	list_push(&r->waiting, &record->node);
	r->n++;
	r->bytes += record->bytes;
	send(r);
}
