/* SPDX-License-Identifier: PostgreSQL
 * See request.h. */
#include "config.h"
#include "web/request_parts.h"

#include <stdlib.h>
#include <string.h>

#include "auth/credential.h"
#include "auth/jwt.h"
#include "base/mem.h"
#include "conf.h"
#include "web/answer.h"
#include "web/control.h"
#include "web/inquiry.h"
#include "web/page.h"
#include "web/resource.h"
#include "web/roll.h"

#define WHY_MAX 2048 /* bytes of a sentence to the client */

static void request_free(struct request *q)
{
	struct worker *w = q->worker;

	loop_timer_clear(w->loop, &q->limit);
	if (q->state == REQUEST_ASKING)
		q->lookup->asker = NULL; /* it frees itself when it comes back */
	else
		post_lookup_free(q->lookup);
	publication_clear(&q->publication, w, q->state == REQUEST_PUBLISHING);
	if (q->state == REQUEST_EXPLAINING)
		q->inquiry->asker = NULL;
	else
		post_explain_free(q->inquiry);
	if (q->state == REQUEST_CALLING)
		q->roll->asker = NULL;
	else
		post_roll_free(q->roll);
	if (q->state == REQUEST_CHOOSING)
		q->choice->asker = NULL;
	else
		post_choice_free(q->choice);
	handover_cancel(&q->handover);
	list_remove(&q->node);
	w->http.n_requests--;
	query_clear(&q->query);
	seat_leave(&q->seat, w->registry, q->route);
	conf_unref(q->conf);
	explicit_bzero(q->ticket, sizeof(q->ticket));
	free(q);
	worker_check_drained(w);
}

/* Whether the page that asks, if it is one, may. What a browser sends by itself is no sign that its
 * user wants it; and a WebSocket is read by any page, where CORS would let none read a stream. */
static bool page_allowed(const struct request *q)
{
	if (q->credential.place == PLACE_COOKIE)
		return asker_page_allowed(q->connection, q->conf);
	return q->credential.place != PLACE_NOWHERE || !q->query.upgrade.websocket ||
	       answer_page_reads(q->connection, q->conf) ||
	       asker_page_allowed(q->connection, q->conf);
}

static bool may_come(const struct request *q)
{
	return conf_route_admits(q->conf, q->route, asker_account(&q->asker));
}

static enum MHD_Result refuse_address(struct request *q)
{
	request_note(q, TALLY_FROM);
	return answer_error(q->connection, q->conf, MHD_HTTP_FORBIDDEN,
			    "Your address may not use this resource.");
}

/* Suspends the request until the token's owner is known. */
static enum MHD_Result ask(struct request *q)
{
	struct worker *w = q->worker;
	uint64_t wait_ms, now = loop_now_ms(w->loop);
	const struct quota_asker asker = {w->commons, q->route, NULL, asker_account(&q->asker),
					  now};
	enum tally_reason over;
	struct post_lookup *l;
	enum place_kind place;
	bool jwt;

	asker_present(&q->asker, q->connection, q->conf, q->route, &q->query.url, &q->credential);
	place = q->credential.place;
	jwt = verifiers[q->credential.auth->preset].jwt;
	l = q->lookup = xcalloc(1, sizeof(*l)); /* the request's own until it is posted */
	l->token = q->credential.token;
	if (!page_allowed(q))
		return answer_error(q->connection, q->conf, MHD_HTTP_FORBIDDEN,
				    place == PLACE_COOKIE
					    ? "Pages of this origin may not use a session here."
					    : "Pages of this origin may not read here.");
	/* A form of another site can post, too; browsers say of every POST whose page made it. */
	if (l->token && place == PLACE_COOKIE &&
	    (conf_route_is_posted(q->route) || q->route->kind == ROUTE_DISCONNECT) &&
	    !asker_header(q->connection, "Origin"))
		return answer_error(q->connection, q->conf, MHD_HTTP_FORBIDDEN,
				    "A cookie is not enough for this: an Origin is missing.");
	q->event_source =
		q->query.transport == TRANSPORT_SSE &&
		(q->query.event_stream || q->query.url.name || (l->token && place == PLACE_COOKIE));
	if (!may_come(q))
		return refuse_address(q);
	over = quota_come(&asker, &wait_ms);
	if (over != N_TALLIES)
		return request_limited(q, over, quota_status(over), quota_why(over), wait_ms);
	if (!l->token && !q->credential.strange)
		return request_refuse(q, "Authentication credentials were not provided.",
				      "You are not logged in.");
	if (place != PLACE_NOWHERE &&
	    !attempts_allow(w->commons->attempts, asker_account(&q->asker),
			    l->token ? l->token : "", now, &wait_ms)) {
		return request_limited(q, TALLY_FAILURES, MHD_HTTP_TOO_MANY_REQUESTS,
				       "Too many unknown credentials came from your address.",
				       wait_ms);
	}
	/* A key whose name nobody has is a guess like others, though there is nothing to look up.
	 */
	if (!l->token || !credential_plausible(l->token, jwt ? JWT_MAX : TOKEN_MAX)) {
		attempts_failed(w->commons->attempts, asker_account(&q->asker), now);
		return request_refuse(q, "Invalid token.", "You are not logged in.");
	}
	if (asker_is_nameless(&q->asker, q->conf))
		request_note(q, TALLY_NAMELESS);
	l->letter.kind = POST_LOOKUP;
	l->reply_to = &w->inbox;
	l->auth = xstrdup(q->credential.auth->name);
	if (q->credential.auth->preset == PRESET_TICKET) {
		l->route = xstrdup(q->route->name);
		if (!ticket_name(l->token, q->ticket_name))
			*q->ticket_name = '\0';
	}
	l->asker = q;
	l->answered = request_on_answered;
	l->until_ms = q->caller->deadline_ms;
	return request_post(q, q->worker->db);
}

