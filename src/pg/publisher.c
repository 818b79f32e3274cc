/* SPDX-License-Identifier: PostgreSQL
 * See publisher.h. */
#include "config.h"
#include "pg/publisher.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

#define SWEEP_MS 1000
#define LIMIT_MS                                                                                   \
	5000 /* of one: somebody may publish the same key in a transaction that stays open */

/* Somebody may have published the same key in a transaction that stays open: the others wait. So
 * who has waited in vain is the last one for a while who is waited with. */
#define PATIENCE "500ms"
#define HASTE	 "10ms"
#define HASTE_MS 30000

static const char sql[] =
	"SELECT pgherald.publish($1::text, $2::text, $3::jsonb, $4::text, $5::text, $6::boolean)"
	" FROM (SELECT pg_catalog.set_config('lock_timeout', $7::text, true) AS it OFFSET 0) AS s"
	" WHERE s.it IS NOT NULL";

static void go_on(struct publisher *p);

static void reply(struct post_publish *l, enum publish_verdict verdict)
{
	list_remove(&l->letter.node);
	l->verdict = verdict;
	inbox_post(l->reply_to, &l->letter);
}

/* What the message itself is to blame for, by the error's SQLSTATE. */
static enum publish_verdict verdict_of(const PGresult *r)
{
	static const struct {
		const char *states;
		enum publish_verdict verdict;
	} verdicts[] = {
		{"22", PUBLISH_INVALID},
		{"54", PUBLISH_TOO_LARGE},
		{"42501", PUBLISH_FORBIDDEN},
		{"53400", PUBLISH_NO_ROOM},
	};

	for (size_t i = 0; i < sizeof(verdicts) / sizeof(*verdicts); i++)
		if (conn_error_is(r, verdicts[i].states))
			return verdicts[i].verdict;
	return PUBLISH_UNAVAILABLE;
}

static void on_answer(void *arg, const PGresult *r)
{
	struct publisher *p = arg;
	struct post_publish *l = LIST_ENTRY(p->asked.next, struct post_publish, letter.node);
	const char *id;

	if (!r) { /* it may have been published: nobody knows */
		reply(l, PUBLISH_UNAVAILABLE);
		return;
	}
	if (conn_error_is(r, "55P03"))
		p->haste_until_ms = loop_now_ms(p->loop) + HASTE_MS;
	if (PQresultStatus(r) != PGRES_TUPLES_OK || PQntuples(r) != 1) {
		l->why = xstrdup(conn_words(r));
		reply(l, verdict_of(r));
	} else {
		id = PQgetvalue(r, 0, 0);
		(void)!num_u64(id, strlen(id), &l->id);
		reply(l, PUBLISHED);
	}
	go_on(p);
}

static void send(struct publisher *p, struct post_publish *l)
{
	const struct posting *m = &l->message;
	bool haste = loop_now_ms(p->loop) < p->haste_until_ms;
	const char *const params[] = {m->channel,
				      m->type,
				      m->payload,
				      m->user,
				      m->key,
				      m->persist ? "t" : "f",
				      haste ? HASTE : PATIENCE};

	list_remove(&l->letter.node);
	list_push(&p->asked, &l->letter.node);
	conn_limit(&p->conn, LIMIT_MS);
	conn_query_prepared(&p->conn, "publish", sql, 7, params, on_answer, p);
}

/* Nothing waits for a database that does not come. */
static void on_sweep(void *arg)
{
	struct publisher *p = arg;
	uint64_t now = loop_now_ms(p->loop);

	LIST_EACH (&p->waiting, node, tmp) {
		struct post_publish *l = LIST_ENTRY(node, struct post_publish, letter.node);

		if (now >= l->until_ms)
			reply(l, PUBLISH_UNAVAILABLE);
	}
	if (!list_empty(&p->waiting))
		loop_timer_set(p->loop, &p->sweep, SWEEP_MS);
}

/* One after the other, so that each is sent with what the one before has shown. */
static void go_on(struct publisher *p)
{
	LIST_EACH (&p->waiting, node, tmp) {
		struct post_publish *l = LIST_ENTRY(node, struct post_publish, letter.node);

		if (!conn_up(&p->conn) || !list_empty(&p->asked))
			return;
		if (loop_now_ms(p->loop) < l->until_ms)
			send(p, l);
		else /* that one has had his answer */
			reply(l, PUBLISH_UNAVAILABLE);
	}
}

static void on_state(void *arg, bool up)
{
	struct publisher *p = arg;

	if (!up)
		return;
	conn_worked(&p->conn);
	go_on(p);
}

void publisher_init(struct publisher *p, struct loop *loop, const char *conninfo)
{
	*p = (struct publisher){.loop = loop, .conninfo = conninfo};
	p->sweep = (struct loop_timer){.fire = on_sweep, .arg = p};
	list_init(&p->waiting);
	list_init(&p->asked);
}

void publisher_reload(struct publisher *p, const char *conninfo, bool changed)
{
	p->conninfo = conninfo;
	if (p->started && changed)
		conn_restart(&p->conn, conninfo, "conninfo changed");
}

void publisher_stop(struct publisher *p)
{
	loop_timer_clear(p->loop, &p->sweep);
	if (p->started)
		conn_stop(&p->conn);
	LIST_EACH (&p->waiting, node, tmp)
		reply(LIST_ENTRY(node, struct post_publish, letter.node), PUBLISH_UNAVAILABLE);
}

void publisher_ask(struct publisher *p, struct post_publish *l)
{
	list_push(&p->waiting, &l->letter.node);
	if (!p->started) {
		p->started = true;
		conn_start(&p->conn, p->loop, "publish", p->conninfo, on_state, NULL, p);
	} else {
		go_on(p);
	}
	if (!list_empty(&p->waiting) && !p->sweep.place)
		loop_timer_set(p->loop, &p->sweep, SWEEP_MS);
}
