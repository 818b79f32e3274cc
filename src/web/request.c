/* SPDX-License-Identifier: PostgreSQL
 * See request.h. */
#include "config.h"
#include "web/request.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/credential.h"
#include "auth/jwt.h"
#include "auth/ticket.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf.h"
#include "web/admin.h"
#include "web/answer.h"
#include "web/audience.h"
#include "web/asker.h"
#include "web/handover.h"
#include "web/publication.h"
#include "web/query.h"
#include "web/stream.h"
#include "web/worker.h"
#include "wire/json.h"

#define PROBES	 3    /* looks for departed streams of a user, before he is told to come back */
#define PROBE_MS 300  /* for each */
#define WHY_MAX	 2048 /* bytes of a sentence to the client */

enum request_state {
	REQUEST_NEW,
	REQUEST_ASKING,	    /* suspended, the look-up is away */
	REQUEST_PUBLISHING, /* suspended, the message is away */
	REQUEST_ASKED,	    /* the verdict is here */
	REQUEST_WAITING,    /* suspended, for the user's departed streams to be noticed */
	REQUEST_STREAM,	    /* the response is a stream */
};

struct request {
	struct worker *worker;
	struct MHD_Connection *connection;
	struct caller *caller; /* whose connection it is */
	struct asker asker;
	struct query query;
	struct asker_credential credential; /* its token is the look-up's once that has begun */
	struct list node;
	struct conf *conf; /* the snapshot it is answered by; a reference */
	const struct conf_route *route;
	struct pattern_piece path_values[PATTERN_VARIABLES_MAX]; /* in libmicrohttpd's memory */
	enum request_state state;
	struct post_lookup *lookup; /* away, or answered */
	bool renewing;		    /* the look-up was good, and is at the stream that it is for */
	char ticket[TICKET_SIZE + 1]; /* that it gets when it has been kept; "" before */
	struct loop_timer limit;
	unsigned probes;  /* how often it has waited */
	struct seat seat; /* for its stream */
	bool http10;
	uint64_t rights_changes; /* the worker's count when the look-up went out */
	bool event_source; /* it comes back by itself to a stream that ends, and to nothing else */
	struct handover handover;
	struct publication publication;
	bool published; /* what there is to say is about that */
};

