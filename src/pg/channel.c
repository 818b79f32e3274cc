/* SPDX-License-Identifier: PostgreSQL
 * See channel.h. */
#include "config.h"
#include "pg/channel.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"

#define COMPLAIN_MS 10000 /* malformed payloads are in the log at most this often */

static void on_listening(void *arg, const PGresult *r)
{
	(void)arg;
	if (r && PQresultStatus(r) != PGRES_COMMAND_OK)
		log_error("journal: LISTEN failed: %s", conn_error(r));
}

void channels_listen(struct channels *cs, struct conn *c)
{
	for (size_t i = 0; i < cs->n; i++) {
		const char *name = cs->list[i].name;
		char *ident = PQescapeIdentifier(c->pg, name, strlen(name));
		autobuf sql = {0};

		buf_init(&sql, 256);
		buf_printf(&sql, "LISTEN %s", ident ? ident : "\"\"");
		PQfreemem(ident);
		conn_query(c, buf_cstr(&sql), 0, NULL, on_listening, NULL);
	}
}

static void complain(struct channels *cs, const struct channel *c, const char *why, uint64_t now_ms)
{
	cs->n_malformed++;
	if (cs->n_malformed > 1 && now_ms < cs->complained_ms + COMPLAIN_MS)
		return;
	cs->complained_ms = now_ms;
	log_warn("channel %s: a payload is no event (%s); %" PRIu64 " so far", c->name, why,
		 cs->n_malformed);
}

struct event *channels_take(struct channels *cs, const char *name, const char *payload,
			    uint64_t now_ms, int64_t at)
{
	const struct channel *c = cs->list;
	const char *why = NULL;
	struct event *e;

	while (c < cs->list + cs->n && strcmp(c->name, name) != 0)
		c++;
	if (c == cs->list + cs->n)
		return NULL;
	e = c->topics ? inline_from_trigger(c->topics, payload, at, &why)
		      : inline_from_application(&c->rule, payload, at, &why);
	if (!e)
		complain(cs, c, why, now_ms);
	return e;
}

struct event *channels_gap(struct channels *cs, int64_t at)
{
	if (!cs->gap || !cs->n)
		return NULL;
	cs->gap = false;
	return event_resync("gap", cs->topics, NULL, at);
}

void channels_free(struct channels *cs)
{
	free(cs->topics);
	cs->topics = NULL;
}
