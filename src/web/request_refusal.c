/* SPDX-License-Identifier: PostgreSQL
 * Answers of a request that say no, or not now. See request_parts.h. */
#include "config.h"
#include "web/request_parts.h"

#include "conf.h"
#include "web/answer.h"

void request_note(const struct request *q, enum tally_reason reason)
{
	char peer[CALLER_PEER_MAX];

	asker_text(&q->asker, peer);
	tally_note(&q->worker->commons->tally, reason, loop_now_ms(q->worker->loop), peer, NULL);
}

/* "Not now": in the form that makes this kind of client come back. */
static enum MHD_Result not_before(struct request *q, unsigned status, const char *why,
				  const char *code, uint64_t wait_ms)
{
	unsigned ms = (unsigned)(wait_ms > q->route->retry_ms ? wait_ms : q->route->retry_ms);

	if (q->event_source && q->route->kind == ROUTE_EVENTS)
		return answer_come_back(q->connection, q->conf, why, ms);
	return answer_busy(q->connection, q->conf, status, why, code, (ms + 999) / 1000);
}

enum MHD_Result request_not_now(struct request *q, unsigned status, const char *why,
				const char *code)
{
	return not_before(q, status, why, code, 0);
}

/* The same, counted. */
enum MHD_Result request_limited(struct request *q, enum tally_reason reason, unsigned status,
				const char *why, uint64_t wait_ms)
{
	request_note(q, reason);
	return not_before(q, status, why, tally_name(reason), wait_ms);
}

static enum MHD_Result refuse(struct request *q, const struct conf_auth *door, const char *why)
{
	const struct verifier *v = &verifiers[door->preset];

	return answer_unauthorized(q->connection, q->conf, v->challenge ? v->challenge : "Token",
				   why);
}

enum MHD_Result request_refuse_url(struct request *q, const char *why)
{
	return refuse(q, conf_find_auth(q->conf, q->route->auth.items[0]), why);
}

enum MHD_Result request_refuse(struct request *q, const char *no_token, const char *no_session)
{
	return refuse(q, q->credential.auth,
		      q->credential.place == PLACE_COOKIE ? no_session : no_token);
}

enum MHD_Result request_no_database(struct request *q)
{
	return request_limited(q, TALLY_DATABASE, MHD_HTTP_SERVICE_UNAVAILABLE,
			       "The database is not available; try again.", 0);
}

enum MHD_Result request_no_permission(struct request *q)
{
	return request_limited(q, TALLY_AUTHORIZE, MHD_HTTP_SERVICE_UNAVAILABLE,
			       "It could not be asked whether you may hear this; try again.", 0);
}

enum MHD_Result request_too_many(struct request *q)
{
	return request_limited(q, TALLY_ADDRESS, MHD_HTTP_TOO_MANY_REQUESTS,
			       "Too many requests of your address wait for an answer.", 0);
}
