/* SPDX-License-Identifier: PostgreSQL
 * See request.h. */
#include "config.h"
#include "web/request.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "auth/credential.h"
#include "auth/origin.h"
#include "base/mem.h"
#include "conf.h"
#include "web/admin.h"
#include "web/answer.h"
#include "web/caller.h"
#include "web/stream.h"
#include "web/worker.h"

#define BLOCK_BYTES 1024 /* the content reader's; a hello fits */

enum request_state {
	REQUEST_NEW,
	REQUEST_ASKING, /* suspended, the look-up is away */
	REQUEST_ASKED,	/* the verdict is here */
	REQUEST_STREAM, /* the response is a stream */
};

struct request {
	struct worker *worker;
	struct MHD_Connection *connection;
	struct caller *caller; /* whose connection it is */
	struct address client; /* who asks, as far as listed proxies say it; none: nobody knows */
	struct list node;
	struct conf *conf; /* the snapshot it is answered by; a reference */
	const struct conf_route *route;
	enum request_state state;
	struct post_lookup *lookup; /* away, or answered */
	struct loop_timer limit;
	bool http10;
	uint64_t rights_changes; /* the worker's count when the look-up went out */
	bool event_source; /* the token came in the URL, or as a cookie: probably EventSource */
	struct stream *stream;
	size_t hello_sent;
};

