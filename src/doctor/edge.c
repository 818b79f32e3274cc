/* SPDX-License-Identifier: PostgreSQL
 * See visit.h: the way from the daemon to a browser, asked at the address that users open. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "doctor/probe.h"
#include "doctor/visit.h"
#include "wire/cursor.h"

enum { WAIT_MS = 5000, GRACE_MS = 5000, VALUE_MAX = 1024 };

/* The route that the URL's path is of; a proxy may have cut something off in front. */
static const struct conf_route *route_of(const struct conf *c, const char *url)
{
	const char *host = strstr(url, "://"), *path = host ? strchr(host + 3, '/') : NULL;
	size_t len = path ? strcspn(path, "?#") : 0;

	for (size_t i = 0; i < c->n_routes; i++) {
		size_t n = strlen(c->routes[i].path);

		if (c->routes[i].kind == ROUTE_EVENTS && len >= n &&
		    !strncmp(path + len - n, c->routes[i].path, n))
			return &c->routes[i];
	}
	for (size_t i = 0; i < c->n_routes; i++)
		if (c->routes[i].kind == ROUTE_EVENTS)
			return &c->routes[i];
	return NULL;
}

static void add_header(struct probe_request *r, char *line)
{
	r->headers[r->n_headers++] = line;
}

static void request_free(struct probe_request *r)
{
	for (size_t i = 0; i < r->n_headers; i++) {
		explicit_bzero(r->headers[i], strlen(r->headers[i]));
		free(r->headers[i]);
	}
	r->n_headers = 0;
}

/* A request as an EventSource makes it, besides that the token stands in a header. */
static void as_user(const struct visit *v, const struct conf_route *route, struct probe_request *r)
{
	const struct conf_auth *a = conf_find_auth(v->conf, route->auth.items[0]);

	*r = (struct probe_request){.url = v->url, .wait_ms = WAIT_MS};
	add_header(r, xstrdup("Accept: text/event-stream"));
	add_header(r, xstrdup("Accept-Encoding: gzip, br"));
	if (v->token && a && a->preset == PRESET_SESSION)
		add_header(r, xasprintf("Cookie: %s=%s", a->cookie, v->token));
	else if (v->token)
		add_header(r, xasprintf("Authorization: Token %s", v->token));
}

static bool is_stream(const struct probe *p)
{
	autobuf type = {0};

	buf_init(&type, VALUE_MAX);
	return probe_header(p, "content-type", &type) &&
	       !strncasecmp(buf_cstr(&type), "text/event-stream", strlen("text/event-stream"));
}

/* What brings an EventSource back: 200, the type, and a time or nothing. */
static void judge_outage(struct visit *v, const struct probe *p)
{
	autofree char *text = NULL;

	if (p->status == 200 && is_stream(p)) {
		visit_say(
			v,
			"While the daemon is away this address tells an EventSource to come back.");
		return;
	}
	text = xasprintf("it answers %d", p->status);
	visit_find(v, "edge-outage", v->url, text,
		   "the proxy's recipe (doc/recipes): 200, text/event-stream and a retry line "
		   "instead of 502, 503 and 504");
}

static void judge_status(struct visit *v, const struct probe *p)
{
	autofree char *text =
		xasprintf("the answer is %d: %.*s", p->status,
			  (int)strcspn(buf_cstr(&p->body), "\r\n"), buf_cstr(&p->body));
	autobuf location = {0};

	buf_init(&location, VALUE_MAX);
	if (p->status / 100 == 3) {
		free(text);
		text = xasprintf("it redirects to %s",
				 probe_header(p, "location", &location) ? buf_cstr(&location) : "");
		visit_find(v, "edge-redirect", v->url, text, "give users that address");
	} else if (p->status == 401) {
		visit_find(v, "edge-refused", v->url, text,
			   "a valid token; and proxy_set_header or its like for Authorization");
	} else if (p->status == 403) {
		visit_find(v, "edge-role", v->url, text, "roles in [route] and receives in [role]");
	} else if (p->status == 404) {
		visit_find(v, "edge-missing", v->url, text, "the path of a [route], unchanged");
	} else {
		visit_find(v, "edge-answer", v->url, text,
			   "the log of the proxy, or of the daemon, says why; the proxy's recipe "
			   "(doc/recipes) passes such a request as it is");
	}
}

static void judge_head(struct visit *v, const struct probe *p)
{
	autobuf value = {0};

	buf_init(&value, VALUE_MAX);
	if (!is_stream(p))
		visit_find(v, "edge-type", v->url,
			   probe_header(p, "content-type", &value) ? buf_cstr(&value) : "no type",
			   "let the proxy pass the answer's Content-Type");
	if (probe_header(p, "content-encoding", &value))
		visit_find(v, "edge-compressed", v->url, buf_cstr(&value),
			   "no compression for text/event-stream (gzip off; in that location)");
	if (p->version < 20 && !strncmp(v->url, "https:", 6))
		visit_find(v, "edge-http1", v->url, "no HTTP/2 is offered",
			   "HTTP/2 in the proxy (listen 443 ssl http2;)");
}

/* The position in the greeting; false when it did not come whole. */
static bool greeting_id(const struct probe *p, struct cursor *ret)
{
	const char *body = buf_cstr(&p->body), *id = strstr(body, "id: ");

	if (!id || !strstr(body, "\n\n") || (id > body && id[-1] != '\n'))
		return false;
	return cursor_parse(ret, id + 4, strcspn(id + 4, "\r\n"));
}