static enum MHD_Result route(struct request *q, const char *target, const char *method)
{
	struct MHD_Connection *c = q->connection;
	autobuf why = {.max = WHY_MAX};
	struct resource there;
	unsigned status;

	if (!resource_at(&there, q->conf, target, q->path_values))
		return answer_error(c, q->conf, MHD_HTTP_NOT_FOUND, RESOURCE_NONE);
	q->route = there.route;
	if (q->route && !strcmp(method, MHD_HTTP_METHOD_OPTIONS))
		return answer_preflight(c, q->conf, there.allow);
	if (strcmp(method, there.method) != 0 &&
	    (q->route || strcmp(method, MHD_HTTP_METHOD_HEAD) != 0))
		return answer_method(c, q->conf, &there);
	if (q->route && q->route->kind == ROUTE_PAGE)
		return may_come(q) ? page_answer(c, q->conf, q->route) : refuse_address(q);
	status = query_read(&q->query, c, q->conf, q->route, q->http10, &why);
	if (status == MHD_HTTP_UPGRADE_REQUIRED)
		return answer_upgrade(c, q->conf, query_talks(q->route), buf_cstr(&why));
	if (status == MHD_HTTP_UNAUTHORIZED)
		return request_refuse_url(q, buf_cstr(&why));
	if (status)
		return answer_error(c, q->conf, status, buf_cstr(&why));
	return q->route ? ask(q) : there.answer(q->worker, c);
}

enum MHD_Result request_handle(void *arg, struct MHD_Connection *c, const char *url,
			       const char *method, const char *version, const char *upload,
			       size_t *upload_size, void **req)
{
	struct worker *w = arg;
	struct request *q = *req;

	if (!q) { /* the head has been read, and nothing of a body */
		q = *req = xcalloc(1, sizeof(*q));
		q->worker = w;
		q->connection = c;
		q->caller = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
				    ->socket_context;
		q->conf = conf_ref(w->conf);
		q->http10 = !strcmp(version, MHD_HTTP_VERSION_1_0);
		q->limit = (struct loop_timer){.fire = request_on_limit, .arg = q};
		list_push(&w->http.requests, &q->node);
		w->http.n_requests++;
		asker_find(&q->asker, c, q->conf, q->caller);
		/* What is answered here ends the connection, which a stream's head must not say. */
		if (!q->caller->head.body)
			return MHD_YES;
	}
	if (q->state == REQUEST_NEW)
		return route(q, url, method);
	if (q->state == REQUEST_LATE)
		return MHD_NO;
	if (*upload_size) {
		publication_add(&q->publication, upload, *upload_size);
		*upload_size = 0;
		return MHD_YES;
	}
	if (q->state == REQUEST_READING)
		return request_body_has_come(q);
	if (q->inquired)
		return inquiry_answer(c, q->conf, q->inquiry);
	if (q->published)
		return publication_answer(&q->publication, c, q->conf);
	if (q->called)
		return roll_answer(c, q->conf, q->roll);
	return q->chosen ? control_answer(q->choice, c, q->conf, q->query.stream)
			 : request_answer_verdict(q);
}

void request_completed(void *arg, struct MHD_Connection *c, void **req,
		       enum MHD_RequestTerminationCode why)
{
	(void)arg;
	(void)c;
	(void)why;
	if (*req)
		request_free(*req);
	*req = NULL;
}

void request_give_up_all(struct worker *w)
{
	LIST_EACH (&w->http.requests, node, tmp) {
		struct request *q = LIST_ENTRY(node, struct request, node);

		if (q->state == REQUEST_ASKING || q->state == REQUEST_PUBLISHING ||
		    q->state == REQUEST_EXPLAINING || q->state == REQUEST_CALLING ||
		    q->state == REQUEST_CHOOSING) {
			request_give_up(q);
		} else if (q->state == REQUEST_WAITING) {
			q->probes = PROBES;
			request_resume(q);
		}
	}
}