static void request_free(struct request *q)
{
	struct worker *w = q->worker;

	loop_timer_clear(w->loop, &q->limit);
	if (q->state == REQUEST_ASKING)
		q->lookup->asker = NULL; /* it frees itself when it comes back */
	else
		post_lookup_free(q->lookup);
	publication_clear(&q->publication, w, q->state == REQUEST_PUBLISHING);
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

static void resume(struct request *q)
{
	loop_timer_clear(q->worker->loop, &q->limit);
	lobby_answered(&q->worker->commons->lobby, &q->caller->guest);
	q->state = REQUEST_ASKED;
	MHD_resume_connection(q->connection);
	q->worker->http.run_wanted = true;
}

static void on_answered(struct post_lookup *l)
{
	struct request *q = l->asker;

	if (!q)
		post_lookup_free(l);
	else
		resume(q);
}

static void on_published(struct post_publish *l)
{
	struct request *q = l->asker;

	if (!q)
		post_publish_free(l);
	else
		resume(q);
}

/* The look-up takes too long: there will be no verdict, which is answered as unavailable. */
static void give_up(struct request *q)
{
	if (q->state == REQUEST_PUBLISHING) {
		q->publication.letter->asker = NULL;
		q->publication.letter = NULL;
	} else {
		q->lookup->asker = NULL;
		q->lookup = NULL;
	}
	resume(q);
}

static void on_limit(void *arg)
{
	struct request *q = arg;
	struct worker *w = q->worker;

	if (q->state == REQUEST_WAITING)
		resume(q);
	else
		give_up(q);
	http_settle(w);
}

/* The user has as many streams as he may. Perhaps the clients of some have gone, and a proxy in
 * between knows or will know when it is written to: so they are all written to, twice, since the
 * first write may only be what a reset answers. False when that has been done in vain. */
static bool wait_for_departed(struct request *q, const char *user_id)
{
	const struct commons *commons = q->worker->commons;
	struct address counted = caller_counted(q->caller, &q->asker.client);
	uint64_t now = loop_now_ms(q->worker->loop);

	if (q->probes++ == PROBES ||
	    !lobby_ask(&q->worker->commons->lobby, &q->caller->guest, &counted))
		return false;
	if (registry_probes(commons->registry, user_id, now, PROBE_MS / 2))
		for (size_t i = 0; i < commons->n_workers; i++) {
			struct post_probe *p = xcalloc(1, sizeof(*p) + strlen(user_id) + 1);

			p->letter.kind = POST_PROBE;
			memcpy(p->user_id, user_id, strlen(user_id));
			inbox_post(commons->workers[i], &p->letter);
		}
	q->state = REQUEST_WAITING;
	loop_timer_set(q->worker->loop, &q->limit, PROBE_MS);
	MHD_suspend_connection(q->connection);
	return true;
}

static void note(const struct request *q, enum tally_reason reason)
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

static enum MHD_Result not_now(struct request *q, unsigned status, const char *why,
			       const char *code)
{
	return not_before(q, status, why, code, 0);
}

/* The same, counted. */
static enum MHD_Result limited(struct request *q, enum tally_reason reason, unsigned status,
			       const char *why, uint64_t wait_ms)
{
	note(q, reason);
	return not_before(q, status, why, tally_name(reason), wait_ms);
}

static enum MHD_Result start_stream(struct request *q, struct principal *who)
{
	struct worker *w = q->worker;
	const char *last = asker_header(q->connection, "Last-Event-ID");
	const struct stream_wish wish = {last && *last ? last : q->query.position,
					 q->query.filter,
					 conf_route_form(q->route, q->query.transport),
					 q->query.full_hello,
					 !q->http10 && !q->query.upgrade.websocket,
					 q->credential.door,
					 q->seat};
	struct stream *s;
	char peer[CALLER_PEER_MAX];

	asker_text(&q->asker, peer);
	s = stream_new(w, q->conf, q->route, who, q->lookup->token, &wish, peer);
	q->query.filter = NULL;
	q->seat = (struct seat){0};
	q->state = REQUEST_STREAM;
	if (q->rights_changes != w->rights_changes) /* the verdict may be of before that */
		stream_hold(s, 0);
	if (q->query.upgrade.websocket)
		return handover_upgrade(&q->handover, w, q->connection, q->conf, s,
					&q->query.upgrade);
	return handover_start(&q->handover, w, q->connection, q->conf, s);
}

static enum MHD_Result refuse(struct request *q, const char *no_token, const char *no_session)
{
	const struct verifier *v = &verifiers[q->credential.auth->preset];

	return answer_unauthorized(q->connection, q->conf, v->challenge ? v->challenge : "Token",
				   q->credential.place == PLACE_COOKIE ? no_session : no_token);
}

static enum MHD_Result no_database(struct request *q)
{
	return limited(q, TALLY_DATABASE, MHD_HTTP_SERVICE_UNAVAILABLE,
		       "The database is not available; try again.", 0);
}

/* Where everybody comes in nobody guesses. */
static void count_attempt(const struct request *q)
{
	struct attempts *attempts = q->worker->commons->attempts;
	uint64_t now = loop_now_ms(q->worker->loop);

	if (q->credential.place == PLACE_NOWHERE)
		return;
	if (q->lookup->verdict == LOOKUP_OK)
		attempts_good(attempts, asker_account(&q->asker), q->lookup->token, now);
	else
		attempts_failed(attempts, asker_account(&q->asker), now);
}

/* Suspends the request until its letter has come back. */
static enum MHD_Result post_to(struct request *q, struct inbox *to, enum request_state state,
			       struct letter *l)
{
	struct worker *w = q->worker;
	uint64_t now = loop_now_ms(w->loop), until = q->caller->deadline_ms;
	struct address counted = caller_counted(q->caller, &q->asker.client);

	if (!lobby_ask(&w->commons->lobby, &q->caller->guest, &counted)) {
		return limited(q, TALLY_ADDRESS, MHD_HTTP_TOO_MANY_REQUESTS,
			       "Too many requests of your address wait for an answer.", 0);
	}
	q->rights_changes = w->rights_changes;
	q->state = state;
	loop_timer_set(w->loop, &q->limit, until > now ? until - now : 0);
	MHD_suspend_connection(q->connection);
	inbox_post(to, l);
	return MHD_YES;
}

static enum MHD_Result post(struct request *q, struct inbox *to)
{
	return post_to(q, to, REQUEST_ASKING, &q->lookup->letter);
}

static enum MHD_Result publish(struct request *q)
{
	enum MHD_Result result;
	struct post_publish *l;

	if (!publication_begin(&q->publication, q->worker, q->connection, q->conf, q->route,
			       q->lookup->who, &result))
		return result;
	l = q->publication.letter;
	l->reply_to = &q->worker->inbox;
	l->until_ms = q->caller->deadline_ms;
	l->asker = q;
	l->answered = on_published;
	q->published = true;
	return post_to(q, q->worker->db, REQUEST_PUBLISHING, &l->letter);
}

/* The credential goes to where tickets are kept, sealed; the request waits for that. */
static enum MHD_Result keep_ticket(struct request *q)
{
	struct post_lookup *l = q->lookup;
	autobuf sealed = {.max = (size_t)4 * JWT_MAX};
	char name[TICKET_NAME + 1];

	if (!ticket_make(q->ticket) || !ticket_name(q->ticket, name) ||
	    !ticket_seal(q->ticket, l->auth, l->token, &sealed))
		return answer_error(q->connection, q->conf, MHD_HTTP_INTERNAL_SERVER_ERROR,
				    "No ticket can be made.");
	explicit_bzero(l->token, strlen(l->token));
	free(l->token);
	free(l->auth);
	principal_free(l->who);
	l->who = NULL;
	l->auth = xstrdup(AUTH_TICKETS);
	l->token = xstrdup(name);
	l->route = xstrdup(q->route->opens);
	l->sealed = buf_steal(&sealed);
	return post(q, q->worker->db);
}

static enum MHD_Result answer_ticket(struct request *q)
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
static enum MHD_Result renew(struct request *q)
{
	const struct commons *commons = q->worker->commons;
	const char *name = q->query.stream, *dot = strchr(name, '.');
	struct post_lookup *l = q->lookup;
	uint64_t worker;

	if (!dot || !num_u64(name, (size_t)(dot - name), &worker) ||
	    !num_u64(dot + 1, strlen(dot + 1), &l->stream) || worker >= commons->n_workers)
		return no_such_stream(q);
	l->letter.kind = POST_RENEW;
	q->renewing = true;
	return post(q, commons->workers[worker]);
}

static enum MHD_Result answer_renewed(struct request *q)
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

/* A ticket stands for a credential of another door, by which the stream goes on. */
static bool find_door(struct request *q)
{
	return q->credential.auth->preset != PRESET_TICKET ||
	       conf_find_door(q->route, q->lookup->auth, &q->credential.door);
}

/* The verdict is in: the answer it leads to. */
static enum MHD_Result answer_verdict(struct request *q)
{
	struct worker *w = q->worker;
	const struct conf_route *opens =
		q->route->kind == ROUTE_TICKET ? conf_find_route(q->conf, q->route->opens) : NULL;
	struct principal *who;
	uint64_t wait_ms;
	autobuf why = {.max = WHY_MAX};
	unsigned status;

	if (!q->lookup || q->lookup->verdict == LOOKUP_UNAVAILABLE)
		return no_database(q);
	if (*q->ticket)
		return q->lookup->verdict == LOOKUP_OK ? answer_ticket(q) : no_database(q);
	if (q->renewing)
		return answer_renewed(q);
	count_attempt(q);
	if (q->lookup->verdict == LOOKUP_UNKNOWN || !find_door(q))
		return refuse(q, "Invalid token.", "You are not logged in.");
	if (q->lookup->verdict == LOOKUP_INACTIVE)
		return refuse(q, "User inactive or deleted.", "User inactive or deleted.");
	who = q->lookup->who;
	if (!conf_role_allowed(w->conf, opens ? opens : q->route, who->role))
		return answer_error(q->connection, q->conf, MHD_HTTP_FORBIDDEN,
				    "Your role may not use this resource.");
	if (opens)
		return keep_ticket(q);
	if (q->route->kind == ROUTE_RENEW)
		return renew(q);
	if (conf_route_publishes(q->route))
		return publish(q);
	if (q->route->kind == ROUTE_STATS)
		return admin_stats(w, q->connection);
	if (q->route->test_mode)
		return answer_test(q->connection, q->conf);
	if (w->draining)
		return not_now(q, MHD_HTTP_SERVICE_UNAVAILABLE, "Shutting down; connect again.",
			       "shutdown");
	if (!w->known)
		return no_database(q);
	status = audience_set(who, q->conf, q->route, q->path_values, &q->query, &why);
	if (status)
		return answer_error(q->connection, q->conf, status, buf_cstr(&why));
	if (!query_knows_topics(&q->query, q->conf, &why))
		return answer_error(q->connection, q->conf, MHD_HTTP_BAD_REQUEST, buf_cstr(&why));
	if (!q->probes && !pace_take(w->commons->pace, q->route->name, who->user_id,
				     q->route->opens_per_user, loop_now_ms(w->loop), &wait_ms))
		return limited(q, TALLY_USER_OPENS, MHD_HTTP_TOO_MANY_REQUESTS,
			       "You open streams too often.", wait_ms);
	switch (seat_take(&q->seat, w->registry, q->route, asker_account(&q->asker))) {
	case SEAT_ROUTE_FULL:
		return limited(q, TALLY_ROUTE, MHD_HTTP_SERVICE_UNAVAILABLE,
			       "Too many streams are open here; try again later.", 0);
	case SEAT_ADDRESS_FULL:
		return limited(q, TALLY_HOME, MHD_HTTP_TOO_MANY_REQUESTS,
			       "Your address has too many streams open.", 0);
	case SEAT_OK:
		break;
	}
	switch (registry_enter(w->registry, who->user_id)) {
	case REGISTRY_FULL:
		return limited(q, TALLY_STREAMS, MHD_HTTP_SERVICE_UNAVAILABLE,
			       "Too many streams are open; try again later.", 0);
	case REGISTRY_USER_FULL:
		if (wait_for_departed(q, who->user_id))
			return MHD_YES;
		return limited(q, TALLY_USER, MHD_HTTP_TOO_MANY_REQUESTS,
			       "You have too many streams open.", 0);
	default:
		q->lookup->who = NULL;
		return start_stream(q, who);
	}
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

/* Whether its route is for clients from there. Who does not say whence he comes is from nowhere. */
static bool may_come(const struct request *q)
{
	const struct conf_route *r = q->route;

	return !r->allow_ips.n || (!asker_is_nameless(&q->asker, q->conf) &&
				   forwarded_trusts(&r->allowed, asker_account(&q->asker)));
}

static bool keeps_pace(struct request *q, uint64_t *ret_wait_ms)
{
	struct address block = address_block(asker_account(&q->asker));
	char text[ADDRESS_TEXT_MAX];

	address_text(&block, text);
	return pace_take(q->worker->commons->pace, q->route->name, text,
			 q->route->opens_per_address, loop_now_ms(q->worker->loop), ret_wait_ms);
}

static bool is_posted(const struct conf_route *route)
{
	return route->kind == ROUTE_TICKET || route->kind == ROUTE_RENEW ||
	       conf_route_publishes(route);
}

/* Suspends the request until the token's owner is known. */
static enum MHD_Result ask(struct request *q)
{
	struct worker *w = q->worker;
	uint64_t wait_ms, now = loop_now_ms(w->loop);
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
	if (l->token && place == PLACE_COOKIE && is_posted(q->route) &&
	    !asker_header(q->connection, "Origin"))
		return answer_error(q->connection, q->conf, MHD_HTTP_FORBIDDEN,
				    "A cookie is not enough for this: an Origin is missing.");
	q->event_source =
		q->query.transport == TRANSPORT_SSE &&
		(q->query.event_stream || q->query.url.name || (l->token && place == PLACE_COOKIE));
	if (!may_come(q)) {
		note(q, TALLY_FROM);
		return answer_error(q->connection, q->conf, MHD_HTTP_FORBIDDEN,
				    "Your address may not use this resource.");
	}
	if (!keeps_pace(q, &wait_ms))
		return limited(q, TALLY_ADDRESS_OPENS, MHD_HTTP_TOO_MANY_REQUESTS,
			       "Your address opens streams too often.", wait_ms);
	if (!l->token && !q->credential.strange)
		return refuse(q, "Authentication credentials were not provided.",
			      "You are not logged in.");
	if (!l->token || !credential_plausible(l->token, jwt ? JWT_MAX : TOKEN_MAX))
		return refuse(q, "Invalid token.", "You are not logged in.");
	if (place != PLACE_NOWHERE &&
	    !attempts_allow(w->commons->attempts, asker_account(&q->asker), l->token, now,
			    &wait_ms)) {
		return limited(q, TALLY_FAILURES, MHD_HTTP_TOO_MANY_REQUESTS,
			       "Too many unknown credentials came from your address.", wait_ms);
	}
	if (asker_is_nameless(&q->asker, q->conf))
		note(q, TALLY_NAMELESS);
	l->letter.kind = POST_LOOKUP;
	l->reply_to = &w->inbox;
	l->auth = xstrdup(q->credential.auth->name);
	l->route = q->credential.auth->preset == PRESET_TICKET ? xstrdup(q->route->name) : NULL;
	l->asker = q;
	l->answered = on_answered;
	l->until_ms = q->caller->deadline_ms;
	return post(q, q->worker->db);
}

static const struct open_route {
	const char *path;
	enum MHD_Result (*answer)(struct worker *w, struct MHD_Connection *c);
} open_routes[] = {
	{"/healthz", admin_healthz},
	{"/readyz", admin_readyz},
	{0},
};

/* "http://host/path" is a target too (RFC 9112 section 3.2.2); its host is that of the Host header.
 */
static const char *path_of(const char *target)
{
	const char *host = *target == '/' ? NULL : strstr(target, "://"), *path;

	if (!host)
		return target;
	path = strchr(host + 3, '/');
	return path ? path : "/";
}

static enum MHD_Result route(struct request *q, const char *path, const char *method)
{
	bool head = !strcmp(method, MHD_HTTP_METHOD_HEAD); /* load balancers like it */
	struct MHD_Connection *c = q->connection;
	const struct open_route *open = open_routes;
	const char *allowed = MHD_HTTP_METHOD_GET;
	autobuf why = {.max = WHY_MAX};
	unsigned status;

	q->route = conf_route_at(q->conf, path, q->path_values);
	while (!q->route && strcmp(open->path, path) != 0)
		if (!(++open)->path)
			return answer_error(c, q->conf, MHD_HTTP_NOT_FOUND, "Not found.");
	if (q->route && is_posted(q->route))
		allowed = MHD_HTTP_METHOD_POST;
	if (q->route && !strcmp(method, MHD_HTTP_METHOD_OPTIONS))
		return answer_preflight(c, q->conf, allowed);
	if (strcmp(method, allowed) != 0 && !(head && !q->route))
		return answer_method(c, q->conf, allowed);
	status = query_read(&q->query, c, q->conf, q->route, q->http10, &why);
	if (status == MHD_HTTP_UPGRADE_REQUIRED)
		return answer_upgrade(c, q->conf, query_talks(q->route), buf_cstr(&why));
	if (status)
		return answer_error(c, q->conf, status, buf_cstr(&why));
	return q->route ? ask(q) : open->answer(q->worker, c);
}

enum MHD_Result request_handle(void *arg, struct MHD_Connection *c, const char *url,
			       const char *method, const char *version, const char *upload,
			       size_t *upload_size, void **req)
{
	struct worker *w = arg;
	struct request *q = *req;

	if (!q) { /* the head has been read */
		q = *req = xcalloc(1, sizeof(*q));
		q->worker = w;
		q->connection = c;
		q->caller = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
				    ->socket_context;
		q->conf = conf_ref(w->conf);
		q->http10 = !strcmp(version, MHD_HTTP_VERSION_1_0);
		q->limit = (struct loop_timer){.fire = on_limit, .arg = q};
		list_push(&w->http.requests, &q->node);
		w->http.n_requests++;
		asker_find(&q->asker, c, q->conf, q->caller);
		return MHD_YES;
	}
	if (*upload_size) { /* caller.c lets no other pass */
		publication_add(&q->publication, w, upload, *upload_size);
		*upload_size = 0;
		return MHD_YES;
	}
	if (q->state == REQUEST_ASKED)
		return q->published ? publication_answer(&q->publication, c, q->conf)
				    : answer_verdict(q);
	return route(q, path_of(url), method);
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

		if (q->state == REQUEST_ASKING || q->state == REQUEST_PUBLISHING) {
			give_up(q);
		} else if (q->state == REQUEST_WAITING) {
			q->probes = PROBES;
			resume(q);
		}
	}
}
