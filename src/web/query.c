/* SPDX-License-Identifier: PostgreSQL
 * See query.h. */
#include "config.h"
#include "web/query.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "conf.h"
#include "hub/filter.h"
#include "web/answer.h"
#include "web/asker.h"
#include "wire/negotiate.h"

/* Filled in with a parameter's name; limits as in hub/filter.h. */
#define FILTER_COMPLAINT                                                                           \
	"%s is a list of at most 64 names, separated by commas, each of 1 to 128 bytes."

#define CHANNELS_COMPLAINT                                                                         \
	"%s is a list of at most 32 channels, separated by commas, each of 1 to 128 letters, "     \
	"digits and any of _.:@-"

enum kind {
	TOKEN,
	TYPES,
	TOPICS,
	CHANNELS,
	POSITION,
	HELLO,
	TRANSPORT,
	POLYFILL_POSITION,
	NOTHING
};

/* In the order in which they are told; those of polyfills are not. */
static const struct parameter {
	const char *name;
	enum kind kind;
} parameters[] = {
	{"token", TOKEN},
	{"types", TYPES},
	{"topics", TOPICS},
	{"channels", CHANNELS},
	{"last_event_id", POSITION},
	{"hello", HELLO},
	{"transport", TRANSPORT},
	/* Yaffle's adds the first, or one of its user's choice; AmvTek's the second. It is of later
	 * date than last_event_id, which a page has put into the URL that the polyfill began with.
	 */
	{"lastEventId", POLYFILL_POSITION},
	{"evs_last_event_id", POLYFILL_POSITION},
	{"Last-Event-ID", POLYFILL_POSITION},
	/* Against caches, and about paddings that only Internet Explorer needed. */
	{"_", NOTHING},
	{"r", NOTHING},
	{"padding", NOTHING},
	{"evs_preamble", NOTHING},
	{"evs_buffer_size_limit", NOTHING},
};

/* Those of routes that are no streams. */
static const struct part {
	int kind; /* enum route_kind */
	const char *name;
	size_t at; /* in struct query */
} parts[] = {
	{ROUTE_EXPLAIN, "user", offsetof(struct query, inquiry.user)},
	{ROUTE_EXPLAIN, "role", offsetof(struct query, inquiry.role)},
	{ROUTE_EXPLAIN, "event", offsetof(struct query, inquiry.event)},
	{ROUTE_EXPLAIN, "row", offsetof(struct query, inquiry.row)},
	{ROUTE_CONNECTIONS, "after", offsetof(struct query, page.after)},
	{ROUTE_CONNECTIONS, "limit", offsetof(struct query, page.limit)},
};

#define N_PARTS (sizeof(parts) / sizeof(*parts))

struct reading {
	struct query *q;
	const struct conf *conf;
	const struct conf_route *route;
	struct buf *why;
	unsigned status;
	bool polyfill; /* q->position is a polyfill's */
};

static bool is_events(const struct reading *r)
{
	return r->route && r->route->kind == ROUTE_EVENTS;
}

static bool takes_token(const struct reading *r, const char *name)
{
	return is_events(r) && asker_takes_url(r->conf, r->route, name);
}

bool query_talks(const struct conf_route *route)
{
	return route && route->kind == ROUTE_EVENTS &&
	       conf_route_carries(route, TRANSPORT_WEBSOCKET);
}

static enum MHD_Result wrong(struct reading *r, const char *fmt, const char *name)
{
	r->status = MHD_HTTP_BAD_REQUEST;
	buf_printf(r->why, fmt, name); /* a literal of this file */
	return MHD_NO;
}

/* It is none, so where one is needed there is none. */
static enum MHD_Result not_in_the_url(struct reading *r, const char *name)
{
	(void)wrong(r, "No %.80s is taken in the URL of this path.", name);
	if (r->route && asker_must_show(r->conf, r->route))
		r->status = MHD_HTTP_UNAUTHORIZED;
	return MHD_NO;
}

static enum MHD_Result unknown(struct reading *r, const char *name)
{
	size_t n = 0;