static void judge_hold(struct visit *v, const struct conf_route *route, const struct probe *p)
{
	autofree char *text = NULL;

	if (p->more) {
		visit_say(v, "A quiet stream stays open.");
	} else if (p->ended) {
		text = xasprintf("it was closed after %.1f s, keepalive is %.0f s",
				 (double)p->ended_ms / 1000, (double)route->keepalive_ms / 1000);
		visit_find(v, "edge-idle", v->url, text,
			   "a read time-out above keepalive in the proxy (proxy_read_timeout)");
	} else {
		text = xasprintf("nothing within %.0f s",
				 (double)(route->keepalive_ms + GRACE_MS) / 1000);
		visit_find(v, "edge-silent", v->url, text, "no buffering (proxy_buffering off)");
	}
}

/* A client that comes back says where it was, and the greeting repeats it. */
static void look_at_position(struct visit *v, const struct conf_route *route, struct cursor *was)
{
	struct probe_request r;
	struct probe p;
	struct cursor_text text;
	struct cursor now;

	was->loss++; /* so that it is not what a new client is greeted with */
	cursor_format(was, &text);
	as_user(v, route, &r);
	add_header(&r, xasprintf("Last-Event-ID: %s", text.text));
	probe_run(&p, &r);
	if (p.status != 200 || !greeting_id(&p, &now))
		visit_find(
			v, "edge-position", v->url, "the second request got no greeting",
			"once more; if it stays, the log of the proxy, or of the daemon, says why");
	else if (now.loss != was->loss)
		visit_find(v, "edge-position", v->url, "Last-Event-ID did not arrive",
			   "let the proxy pass that header");
	else
		visit_say(v, "A client that comes back goes on where it was.");
	probe_free(&p);
	request_free(&r);
}

static void look_at_origin(struct visit *v, const char *origin)
{
	struct probe_request r = {.method = "OPTIONS", .url = v->url, .wait_ms = WAIT_MS};
	struct probe p;
	autobuf value = {0};

	buf_init(&value, VALUE_MAX);
	add_header(&r, xasprintf("Origin: %s", origin));
	add_header(&r, xstrdup("Access-Control-Request-Method: GET"));
	add_header(&r, xstrdup("Access-Control-Request-Headers: authorization,last-event-id"));
	probe_run(&p, &r);
	if (!probe_header(&p, "access-control-allow-origin", &value) ||
	    strcmp(buf_cstr(&value), origin) != 0)
		visit_find(v, "edge-cors", origin, "the preflight does not allow it",
			   "let the proxy pass OPTIONS and the answer's headers");
	else if (!probe_header(&p, "access-control-allow-headers", &value) ||
		 !strcasestr(buf_cstr(&value), "authorization"))
		visit_find(v, "edge-cors", origin, "the preflight allows no Authorization header",
			   "let the proxy pass the answer's headers");
	else
		visit_say(v, "Pages of %s may open a stream.", origin);
	probe_free(&p);
	request_free(&r);
}

static void look_at_stream(struct visit *v, const struct conf_route *route)
{
	struct probe_request r;
	struct probe p;
	struct cursor position;

	as_user(v, route, &r);
	r.hold_ms = v->quick ? 0 : (unsigned)route->keepalive_ms + GRACE_MS;
	if (!v->quick)
		visit_say(v, "Waiting for a keep-alive through %s, up to %u s …", v->url,
			  r.hold_ms / 1000);
	probe_run(&p, &r);
	if (!p.status && !p.why.len && v->daemon) { /* connected, and not even a head */
		visit_find(v, "edge-buffered", v->url, "no answer within 5 s",
			   "no buffering (proxy_buffering off, or pass X-Accel-Buffering)");
	} else if (!p.status) {
		while (p.why.len && p.why.data[p.why.len - 1] == '\n')
			p.why.data[--p.why.len] = '\0';
		visit_find(v, "edge-unreachable", v->url,
			   p.why.len ? buf_cstr(&p.why) : "no answer in time",
			   "what the reason names: the name in DNS, the proxy's listen, its "
			   "certificate "
			   "and what it is signed by, a firewall");
	} else if (!v->daemon) {
		judge_outage(v, &p);
	} else if (p.status != 200) {
		judge_status(v, &p);
	} else {
		judge_head(v, &p);
		if (!greeting_id(&p, &position))
			visit_find(v, "edge-buffered", v->url, "no greeting within 5 s",
				   "no buffering (proxy_buffering off, or pass X-Accel-Buffering)");
		else {
			if (!v->quick)
				judge_hold(v, route, &p);
			look_at_position(v, route, &position);
		}
		visit_find(v, "edge-outage-untried", v->url, "the daemon is there", NULL);
	}
	probe_free(&p);
	request_free(&r);
}

void visit_edge(struct visit *v)
{
	const struct conf_route *route = route_of(v->conf, v->url);

	if (!route) {
		visit_blind(v, "edge", "the configuration has no route of events");
		return;
	}
	if (!v->token && v->daemon)
		visit_blind(v, "edge",
			    "no token was given (--token-file): a stream cannot be opened");
	else
		look_at_stream(v, route);
	for (size_t i = 0; v->daemon && i < v->conf->cors_origins.n; i++)
		if (strcmp(v->conf->cors_origins.items[i], "*") != 0)
			look_at_origin(v, v->conf->cors_origins.items[i]);
}
