/* SPDX-License-Identifier: PostgreSQL
 * What a request's URL and headers ask for besides its path. Nothing of it is passed over in
 * silence: a parameter that is not known, a form that is not had, a protocol that is not spoken are
 * refused. */
#ifndef PGHERALD_WEB_QUERY_H
#define PGHERALD_WEB_QUERY_H

#include <microhttpd.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/mem.h"
#include "hub/subscription.h"
#include "web/asker.h"
#include "web/upgrade.h"
#include "wire/form.h"

struct conf;
struct conf_route;
struct filter;

#define QUERY_GIVEN_MAX 8

struct query {
	/* In libmicrohttpd's memory; NULL when it is not there. */
	struct asker_url url; /* its credential */
	const char *position;
	const char *stream; /* that is to be renewed */
	struct query_inquiry {
		const char *user, *role, *event, *row;
	} inquiry; /* what is to be explained */
	struct query_page {
		const char *after, *limit;
	} page; /* of a list */
	bool full_hello;
	enum wire_transport transport; /* of the stream */
	struct upgrade upgrade;
	bool event_stream;     /* it names that type: a client of event streams */
	struct filter *filter; /* NULL: everything */
	struct subscription channels;
	struct query_given {
		const char *name, *value;
	} given[QUERY_GIVEN_MAX]; /* for the route's channels */
	unsigned n_given;
	unsigned seen; /* parameters, a bit each */
};

/* Reads a request for `route`, NULL for a path that takes nothing. 0, or the status of a refusal
 * with a sentence in `why`. query_clear() releases it in any case. */
unsigned query_read(struct query *q, struct MHD_Connection *c, const struct conf *conf,
		    const struct conf_route *route, bool http10, struct buf *why) MUST_CHECK;
/* Whether the topics that a filter names exist, for somebody who may know which do. False with a
 * sentence in `why`. */
bool query_knows_topics(const struct query *q, const struct conf *conf, struct buf *why) MUST_CHECK;
/* Whether there are WebSockets at a route, which may be NULL. */
bool query_talks(const struct conf_route *route) MUST_CHECK;
/* The value of a parameter that the route's channels ask for, or NULL. */
const char *query_given(const struct query *q, const char *name, size_t len);
void query_clear(struct query *q);

#endif