	(void)wrong(r, "There is no parameter \"%.80s\" here; there ", name);
	for (const struct parameter *p = parameters; is_events(r) && p->kind < POLYFILL_POSITION;
	     p++)
		if (p->kind != TOKEN || takes_token(r, p->name))
			buf_printf(r->why, "%s%s", n++ ? ", " : "are: ", p->name);
	for (size_t i = 0; r->route && i < N_PARTS; i++)
		if (parts[i].kind == r->route->kind)
			buf_printf(r->why, "%s%s", n++ ? ", " : "are: ", parts[i].name);
	buf_str(r->why, n ? "." : "are none.");
	return MHD_NO;
}

static const struct parameter *find(const char *name)
{
	const struct parameter *end = parameters + sizeof(parameters) / sizeof(*parameters);

	for (const struct parameter *p = parameters; p < end; p++)
		if (p->kind == POLYFILL_POSITION ? !strcasecmp(p->name, name)
						 : !strcmp(p->name, name))
			return p;
	return NULL;
}

/* `what` of each transport of the route, as a list. */
static void list_transports(struct reading *r, const char *(*what)(enum wire_transport transport))
{
	size_t n = 0;

	for (enum wire_transport t = 0; t < N_TRANSPORTS; t++)
		if (conf_route_carries(r->route, t) && what(t))
			buf_printf(r->why, "%s%s", n++ ? ", " : "", what(t));
	buf_str(r->why, n ? "." : "application/json."); /* poll's, where it is all there is */
}

static bool not_begun(struct reading *r)
{
	r->status = MHD_HTTP_UPGRADE_REQUIRED;
	buf_str(r->why, "A WebSocket begins with a handshake; open it with new WebSocket(…).");
	return false;
}

static enum MHD_Result take_transport(struct reading *r, const char *value)
{
	enum wire_transport t = transport_find(value);

	r->q->transport = t;
	if (t != N_TRANSPORTS && conf_route_carries(r->route, t)) {
		if (transport_talks(t) == r->q->upgrade.websocket)
			return MHD_YES;
		if (transport_talks(t))
			return not_begun(r) ? MHD_YES : MHD_NO;
		return wrong(r, "The %s in the URL is not WebSocket, which the headers ask for.",
			     "transport");
	}
	r->status = MHD_HTTP_NOT_ACCEPTABLE;
	buf_str(r->why, "There is no such transport here; there are: ");
	list_transports(r, transport_name);
	return MHD_NO;
}

/* Of two, one server on the way would take the first, another the last. */
static enum MHD_Result take_credential(struct reading *r, const char *name, const char *value)
{
	if (r->q->url.name)
		return strcmp(r->q->url.name, name)
			       ? wrong(r, "\"%s\" is the second credential in this URL.", name)
			       : wrong(r, "The parameter \"%s\" is there twice.", name);
	r->q->url = (struct asker_url){name, value};
	return MHD_YES;
}

static enum MHD_Result take_stream(struct reading *r, const char *value)
{
	if (r->q->stream)
		return wrong(r, "The parameter \"%s\" is there twice.", "stream");
	r->q->stream = value;
	return MHD_YES;
}

static const struct part *find_part(const struct reading *r, const char *name)
{
	for (size_t i = 0; r->route && i < N_PARTS; i++)
		if (parts[i].kind == r->route->kind && !strcmp(parts[i].name, name))
			return &parts[i];
	return NULL;
}

static enum MHD_Result take_part(struct reading *r, const struct part *p, const char *value)
{
	const char **to = (const char **)((char *)r->q + p->at);

	if (*to)
		return wrong(r, "The parameter \"%s\" is there twice.", p->name);
	*to = value;
	return MHD_YES;
}

static enum MHD_Result take(struct reading *r, enum kind kind, const char *value)
{
	struct query *q = r->q;

