/* SPDX-License-Identifier: PostgreSQL
 * See page.h. */
#include "config.h"
#include "web/page.h"

#include <string.h>
#include <sys/random.h>

#include "auth/base64url.h"
#include "base/buf.h"
#include "conf.h"
#include "web/answer.h"

#define PAGE_MAX    (64 << 10)
#define NONCE_BYTES 16 /* CSP3, section 7.1 "Nonce reuse": at least 128 bits */

static void add_escaped(struct buf *b, const char *text)
{
	for (; *text; text++)
		if (strchr("&<>\"'", *text))
			buf_printf(b, "&#%d;", *text);
		else
			buf_char(b, *text);
}

static void add_transports(struct buf *b, const struct conf_route *r)
{
	for (enum wire_transport t = 0; t < N_TRANSPORTS; t++)
		if (conf_route_carries(r, t))
			buf_printf(b, "<option%s value=\"%s\">%s</option>",
				   t == r->first ? " selected" : "", transport_name(t),
				   transport_title(t));
}

/* Whether one of the route's doors looks into Sec-WebSocket-Protocol; the URL is the other place
 * that a page's WebSocket has. */
static bool takes_protocol(const struct conf *conf, const struct conf_route *r)
{
	for (size_t i = 0; i < r->auth.n; i++) {
		const struct conf_auth *a = conf_find_auth(conf, r->auth.items[i]);

		for (size_t k = 0; k < a->n_where; k++)
			if (a->where[k].kind == PLACE_PROTOCOL)
				return true;
	}
	return false;
}

/* The text, with what belongs in the places of {{nonce}}, {{path}}, {{place}} and
 * {{transports}}. */
static void fill(struct buf *b, const struct conf *conf, const struct conf_route *r,
		 const char *nonce)
{
	const char *text = page_text, *mark;

	for (; (mark = strstr(text, "{{")); text = strstr(mark, "}}") + 2) {
		buf_add(b, text, (size_t)(mark - text));
		if (mark[2] == 'n')
			buf_str(b, nonce);
		else if (!strncmp(mark, "{{place", 7))
			buf_str(b, takes_protocol(conf, r) ? "protocol" : "query");
		else if (mark[2] == 'p')
			add_escaped(b, r->path);
		else
			add_transports(b, r);
	}
	buf_str(b, text);
}

enum MHD_Result page_answer(struct MHD_Connection *c, const struct conf *conf,
			    const struct conf_route *page)
{
	unsigned char random[NONCE_BYTES];
	char nonce[BASE64URL_DIGITS(NONCE_BYTES) + 1];
	autobuf html = {.max = PAGE_MAX};
	autobuf policy = {.max = 512};

	if (getrandom(random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		return answer_error(c, conf, MHD_HTTP_SERVICE_UNAVAILABLE,
				    "There is no randomness yet.");
	base64url_encode(nonce, random, sizeof(random));
	fill(&html, conf, conf_find_route(conf, page->opens), nonce);
	buf_printf(&policy,
		   "default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; "
		   "connect-src 'self'; base-uri 'none'; form-action 'none'; "
		   "frame-ancestors 'none'",
		   nonce, nonce);
	return answer_page(c, conf, buf_cstr(&html), buf_cstr(&policy));
}
