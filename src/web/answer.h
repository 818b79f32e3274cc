/* SPDX-License-Identifier: PostgreSQL
 * Ordinary answers: a status, a small body, the headers every answer has. */
#ifndef PGHERALD_WEB_ANSWER_H
#define PGHERALD_WEB_ANSWER_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

struct buf;
struct conf;
struct resource;

struct answer_refusal {
	unsigned status;
	const char *detail;
	const char *code;  /* may be NULL */
	const char *allow; /* with 405 */
};

/* {"detail": …}, as Django REST framework words its errors. */
enum MHD_Result answer_error(struct MHD_Connection *c, const struct conf *conf, unsigned status,
			     const char *detail);
/* The same with Retry-After in seconds, and with a "code" unless that is NULL. */
enum MHD_Result answer_busy(struct MHD_Connection *c, const struct conf *conf, unsigned status,
			    const char *detail, const char *code, unsigned retry_s);
/* 401 with the scheme to use (RFC 9110 section 11.6.1). */
enum MHD_Result answer_unauthorized(struct MHD_Connection *c, const struct conf *conf,
				    const char *scheme, const char *detail);
/* 405 with Allow. */
enum MHD_Result answer_method(struct MHD_Connection *c, const struct conf *conf,
			      const struct resource *there);
/* An event stream that ends at once after telling EventSource when to try again, after one to two
 * times `retry_ms`, so that not all come at once: any status but 200 would make it give up for good
 * (WHATWG HTML, section 9.2.3 "fail the connection"). */
enum MHD_Result answer_come_back(struct MHD_Connection *c, const struct conf *conf, const char *why,
				 unsigned retry_ms);
/* 426, and what there is (RFC 9110 section 15.5.22): WebSocket of the one version, or HTTP/1.1. */
enum MHD_Result answer_upgrade(struct MHD_Connection *c, const struct conf *conf, bool websocket,
			       const char *detail);
/* What a stream of a route in test mode is. */
enum MHD_Result answer_test(struct MHD_Connection *c, const struct conf *conf);
/* A CORS preflight's answer, 204, where these methods are allowed. */
enum MHD_Result answer_preflight(struct MHD_Connection *c, const struct conf *conf,
				 const char *allow);
/* A page under a Content-Security-Policy; both are copied. */
enum MHD_Result answer_page(struct MHD_Connection *c, const struct conf *conf, const char *html,
			    const char *policy);
/* A body of the given type; copied. */
enum MHD_Result answer_text(struct MHD_Connection *c, const struct conf *conf, unsigned status,
			    const char *type, const char *body);
/* A whole answer as bytes, {"detail": …} in it, for a request that libmicrohttpd is not given.
 * `out` is made here. `origin` is that of the request, of so many bytes, or NULL; `body` false for
 * HEAD. */
void answer_refusal(struct buf *out, const struct conf *conf, const struct answer_refusal *refusal,
		    const char *origin, size_t origin_len, bool body);
/* Whether CORS lets the page that asks read an answer. */
bool answer_page_reads(struct MHD_Connection *c, const struct conf *conf) MUST_CHECK;
/* Adds what every answer has: the CORS headers when the origin is on the list, no caching of
 * types. */
void answer_headers(struct MHD_Connection *c, const struct conf *conf, struct MHD_Response *r);

#endif