static void request_free(struct request *q)
{
	struct worker *w = q->worker;

	loop_timer_clear(w->loop, &q->limit);
	if (q->state == REQUEST_ASKING)
		q->lookup->asker = NULL; /* it frees itself when it comes back */
	else
		post_lookup_free(q->lookup);
	if (q->stream)
		stream_close(q->stream, "client closed before the stream began");
	list_remove(&q->node);
	w->http.n_requests--;
	conf_unref(q->conf);
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

/* The look-up takes too long: there will be no verdict, which is answered as unavailable. */
static void give_up(struct request *q)
{
	q->lookup->asker = NULL;
	q->lookup = NULL;
	resume(q);
}

static void on_limit(void *arg)
{
	struct request *q = arg;
	struct worker *w = q->worker;

	give_up(q);
	http_settle(w);
}

static unsigned jitter_ms(unsigned base)
{
	uint32_t r = 0;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = 0;
	return base + r % (base + 1);
}

/* "Not now": in the form that makes this kind of client come back. */
static enum MHD_Result not_before(struct request *q, unsigned status, const char *why,
				  uint64_t wait_ms)
{
	unsigned ms = (unsigned)(wait_ms > q->route->retry_ms ? wait_ms : q->route->retry_ms);

	if (q->event_source && q->route->kind == ROUTE_EVENTS)
		return answer_come_back(q->connection, q->conf, why, jitter_ms(ms));
	return answer_busy(q->connection, q->conf, status, why, (ms + 999) / 1000);
}

static enum MHD_Result not_now(struct request *q, unsigned status, const char *why)
{
	return not_before(q, status, why, 0);
}

struct forwarded_reading {
	enum forwarded_header kind;
	struct forwarded hops;
};

static enum MHD_Result read_forwarded(void *arg, enum MHD_ValueKind kind, const char *name,
				      const char *value)
{
	static const char *const names[] = {
		[FORWARDED_X_FOR] = "X-Forwarded-For", [FORWARDED_RFC] = "Forwarded"};
	struct forwarded_reading *r = arg;

	(void)kind;
	if (value && !strcasecmp(name, names[r->kind]))
		forwarded_add(&r->hops, r->kind, value);
	return MHD_YES;
}

static void find_client(struct request *q)
{
	struct forwarded_reading r = {.kind = (enum forwarded_header)q->conf->client_address};
	const struct address *peer = &q->caller->address;

	if (forwarded_trusts(&q->conf->trust, peer))
		MHD_get_connection_values(q->connection, MHD_HEADER_KIND, read_forwarded, &r);
	q->client = forwarded_client(&r.hops, &q->conf->trust, peer);
}

/* For the log: with the port when it is its own connection. */
static void peer_text(const struct request *q, char out[CALLER_PEER_MAX])
{
	if (address_is_none(&q->client) ||
	    !memcmp(&q->client, &q->caller->address, sizeof(q->client)))
		caller_peer(q->caller, out);
	else
		address_text(&q->client, out);
}

/* Whose failures they are: a proxy's that does not say for whom it asks. */
static const struct address *asks_from(const struct request *q)
{
	return address_is_none(&q->client) ? &q->caller->address : &q->client;
}

/* -1 when there is none. What libmicrohttpd points to is only good until it is asked again:
 * from 1.0 on, each connection has one such place. */
static int descriptor(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info ? info->connect_fd : -1;
}

/* libmicrohttpd asks for the stream's bytes: first the hello; the next call comes when all of it
 * is in the socket. Then the stream takes the socket: MHD_CONTENT_READER_END_WITH_ERROR makes
 * MHD close its descriptor, and with MHD_USE_TURBO it does so without shutdown(2). */
static ssize_t read_hello(void *arg, uint64_t pos, char *out, size_t max)
{
	struct request *q = arg;
	struct stream *s = q->stream; /* stays until it is adopted: see stream_end() */
	int fd;

	(void)pos;
	if (q->hello_sent < s->hello_len) {
		size_t n = s->hello_len - q->hello_sent;

		if (n > max)
			n = max;
		memcpy(out, s->hello + q->hello_sent, n);
		q->hello_sent += n;
		return (ssize_t)n;
	}
	q->stream = NULL;
	q->worker->http.run_wanted =
		true; /* MHD closes its side in the next run, not in this one */
	fd = fcntl(descriptor(q->connection), F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		stream_close(s, "no descriptor left");
	else
		stream_adopt(s, fd);
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

static enum MHD_Result start_stream(struct request *q, struct principal *who)
{
	struct worker *w = q->worker;
	const char *last =
		MHD_lookup_connection_value(q->connection, MHD_HEADER_KIND, "Last-Event-ID");
	struct MHD_Response *r;
	enum MHD_Result result;
	const char *hello =
		MHD_lookup_connection_value(q->connection, MHD_GET_ARGUMENT_KIND, "hello");
	char peer[CALLER_PEER_MAX];
	int send_buffer = (int)q->conf->send_buffer;

	if (!last)
		last = MHD_lookup_connection_value(q->connection, MHD_GET_ARGUMENT_KIND,
						   "last_event_id");
	if (!last)
		last = MHD_lookup_connection_value(q->connection, MHD_GET_ARGUMENT_KIND,
						   "lastEventId");
	r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_hello, q, NULL);
	if (!r) {
		registry_leave(w->registry, who->user_id);
		principal_free(who);
		return MHD_NO;
	}
	peer_text(q, peer);
	q->stream = stream_new(w, q->conf, q->route, who, q->lookup->token, last, peer, !q->http10,
			       hello && !strcmp(hello, "full"));
	q->state = REQUEST_STREAM;
	if (q->rights_changes != w->rights_changes) /* the verdict may be of before that */
		stream_hold(q->stream, 0);
	if (send_buffer) /* bounds what a stuck client holds: autotuning would take megabytes */
		setsockopt(descriptor(q->connection), SOL_SOCKET, SO_SNDBUF, &send_buffer,
			   sizeof(send_buffer));
	MHD_add_response_header(r, "Content-Type", ANSWER_STREAM_TYPE);
	MHD_add_response_header(r, "Cache-Control", "no-cache, no-transform");
	MHD_add_response_header(r, "X-Accel-Buffering", "no");
#if MHD_VERSION >= 0x00097310
	MHD_set_response_options(r, MHD_RF_SEND_KEEP_ALIVE_HEADER, MHD_RO_END);
#endif
	answer_headers(q->connection, q->conf, r);
	result = MHD_queue_response(q->connection, MHD_HTTP_OK, r);
	MHD_destroy_response(r);
	return result;
}

static const char *header(const struct request *q, const char *name)
{
	return MHD_lookup_connection_value(q->connection, MHD_HEADER_KIND, name);
}

static bool by_cookie(const struct request *q)
{
	const struct conf_auth *a = conf_find_auth(q->conf, q->route->auth);

	return a && a->preset == PRESET_SESSION;
}

static enum MHD_Result refuse(struct request *q, const char *no_token, const char *no_session)
{
	bool cookie = by_cookie(q);

	return answer_unauthorized(q->connection, q->conf, cookie ? "Cookie" : "Token",
				   cookie ? no_session : no_token);
}

static void note(const struct request *q, enum tally_reason reason)
{
	char peer[CALLER_PEER_MAX];

	peer_text(q, peer);
	tally_note(&q->worker->commons->tally, reason, loop_now_ms(q->worker->loop), peer, NULL);
}

/* The verdict is in: the answer it leads to. */
static enum MHD_Result answer_verdict(struct request *q)
{
	struct worker *w = q->worker;
	struct attempts *attempts = w->commons->attempts;
	uint64_t now = loop_now_ms(w->loop);
	struct principal *who;

	if (!q->lookup || q->lookup->verdict == LOOKUP_UNAVAILABLE)
		return not_now(q, MHD_HTTP_SERVICE_UNAVAILABLE,
			       "The database is not available; try again.");
	if (q->lookup->verdict == LOOKUP_OK)
		attempts_good(attempts, asks_from(q), q->lookup->token, now);
	else
		attempts_failed(attempts, asks_from(q), now);
	if (q->lookup->verdict == LOOKUP_UNKNOWN)
		return refuse(q, "Invalid token.", "You are not logged in.");
	if (q->lookup->verdict == LOOKUP_INACTIVE)
		return refuse(q, "User inactive or deleted.", "User inactive or deleted.");
	who = q->lookup->who;
	if (!conf_role_allowed(w->conf, q->route, who->role))
		return answer_error(q->connection, q->conf, MHD_HTTP_FORBIDDEN,
				    "Your role may not use this resource.");
	if (q->route->kind == ROUTE_STATS)
		return admin_stats(w, q->connection);
	if (!w->known || w->draining)
		return not_now(q, MHD_HTTP_SERVICE_UNAVAILABLE,
			       w->draining ? "Shutting down; connect again."
					   : "The database is not available; try again.");
	switch (registry_enter(w->registry, who->user_id)) {
	case REGISTRY_FULL:
		note(q, TALLY_STREAMS);
		return not_now(q, MHD_HTTP_SERVICE_UNAVAILABLE,
			       "Too many streams are open; try again later.");
	case REGISTRY_USER_FULL:
		note(q, TALLY_USER);
		return not_now(q, MHD_HTTP_TOO_MANY_REQUESTS, "You have too many streams open.");
	default:
		q->lookup->who = NULL;
		return start_stream(q, who);
	}
}

/* The token that came along, as a copy, or NULL. */
static char *find_token(struct request *q)
{
	const struct conf_auth *a = conf_find_auth(q->conf, q->route->auth);
	const char *text, *token;
	size_t len;

	if (a && a->preset == PRESET_SESSION) {
		text = header(q, "Cookie");
		token = text ? credential_from_cookie(text, a->cookie, &len) : NULL;
		q->event_source = token != NULL;
		return token ? xstrndup(token, len) : NULL;
	}
	text = header(q, "Authorization");
	token = text ? credential_from_header(text) : NULL;
	if (!token && q->route->query_token && q->route->kind == ROUTE_EVENTS) {
		token = MHD_lookup_connection_value(q->connection, MHD_GET_ARGUMENT_KIND, "token");
		q->event_source = token != NULL;
	}
	return token ? xstrdup(token) : NULL;
}

static bool page_allowed(const struct request *q)
{
	return !by_cookie(q) ||
	       origin_may_use_cookie(header(q, "Origin"), header(q, "Host"),
				     header(q, "Sec-Fetch-Site"), q->conf->cors_origins.items,
				     q->conf->cors_origins.n);
}

/* Suspends the request until the token's owner is known. */
static enum MHD_Result ask(struct request *q)
{
	struct worker *w = q->worker;
	struct address counted;
	uint64_t wait_ms, now = loop_now_ms(w->loop), until = q->caller->deadline_ms;
	struct post_lookup *l;

	if (!page_allowed(q))
		return answer_error(q->connection, q->conf, MHD_HTTP_FORBIDDEN,
				    "Pages of this origin may not use a session here.");
	l = q->lookup = xcalloc(1, sizeof(*l)); /* the request's own until it is posted */
	l->token = find_token(q);
	if (!l->token)
		return refuse(q, "Authentication credentials were not provided.",
			      "You are not logged in.");
	if (!credential_plausible(l->token))
		return refuse(q, "Invalid token.", "You are not logged in.");
	if (!attempts_allow(w->commons->attempts, asks_from(q), l->token, now, &wait_ms)) {
		note(q, TALLY_FAILURES);
		return not_before(q, MHD_HTTP_TOO_MANY_REQUESTS,
				  "Too many unknown credentials came from your address.", wait_ms);
	}
	counted = caller_counted(q->caller, &q->client);
	if (!lobby_ask(&w->commons->lobby, &q->caller->guest, &counted)) {
		note(q, TALLY_ADDRESS);
		return not_now(q, MHD_HTTP_TOO_MANY_REQUESTS,
			       "Too many requests of your address wait for an answer.");
	}
	l->letter.kind = POST_LOOKUP;
	l->reply_to = &w->inbox;
	l->auth = xstrdup(q->route->auth);
	l->asker = q;
	l->answered = on_answered;
	l->until_ms = loop_now_ms(w->loop) + q->conf->request_ms;
	q->rights_changes = w->rights_changes;
	q->state = REQUEST_ASKING;
	loop_timer_set(w->loop, &q->limit, until > now ? until - now : 0);
	MHD_suspend_connection(q->connection);
	inbox_post(w->db, &l->letter);
	return MHD_YES;
}

static const struct conf_route *find_route(const struct conf *conf, const char *path)
{
	for (size_t i = 0; i < conf->n_routes; i++)
		if (!strcmp(conf->routes[i].path, path))
			return &conf->routes[i];
	return NULL;
}

static const struct {
	const char *path;
	enum MHD_Result (*answer)(struct worker *w, struct MHD_Connection *c);
} open_routes[] = {
	{"/healthz", admin_healthz},
	{"/readyz", admin_readyz},
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
	bool get = !strcmp(method, MHD_HTTP_METHOD_GET);
	bool head = !strcmp(method, MHD_HTTP_METHOD_HEAD); /* load balancers like it */
	struct MHD_Connection *c = q->connection;

	q->route = find_route(q->conf, path);
	if (q->route) {
		if (!strcmp(method, MHD_HTTP_METHOD_OPTIONS))
			return answer_preflight(c, q->conf);
		return get ? ask(q) : answer_method(c, q->conf);
	}
	for (size_t i = 0; i < sizeof(open_routes) / sizeof(*open_routes); i++)
		if (!strcmp(open_routes[i].path, path))
			return get || head ? open_routes[i].answer(q->worker, c)
					   : answer_method(c, q->conf);
	return answer_error(c, q->conf, MHD_HTTP_NOT_FOUND, "Not found.");
}

enum MHD_Result request_handle(void *arg, struct MHD_Connection *c, const char *url,
			       const char *method, const char *version, const char *upload,
			       size_t *upload_size, void **req)
{
	struct worker *w = arg;
	struct request *q = *req;

	(void)upload;
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
		find_client(q);
		return MHD_YES;
	}
	if (*upload_size) { /* no route takes a body: read past it */
		*upload_size = 0;
		return MHD_YES;
	}
	if (q->state == REQUEST_ASKED)
		return answer_verdict(q);
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

		if (q->state == REQUEST_ASKING)
			give_up(q);
	}
}
