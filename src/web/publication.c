/* SPDX-License-Identifier: PostgreSQL
 * See publication.h. */
#include "config.h"
#include "web/publication.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "conf.h"
#include "hub/subscription.h"
#include "web/answer.h"
#include "web/asker.h"
#include "web/worker.h"
#include "wire/posting.h"

#define WHY_MAX	   2048
#define NO_ROOM	   "Too much is being posted; try again later."
#define TOO_LARGE  "The body is larger than 1 MiB."
#define NOT_BEFORE 3 /* seconds */

bool publication_is_at(const struct conf *conf, const char *target, size_t len)
{
	const char *query = memchr(target, '?', len);
	size_t path = query ? (size_t)(query - target) : len;

	for (size_t i = 0; i < conf->n_routes; i++) {
		const struct conf_route *r = &conf->routes[i];

		if (conf_route_publishes(r) && strlen(r->path) == path &&
		    !memcmp(r->path, target, path))
			return true;
	}
	return false;
}

void publication_add(struct publication *p, struct worker *w, const char *bytes, size_t len)
{
	if (!p->body.max)
		buf_init(&p->body, POSTING_MAX);
	p->too_large |= len > POSTING_MAX - p->counted;
	p->no_room |= len > BODIES_MAX - w->http.body_bytes;
	if (p->too_large || p->no_room)
		return;
	buf_add(&p->body, bytes, len);
	p->counted += len;
	w->http.body_bytes += len;
}

/* A cookie comes along with a form of any page, which cannot say that it has JSON. */
static bool is_json(struct MHD_Connection *c)
{
	static const char json[] = "application/json";
	const char *type = asker_header(c, "Content-Type");
	size_t len = type ? strcspn(type, "; \t") : 0;

	return !type || (len == strlen(json) && !strncasecmp(type, json, len));
}

/* 0, or the status of a refusal. */
static unsigned check(const struct worker *w, const struct posting *m, const struct principal *who,
		      struct buf *why)
{
	int role = hub_role(&w->hub, who->role);

	if (strcmp(m->channel, "*") != 0 && !channel_is_name(m->channel, strlen(m->channel))) {
		buf_str(why, "A channel has 1 to 128 letters, digits and any of _.:@-");
		return MHD_HTTP_UNPROCESSABLE_CONTENT;
	}
	if (role >= 0 && channel_may_publish(&w->conf->roles[role], m->channel, who->user_id))
		return 0;
	buf_printf(why, "Your role may not publish to \"%s\".", m->channel);
	return MHD_HTTP_FORBIDDEN;
}

bool publication_begin(struct publication *p, struct worker *w, struct MHD_Connection *c,
		       const struct conf *conf, const struct conf_route *route,
		       const struct principal *who, enum MHD_Result *ret)
{
	autobuf why = {.max = WHY_MAX};
	struct posting m = {0};
	unsigned status = 0;

	if (p->too_large) {
		status = MHD_HTTP_CONTENT_TOO_LARGE;
		buf_str(&why, TOO_LARGE);
	} else if (p->no_room) {
		*ret = answer_busy(c, conf, MHD_HTTP_SERVICE_UNAVAILABLE, NO_ROOM, NULL,
				   NOT_BEFORE);
		return false;
	} else if (!is_json(c)) {
		status = MHD_HTTP_UNSUPPORTED_MEDIA_TYPE;
		buf_str(&why, "The body must be application/json.");
	}
	if (!status)
		status = posting_read(buf_cstr(&p->body), p->body.len,
				      route->kind == ROUTE_BROADCAST, &m, &why);
	if (!status)
		status = check(w, &m, who, &why);
	if (status) {
		posting_clear(&m);
		*ret = answer_error(c, conf, status, buf_cstr(&why));
		return false;
	}
	p->letter = xcalloc(1, sizeof(*p->letter));
	p->letter->letter.kind = POST_PUBLISH;
	p->letter->message = m;
	return true;
}

enum MHD_Result publication_answer(struct publication *p, struct MHD_Connection *c,
				   const struct conf *conf)
{
	static const struct {
		unsigned status;
		const char *why; /* NULL: as the database says it */
	} answers[] = {
		[PUBLISH_INVALID] = {MHD_HTTP_UNPROCESSABLE_CONTENT, NULL},
		[PUBLISH_TOO_LARGE] = {MHD_HTTP_CONTENT_TOO_LARGE, NULL},
		[PUBLISH_FORBIDDEN] = {MHD_HTTP_FORBIDDEN, NULL},
		[PUBLISH_NO_ROOM] = {MHD_HTTP_INSUFFICIENT_STORAGE,
				     "There is no room for messages."},
	};
	const struct post_publish *l = p->letter;
	autobuf body = {.max = 64};

	if (!l || l->verdict == PUBLISH_UNAVAILABLE)
		return answer_busy(c, conf, MHD_HTTP_SERVICE_UNAVAILABLE,
				   "The database is not available, or did not say whether it is "
				   "published; try again, with an \"id\".",
				   NULL, NOT_BEFORE);
	if (l->verdict != PUBLISHED)
		return answer_error(c, conf, answers[l->verdict].status,
				    answers[l->verdict].why ? answers[l->verdict].why : l->why);
	buf_str(&body, "{\"status\": \"ok\", \"id\": ");
	buf_u64(&body, l->id);
	buf_str(&body, "}\n");
	return answer_text(c, conf, MHD_HTTP_CREATED, "application/json", buf_cstr(&body));
}

void publication_clear(struct publication *p, struct worker *w, bool away)
{
	w->http.body_bytes -= p->counted;
	buf_free(&p->body);
	if (p->letter && away)
		p->letter->asker = NULL;
	else
		post_publish_free(p->letter);
	*p = (struct publication){0};
}
