/* SPDX-License-Identifier: PostgreSQL
 * Credentials that come of others: a ticket for one, and another one for a stream that is open. See
 * request_parts.h. */
#include "config.h"
#include "web/request_parts.h"

#include <stdlib.h>
#include <string.h>

#include "auth/jwt.h"
#include "base/mem.h"
#include "conf.h"
#include "web/answer.h"
#include "web/control.h"
#include "wire/json.h"

#define WHY_MAX 2048 /* bytes of an answer */

/* The credential goes to where tickets are kept, sealed; the request waits for that. */
enum MHD_Result request_keep_ticket(struct request *q)
{
	struct post_lookup *l = q->lookup;
	const struct quota_asker asker = request_quota(q);
	autobuf sealed = {.max = (size_t)4 * JWT_MAX};
	uint64_t wait_ms = 0;
	enum tally_reason over = quota_open(&asker, NULL, &wait_ms);

	if (over != N_TALLIES)
		return request_limited(q, over, quota_status(over),
				       "Tickets are asked for too often.", wait_ms);

	if (!ticket_make(q->ticket) || !ticket_name(q->ticket, q->ticket_name) ||
	    !ticket_seal(q->ticket, l->auth, l->token, &sealed)) {
		*q->ticket = '\0';
		return answer_error(q->connection, q->conf, MHD_HTTP_INTERNAL_SERVER_ERROR,
				    "No ticket can be made.");
	}
	over = tickets_give(&q->worker->commons->tickets, q->worker->conf, q->ticket_name,
			    l->who->user_id, asker.from, asker.now_ms);
	if (over != N_TALLIES) {
		*q->ticket = '\0';
		return request_limited(q, over, MHD_HTTP_TOO_MANY_REQUESTS,
				       "Too many tickets have been given that nobody has used.", 0);
	}
	explicit_bzero(l->token, strlen(l->token));
	free(l->token);
	free(l->auth);
	principal_free(l->who);
	l->who = NULL;
	l->auth = xstrdup(AUTH_TICKETS);
	l->token = xstrdup(q->ticket_name);
	l->route = xstrdup(q->route->opens);
	l->sealed = buf_steal(&sealed);
	return request_post(q, q->worker->db);
}

enum MHD_Result request_answer_ticket(struct request *q)
{
	const struct conf_route *opens = conf_find_route(q->conf, q->route->opens);
	autobuf body = {.max = WHY_MAX};

	buf_printf(&body, "{\"ticket\": \"%s\", \"expires_in\": %d, \"path\": ", q->ticket,
		   TICKET_LIFE_S);
	json_string(&body, opens->path, strlen(opens->path));
	buf_str(&body, "}\n");
	return answer_text(q->connection, q->conf, MHD_HTTP_CREATED, "application/json",
			   buf_cstr(&body));
}

static enum MHD_Result no_such_stream(struct request *q)
{
	return answer_error(q->connection, q->conf, MHD_HTTP_NOT_FOUND,
			    "There is no such stream of yours.");
}

/* The credential goes to the worker whose stream it is: "WORKER.NUMBER", as the stream was told. */
enum MHD_Result request_renew(struct request *q)
{
	struct post_lookup *l = q->lookup;
	struct inbox *to = control_find(q->worker, q->query.stream, &l->stream);

	if (!to)
		return no_such_stream(q);
	l->letter.kind = POST_RENEW;
	q->renewing = true;
	return request_post(q, to);
}

enum MHD_Result request_answer_renewed(struct request *q)
{
	const struct post_lookup *l = q->lookup;
	autobuf body = {.max = WHY_MAX};

	if (l->verdict != LOOKUP_OK)
		return no_such_stream(q);
	buf_str(&body, "{\"stream\": ");
	json_string(&body, q->query.stream, strlen(q->query.stream));
	buf_str(&body, ", \"expires_in\": ");
	if (l->who->expires_ms)
		buf_u64(&body, l->who->expires_ms / 1000);
	else
		buf_str(&body, "null");
	buf_str(&body, "}\n");
	return answer_text(q->connection, q->conf, MHD_HTTP_OK, "application/json",
			   buf_cstr(&body));
}