	switch (kind) {
	case TOKEN:
		return not_in_the_url(r, "token");
	case TYPES:
		if (!filter_add_types(&q->filter, value))
			return wrong(r, FILTER_COMPLAINT, "types");
		break;
	case TOPICS:
		if (!filter_add_topics(&q->filter, value))
			return wrong(r, FILTER_COMPLAINT, "topics");
		break;
	case CHANNELS:
		if (!subscription_add(&q->channels, value))
			return wrong(r, CHANNELS_COMPLAINT, "channels");
		break;
	case POSITION:
		if (!r->polyfill)
			q->position = value;
		break;
	case POLYFILL_POSITION:
		r->polyfill = true;
		q->position = value;
		break;
	case HELLO:
		if (*value && strcmp(value, "full") != 0)
			return wrong(r, "%s can only be \"full\".", "hello");
		q->full_hello = *value != '\0';
		break;
	case TRANSPORT:
		return take_transport(r, value);
	case NOTHING:
		break;
	}
	return MHD_YES;
}

/* What fills one of the route's channels. */
static enum MHD_Result take_given(struct reading *r, const char *name, const char *value)
{
	if (query_given(r->q, name, strlen(name)))
		return wrong(r, "The parameter \"%.80s\" is there twice.", name);
	if (!channel_is_name(value, strlen(value))) {
		r->status = MHD_HTTP_NOT_FOUND;
		buf_str(r->why, "There is no such channel.");
		return MHD_NO;
	}
	if (r->q->n_given == QUERY_GIVEN_MAX)
		return wrong(r, "The parameter \"%.80s\" is one too many.", name);
	r->q->given[r->q->n_given++] = (struct query_given){name, value};
	return MHD_YES;
}

static enum MHD_Result read_parameter(void *arg, enum MHD_ValueKind mhd_kind, const char *name,
				      const char *value)
{
	struct reading *r = arg;
	const struct parameter *p;
	const struct part *part;
	unsigned bit;

	(void)mhd_kind;
	if (!name || !*name) /* "?", "&&" */
		return MHD_YES;
	if (takes_token(r, name))
		return take_credential(r, name, value ? value : "");
	if (is_events(r) && conf_route_asks(r->route, name))
		return take_given(r, name, value ? value : "");
	if (r->route && conf_route_names_stream(r->route) && !strcmp(name, "stream"))
		return take_stream(r, value ? value : "");
	part = find_part(r, name);
	if (part)
		return take_part(r, part, value ? value : "");
	p = find(name);
	if (!p && r->route && asker_would_take_url(r->conf, r->route, name))
		return not_in_the_url(r, name);
	if (!p || (!is_events(r) && p->kind != TOKEN && p->kind != NOTHING))
		return unknown(r, name);
	bit = 1U << (p - parameters);
	/* Lists add up. */
	if (r->q->seen & bit && p->kind != TYPES && p->kind != TOPICS && p->kind != CHANNELS &&
	    p->kind != NOTHING)
		return wrong(r, "The parameter \"%s\" is there twice.", p->name);
	r->q->seen |= bit;
	return take(r, p->kind, value ? value : "");
}

/* What a client gets that names none: the route's first, unless that begins with a handshake. */
static enum wire_transport transport_unnamed(const struct conf_route *route)
{
	enum wire_transport t = route->first;

	if (transport_talks(t))
		for (t = 0; t < N_TRANSPORTS; t++)
			if (conf_route_carries(route, t) && !transport_talks(t))
				break;
	return t;
}

/* Of the route's transports the first that Accept names, in the order of their table; or else what
 * is for everybody, if it lets that pass: who means another one says so. N_TRANSPORTS when there is
 * none. */
static enum wire_transport transport_accepted(const struct conf_route *route, const char *accept)
{
	enum wire_transport all = transport_unnamed(route);
	const char *media;

	for (enum wire_transport t = 0; t < N_TRANSPORTS; t++)
		if (conf_route_carries(route, t) && transport_media(t) &&
		    negotiate_names(accept, transport_media(t)))
			return t;
	if (all == N_TRANSPORTS)
		return all;
	media = transport_media(all) ? transport_media(all) : transport_type(all);
	return negotiate_accepts(accept, media) ? all : N_TRANSPORTS;
}

