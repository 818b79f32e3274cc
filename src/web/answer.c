/* SPDX-License-Identifier: PostgreSQL
 * See answer.h. */
#include "config.h"
#include "web/answer.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "auth/origin.h"
#include "base/buf.h"
#include "conf.h"
#include "web/resource.h"
#include "wire/form.h"
#include "wire/json.h"

#define BODY_MAX 4096 /* bytes of an error's body */

/* Whether a page of that origin may read answers. */
static bool origin_allowed(const struct conf *conf, const char *origin)
{
	for (size_t i = 0; origin && i < conf->cors_origins.n; i++) {
		const char *item = conf->cors_origins.items[i];

		if (!strcmp(item, "*") || !strcmp(item, origin))
			return true;
	}
	return false;
}

bool answer_page_reads(struct MHD_Connection *c, const struct conf *conf)
{
	return origin_allowed(conf, MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Origin"));
}

/* Hands what every answer has to `add`. `origin` may be NULL. */
static void each_header(const struct conf *conf, const char *origin,
			void (*add)(void *arg, const char *name, const char *value), void *arg)
{
	add(arg, "X-Content-Type-Options", "nosniff");
	add(arg, "Referrer-Policy", "no-referrer");
	if (conf->cors_origins.n)
		add(arg, "Vary", "Origin");
	if (!origin_allowed(conf, origin))
		return;
	add(arg, "Access-Control-Allow-Origin", origin);
	/* A page cannot read it otherwise: Fetch, "CORS-safelisted response-header name". */
	add(arg, "Access-Control-Expose-Headers", "Retry-After");
	/* Not for "*": a page of any site could read what its visitor's cookie opens. */
	if (conf_takes_cookies(conf) &&
	    origin_listed(origin, conf->cors_origins.items, conf->cors_origins.n))
		add(arg, "Access-Control-Allow-Credentials", "true");
}

static void add_to_response(void *arg, const char *name, const char *value)
{
	MHD_add_response_header(arg, name, value);
}

static void add_to_text(void *arg, const char *name, const char *value)
{
	buf_printf(arg, "%s: %s\r\n", name, value);
}

void answer_headers(struct MHD_Connection *c, const struct conf *conf, struct MHD_Response *r)
{
	each_header(conf, MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Origin"),
		    add_to_response, r);
}

/* `code` may be NULL. */
static void detail_json(struct buf *b, const char *detail, const char *code)
{
	buf_init(b, BODY_MAX);
	buf_str(b, "{\"detail\": ");
	json_string(b, detail, strlen(detail));
	if (code)
		buf_printf(b, ", \"code\": \"%s\"", code);
	buf_str(b, "}\n");
}

void answer_refusal(struct buf *out, const struct conf *conf, const struct answer_refusal *refusal,
		    const char *origin, size_t origin_len, bool body)
{
	autofree char *from = origin ? xstrndup(origin, origin_len) : NULL;
	autobuf json = {0};

	detail_json(&json, refusal->detail, refusal->code);
	buf_init(out, BODY_MAX);
	buf_printf(out, "HTTP/1.1 %u %s\r\nConnection: close\r\n", refusal->status,
		   MHD_get_reason_phrase_for(refusal->status));
	buf_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", json.len);
	add_to_text(out, "Cache-Control", "no-store");
	if (refusal->allow)
		add_to_text(out, "Allow", refusal->allow);
	if (refusal->status == MHD_HTTP_SERVICE_UNAVAILABLE)
		add_to_text(out, "Retry-After", "5");
	each_header(conf, from, add_to_text, out);
	buf_str(out, "\r\n");
	if (body)
		buf_add(out, buf_cstr(&json), json.len);
}

static enum MHD_Result send_body(struct MHD_Connection *c, const struct conf *conf, unsigned status,
				 const char *type, const char *body, const char *const *headers)
{
	union {
		const char *text;
		void *data;
	} u = {.text = body}; /* copied: MHD's parameter is only not const */
	struct MHD_Response *r =
		MHD_create_response_from_buffer(strlen(body), u.data, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result;

	if (!r)
		return MHD_NO;
	if (type)
		MHD_add_response_header(r, "Content-Type", type);
	MHD_add_response_header(r, "Cache-Control", "no-store");
	/* One request a connection: only its head has been looked at before libmicrohttpd got it,
	 * and nothing that stands behind it is ever taken for another one. */
	MHD_add_response_header(r, "Connection", "close");
	answer_headers(c, conf, r);
	for (; headers && headers[0]; headers += 2)
		MHD_add_response_header(r, headers[0], headers[1]);
	result = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return result;
}

static enum MHD_Result send_detail(struct MHD_Connection *c, const struct conf *conf,
				   unsigned status, const char *detail, const char *const *headers)
{
	autobuf b = {0};

	detail_json(&b, detail, NULL);
	return send_body(c, conf, status, "application/json", buf_cstr(&b), headers);
}

enum MHD_Result answer_error(struct MHD_Connection *c, const struct conf *conf, unsigned status,
			     const char *detail)
{
	return send_detail(c, conf, status, detail, NULL);
}

enum MHD_Result answer_busy(struct MHD_Connection *c, const struct conf *conf, unsigned status,
			    const char *detail, const char *code, unsigned retry_s)
{
	char seconds[12];
	const char *const headers[] = {"Retry-After", seconds, NULL};
	autobuf b = {0};

	snprintf(seconds, sizeof(seconds), "%u", retry_s);
	detail_json(&b, detail, code);
	return send_body(c, conf, status, "application/json", buf_cstr(&b), headers);
}

enum MHD_Result answer_unauthorized(struct MHD_Connection *c, const struct conf *conf,
				    const char *scheme, const char *detail)
{
	const char *const headers[] = {"WWW-Authenticate", scheme, NULL};

	return send_detail(c, conf, MHD_HTTP_UNAUTHORIZED, detail, headers);
}

enum MHD_Result answer_method(struct MHD_Connection *c, const struct conf *conf,
			      const struct resource *there)
{
	autofree char *detail = resource_complaint(there);
	const char *const headers[] = {"Allow", there->allow, NULL};

	return send_detail(c, conf, MHD_HTTP_METHOD_NOT_ALLOWED, detail, headers);
}

enum MHD_Result answer_upgrade(struct MHD_Connection *c, const struct conf *conf, bool websocket,
			       const char *detail)
{
	static const char *const http[] = {"Upgrade", "HTTP/1.1", NULL};
	static const char *const version_13[] = {"Upgrade", "websocket", "Sec-WebSocket-Version",
						 "13", NULL};

	return send_detail(c, conf, MHD_HTTP_UPGRADE_REQUIRED, detail,
			   websocket ? version_13 : http);
}

static unsigned jitter_ms(unsigned base)
{
	uint32_t r = 0;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = 0;
	return base + r % (base + 1);
}

enum MHD_Result answer_come_back(struct MHD_Connection *c, const struct conf *conf, const char *why,
				 unsigned retry_ms)
{
	char body[200];

	snprintf(body, sizeof(body), "retry: %u\n: %s\n", jitter_ms(retry_ms), why);
	return send_body(c, conf, MHD_HTTP_OK, transport_type(TRANSPORT_SSE), body, NULL);
}

enum MHD_Result answer_test(struct MHD_Connection *c, const struct conf *conf)
{
	return send_body(c, conf, MHD_HTTP_OK, transport_type(TRANSPORT_SSE),
			 "data: {\"type\":\"test\",\"message\":\"SSE endpoint working\"}\n\n",
			 NULL);
}

/* Headers that a page may send: those of the doors among them. */
static void list_request_headers(struct buf *b, const struct conf *conf)
{
	buf_str(b, "authorization, last-event-id, cache-control, content-type");
	for (size_t i = 0; i < conf->n_auths; i++)
		for (size_t k = 0; k < conf->auths[i].n_where; k++)
			if (conf->auths[i].where[k].kind == PLACE_HEADER)
				buf_printf(b, ", %s", conf->auths[i].where[k].name);
}

enum MHD_Result answer_preflight(struct MHD_Connection *c, const struct conf *conf,
				 const char *allow)
{
	const char *origin = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Origin");
	const char *private = MHD_lookup_connection_value(c, MHD_HEADER_KIND,
							  "Access-Control-Request-Private-Network");
	autobuf names = {.max = BODY_MAX};
	const char *headers[] = {
		"Access-Control-Allow-Methods",
		allow,
		"Access-Control-Allow-Headers",
		NULL,
		"Access-Control-Max-Age",
		"7200",
		"Allow",
		allow,
		NULL, /* Private Network Access, section 3.2: a public page asks a private address
		       */
		"true",
		NULL,
	};

	list_request_headers(&names, conf);
	headers[3] = buf_cstr(&names);
	/* Not for "*", which says nothing about who may look behind this host's walls. */
	if (private && origin && !strcmp(private, "true") &&
	    origin_listed(origin, conf->cors_origins.items, conf->cors_origins.n))
		headers[8] = "Access-Control-Allow-Private-Network";
	return send_body(c, conf, MHD_HTTP_NO_CONTENT, NULL, "", headers);
}

enum MHD_Result answer_page(struct MHD_Connection *c, const struct conf *conf, const char *html,
			    const char *policy)
{
	const char *const headers[] = {"Content-Security-Policy", policy, NULL};

	return send_body(c, conf, MHD_HTTP_OK, "text/html; charset=utf-8", html, headers);
}

enum MHD_Result answer_text(struct MHD_Connection *c, const struct conf *conf, unsigned status,
			    const char *type, const char *body)
{
	return send_body(c, conf, status, type, body, NULL);
}
