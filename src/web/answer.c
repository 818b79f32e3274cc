/* SPDX-License-Identifier: PostgreSQL
 * See answer.h. */
#include "config.h"
#include "web/answer.h"

#include <stdio.h>
#include <string.h>

#include "auth/origin.h"
#include "base/buf.h"
#include "conf.h"
#include "wire/json.h"

#define BODY_MAX 4096 /* bytes of an error's body */

static const char *allowed_origin(struct MHD_Connection *c, const struct conf *conf)
{
	const char *origin = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Origin");

	for (size_t i = 0; origin && i < conf->cors_origins.n; i++) {
		const char *item = conf->cors_origins.items[i];

		if (!strcmp(item, "*") || !strcmp(item, origin))
			return origin;
	}
	return NULL;
}

void answer_headers(struct MHD_Connection *c, const struct conf *conf, struct MHD_Response *r)
{
	const char *origin = allowed_origin(c, conf);

	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
	if (conf->cors_origins.n)
		MHD_add_response_header(r, "Vary", "Origin");
	if (origin)
		MHD_add_response_header(r, "Access-Control-Allow-Origin", origin);
	if (origin) /* a page cannot read it otherwise: Fetch, "CORS-safelisted response-header
		       name" */
		MHD_add_response_header(r, "Access-Control-Expose-Headers", "Retry-After");
	/* Not for "*": a page of any site could read what its visitor's cookie opens. */
	if (origin && conf_takes_cookies(conf) &&
	    origin_listed(origin, conf->cors_origins.items, conf->cors_origins.n))
		MHD_add_response_header(r, "Access-Control-Allow-Credentials", "true");
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

	buf_init(&b, BODY_MAX);
	buf_str(&b, "{\"detail\": ");
	json_string(&b, detail, strlen(detail));
	buf_str(&b, "}\n");
	return send_body(c, conf, status, "application/json", buf_cstr(&b), headers);
}

enum MHD_Result answer_error(struct MHD_Connection *c, const struct conf *conf, unsigned status,
			     const char *detail)
{
	return send_detail(c, conf, status, detail, NULL);
}

enum MHD_Result answer_busy(struct MHD_Connection *c, const struct conf *conf, unsigned status,
			    const char *detail, unsigned retry_s)
{
	char seconds[12];
	const char *const headers[] = {"Retry-After", seconds, NULL};

	snprintf(seconds, sizeof(seconds), "%u", retry_s);
	return send_detail(c, conf, status, detail, headers);
}

enum MHD_Result answer_unauthorized(struct MHD_Connection *c, const struct conf *conf,
				    const char *scheme, const char *detail)
{
	const char *const headers[] = {"WWW-Authenticate", scheme, NULL};

	return send_detail(c, conf, MHD_HTTP_UNAUTHORIZED, detail, headers);
}

enum MHD_Result answer_method(struct MHD_Connection *c, const struct conf *conf)
{
	static const char *const headers[] = {"Allow", "GET, OPTIONS", NULL};

	return send_detail(c, conf, MHD_HTTP_METHOD_NOT_ALLOWED, "Method not allowed: use GET.",
			   headers);
}

enum MHD_Result answer_come_back(struct MHD_Connection *c, const struct conf *conf, const char *why,
				 unsigned retry_ms)
{
	char body[200];

	snprintf(body, sizeof(body), "retry: %u\n: %s\n", retry_ms, why);
	return send_body(c, conf, MHD_HTTP_OK, ANSWER_STREAM_TYPE, body, NULL);
}

enum MHD_Result answer_preflight(struct MHD_Connection *c, const struct conf *conf)
{
	static const char *const headers[] = {
		"Access-Control-Allow-Methods",
		"GET, OPTIONS",
		"Access-Control-Allow-Headers",
		"authorization, last-event-id, cache-control, content-type",
		"Access-Control-Max-Age",
		"7200",
		"Allow",
		"GET, OPTIONS",
		NULL,
	};

	return send_body(c, conf, MHD_HTTP_NO_CONTENT, NULL, "", headers);
}

enum MHD_Result answer_text(struct MHD_Connection *c, const struct conf *conf, unsigned status,
			    const char *type, const char *body)
{
	return send_body(c, conf, status, type, body, NULL);
}