static bool check_accept(struct reading *r, struct MHD_Connection *c)
{
	autobuf accept = upgrade_header_list(c, "Accept");

	if (r->q->upgrade.websocket) { /* which browsers send no Accept with */
		r->q->transport = TRANSPORT_WEBSOCKET;
		return true;
	}
	r->q->event_stream = negotiate_names(buf_cstr(&accept), transport_media(TRANSPORT_SSE));
	r->q->transport = TRANSPORT_SSE;
	if (is_events(r))
		r->q->transport = transport_accepted(r->route, buf_cstr(&accept));
	/* A probe's question is answered by the status; a parameter goes before the header. */
	if (!r->route || (is_events(r) && r->q->transport != N_TRANSPORTS) ||
	    (is_events(r) && MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "transport")) ||
	    (!is_events(r) && negotiate_accepts(buf_cstr(&accept), "application/json")))
		return true;
	if (is_events(r) && transport_unnamed(r->route) == N_TRANSPORTS)
		return not_begun(r);
	r->status = MHD_HTTP_NOT_ACCEPTABLE;
	buf_str(r->why, "Accept leaves out what there is: ");
	if (is_events(r))
		list_transports(r, transport_media);
	else
		buf_str(r->why, "application/json.");
	return false;
}

unsigned query_read(struct query *q, struct MHD_Connection *c, const struct conf *conf,
		    const struct conf_route *route, bool http10, struct buf *why)
{
	struct reading r = {.q = q, .conf = conf, .route = route, .why = why};

	r.status = upgrade_read(&q->upgrade, c, query_talks(route), http10, why);
	if (!r.status && check_accept(&r, c))
		MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, read_parameter, &r);
	if (!r.status && is_events(&r))
		filter_limit(&q->filter, route->types.items, route->types.n);
	if (r.status == MHD_HTTP_UPGRADE_REQUIRED && is_events(&r)) {
		buf_str(why, " Transports here: ");
		list_transports(&r, transport_name);
	}
	if (!r.status && route && conf_route_names_stream(route) && !q->stream)
		(void)wrong(&r, "The parameter \"%s\" is missing.", "stream");
	return r.status;
}

/* Whether the part before the dot is a watch's topic; with [listen] or [publish] the application
 * names its own.
 */
static bool exists(const struct conf *conf, const char *item)
{
	size_t len = strcspn(item, ".");

	if (conf->n_listens || conf->publishers.n || !strcmp(item, "*") ||
	    (len == 6 && !memcmp(item, "system", 6)))
		return true;
	for (size_t i = 0; i < conf->n_watches; i++)
		if (strlen(conf->watches[i].name) == len &&
		    !memcmp(conf->watches[i].name, item, len))
			return true;
	return false;
}

static bool all_exist(char *const *items, size_t n, const struct conf *conf, struct buf *why)
{
	for (size_t i = 0; i < n; i++) {
		if (exists(conf, items[i]))
			continue;
		buf_printf(why, "Nothing is called \"%.80s\" here; topics are: ", items[i]);
		for (size_t k = 0; k < conf->n_watches; k++)
			buf_printf(why, "%s%s", k ? ", " : "", conf->watches[k].name);
		buf_char(why, '.');
		return false;
	}
	return true;
}

bool query_knows_topics(const struct query *q, const struct conf *conf, struct buf *why)
{
	const struct filter *f = q->filter;

	return !f || (all_exist(f->types, f->n_types, conf, why) &&
		      all_exist(f->topics, f->n_topics, conf, why));
}

const char *query_given(const struct query *q, const char *name, size_t len)
{
	for (unsigned i = 0; i < q->n_given; i++)
		if (strlen(q->given[i].name) == len && !memcmp(q->given[i].name, name, len))
			return q->given[i].value;
	return NULL;
}

void query_clear(struct query *q)
{
	filter_free(q->filter);
	q->filter = NULL;
	subscription_clear(&q->channels);
}
