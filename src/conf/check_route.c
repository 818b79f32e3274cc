/* SPDX-License-Identifier: PostgreSQL
 * What a [route] says about the forms in which it tells. See check_conf() in parser.h. */
#include "config.h"

#include <string.h>

#include "conf/parser.h"

/* A transport that is named must be able to carry the dialect. */
static bool check_transport(struct parser *p, struct conf_route *r, const char *name, unsigned line)
{
	enum wire_transport t = transport_find(name);
	const char *why;

	if (t == N_TRANSPORTS) {
		parser_fail(p, line, "[route %s] transports: there is no %.80s; there are", r->name,
			    name);
		for (t = 0; t < N_TRANSPORTS; t++)
			buf_printf(p->error, "%s %s", t ? "," : "", transport_name(t));
		return false;
	}
	if (conf_route_carries(r, t))
		return parser_fail(p, line, "[route %s] transports: %s is there twice", r->name,
				   name);
	why = form_complaint(t, (enum wire_dialect)r->dialect, !r->ids);
	if (why)
		return parser_fail(p, line, "[route %s] %s cannot carry the dialect %s: %s",
				   r->name, name, dialect_names[r->dialect], why);
	r->carried |= 1U << t;
	return true;
}

bool check_forms(struct parser *p, struct conf_route *r, unsigned line)
{
	const struct dialect *d = dialects[r->dialect];

	if (r->txid && !d->tells_txid)
		return parser_fail(p, line, "[route %s] txid: the dialect %s has no place for it",
				   r->name, d->name);
	for (size_t i = 0; i < r->transports.n; i++)
		if (!check_transport(p, r, r->transports.items[i], line))
			return false;
	for (enum wire_transport t = 0; !r->transports.n && t < N_TRANSPORTS; t++)
		if (!form_complaint(t, (enum wire_dialect)r->dialect, !r->ids))
			r->carried |= 1U << t;
	if (r->test_mode && !conf_route_carries(r, TRANSPORT_SSE))
		return parser_fail(p, line, "[route %s] test_mode is told in sse", r->name);
	return true;
}
