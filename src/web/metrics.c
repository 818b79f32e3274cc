/* SPDX-License-Identifier: PostgreSQL
 * See metrics.h. */
#include "config.h"
#include "web/metrics.h"

#include "base/buf.h"
#include "hub/registry.h"
#include "hub/vitals.h"
#include "web/answer.h"
#include "web/worker.h"

#define METRICS_MAX  65536 /* bytes */
#define METRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

static void family(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# TYPE pgherald_%s %s\n# HELP pgherald_%s %s\n", name, type, name, help);
}

/* One without labels. */
static void gauge(struct buf *b, const char *name, const char *help, uint64_t value)
{
	family(b, name, "gauge", help);
	buf_printf(b, "pgherald_%s ", name);
	buf_u64(b, value);
	buf_char(b, '\n');
}

static void sample(struct buf *b, const char *name, const char *label, const char *value,
		   uint64_t n)
{
	buf_printf(b, "pgherald_%s{%s=\"%s\"} ", name, label, value);
	buf_u64(b, n);
	buf_char(b, '\n');
}

static const char *label_of(enum wire_transport t)
{
	return t == TRANSPORT_WEBSOCKET ? "ws" : transport_name(t);
}

static void put_streams(struct buf *b, struct vitals *v)
{
	family(b, "streams", "gauge", "Streams that are open.");
	for (size_t i = 0; i < N_TRANSPORTS; i++)
		sample(b, "streams", "transport", label_of((enum wire_transport)i),
		       atomic_load_explicit(&v->streams[i], memory_order_relaxed));
	family(b, "streams_opened", "counter", "Streams that have been opened.");
	for (size_t i = 0; i < N_TRANSPORTS; i++)
		sample(b, "streams_opened_total", "transport", label_of((enum wire_transport)i),
		       atomic_load_explicit(&v->opened[i], memory_order_relaxed));
}

static void put_refused(struct buf *b, struct tally *t)
{
	family(b, "refused", "counter", "What was refused or told to come back.");
	for (size_t i = 0; i < N_TALLIES; i++) {
		const char *name = tally_name((enum tally_reason)i);

		if (name)
			sample(b, "refused_total", "reason", name,
			       tally_total(t, (enum tally_reason)i));
	}
}

static void put_asked(struct buf *b, struct vitals *v)
{
	static const char *const answers[] = {[ASKED_YES] = "yes",
					      [ASKED_NO] = "no",
					      [ASKED_UNKNOWN] = "unknown",
					      [ASKED_UNAVAILABLE] = "unavailable"};

	family(b, "asked", "counter", "Answers of the functions of routes (authorize).");
	for (size_t i = 0; i < N_ASKED; i++)
		sample(b, "asked_total", "answer", answers[i],
		       atomic_load_explicit(&v->asked[i], memory_order_relaxed));
}

static void count_user(void *arg, const char *user_id, size_t n)
{
	uint64_t *users = arg;

	(void)user_id;
	(void)n;
	++*users;
}

static uint64_t lines(const char *text)
{
	uint64_t n = text && *text;

	for (; text && *text; text++)
		n += *text == '\n' && text[1];
	return n;
}

enum MHD_Result metrics_answer(struct worker *w, struct MHD_Connection *c)
{
	struct vitals *v = &w->commons->vitals;
	autobuf b = {.max = METRICS_MAX};
	uint64_t users = 0;
	int holder = atomic_load_explicit(&v->doorbell_taken, memory_order_relaxed);

	registry_each(w->registry, count_user, &users);
	family(&b, "build", "info", "Which pgherald this is.");
	buf_str(&b, "pgherald_build_info{version=\"" PACKAGE_VERSION "\"} 1\n");
	put_streams(&b, v);
	gauge(&b, "users", "Users with a stream, each address without a credential being one.",
	      users);
	put_refused(&b, &w->commons->tally);
	gauge(&b, "client_memory_bytes",
	      "What clients take: queues, frames that only they hold, bodies, what they say.",
	      budget_used(&w->commons->budget));
	gauge(&b, "client_memory_limit_bytes", "What they may take; 0: any number.",
	      w->conf->client_memory);
	put_asked(&b, v);
	gauge(&b, "database_up", "Whether the database is there, and read up to now.",
	      w->database_up);
	gauge(&b, "problems", "Differences between the watched tables and the configuration.",
	      lines(w->problems));
	family(&b, "losses", "counter",
	       "How often a change could not be recorded, in all this database's time.");
	buf_str(&b, "pgherald_losses_total ");
	buf_u64(&b, w->known ? w->position_cursor.loss : 0);
	buf_char(&b, '\n');
	family(&b, "source_messages", "counter",
	       "What came from Redis, Valkey or Kafka and was not told, since the start.");
	sample(&b, "source_messages_total", "outcome", "refused",
	       atomic_load_explicit(&v->refused, memory_order_relaxed));
	sample(&b, "source_messages_total", "outcome", "dropped",
	       atomic_load_explicit(&v->dropped, memory_order_relaxed));
	family(&b, "lock_taken", "gauge",
	       "Whether somebody who is no daemon holds an advisory lock of the daemons.");
	sample(&b, "lock_taken", "lock", "doorbell", holder != 0);
	family(&b, "lock_holder_pid", "gauge",
	       "The session of the server that holds it, as in pg_stat_activity; 0: nobody.");
	sample(&b, "lock_holder_pid", "lock", "doorbell", (uint64_t)holder);
	buf_str(&b, "# EOF\n");
	return answer_text(c, w->conf, MHD_HTTP_OK, METRICS_TYPE, buf_cstr(&b));
}
