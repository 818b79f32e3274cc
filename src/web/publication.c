/* SPDX-License-Identifier: PostgreSQL
 * See publication.h. */
#include "config.h"
#include "web/publication.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/ledger.h"
#include "base/mem.h"
#include "conf.h"
#include "hub/subscription.h"
#include "web/answer.h"
#include "web/asker.h"
#include "web/worker.h"
#include "wire/posting.h"

#define WHY_MAX	   2048
#define NO_ROOM	   "Too much is being posted; try again later."
#define NOT_BEFORE 3	/* seconds */
#define USER_MAX   1000 /* bytes of an id, as in pgherald.publish() */

/* A cookie comes along with a form of any page, which cannot say that it has JSON. */
static bool is_json(struct MHD_Connection *c)
{
	static const char json[] = "application/json";
	const char *type = asker_header(c, "Content-Type");
	size_t len = type ? strcspn(type, "; \t") : 0;

	return !type || (len == strlen(json) && !strncasecmp(type, json, len));
}

bool publication_expect(struct publication *p, struct worker *w, struct MHD_Connection *c,
			const struct conf *conf, const struct conf_route *route, const char *user,
			uint64_t len, enum MHD_Result *ret)
{
	uint64_t max = route->max_body;

	if (!conf_route_publishes(route) && max > CHOICE_MAX)
		max = CHOICE_MAX;
	if (!is_json(c)) {
		*ret = answer_error(c, conf, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
				    "The body must be application/json.");
		return false;
	}
	if (len > max) {
		autobuf why = {.max = WHY_MAX};

		buf_printf(&why, "The body is larger than %" PRIu64 " bytes.", max);
		*ret = answer_error(c, conf, MHD_HTTP_CONTENT_TOO_LARGE, buf_cstr(&why));
		return false;
	}
	assert(len <= POSTING_MAX); /* wire/head.h lets no other pass */
	if (!budget_allows(&w->commons->budget, len)) {
		tally_note(&w->commons->tally, TALLY_MEMORY, loop_now_ms(w->loop), NULL, "a body");
		*ret = answer_busy(c, conf, MHD_HTTP_SERVICE_UNAVAILABLE, NO_ROOM,
				   tally_name(TALLY_MEMORY), NOT_BEFORE);
		return false;
	}
	if (!room_take(&w->http.room, &p->part, user ? user : "", (size_t)len)) {
		tally_note(&w->commons->tally, TALLY_BODIES, loop_now_ms(w->loop), NULL, NULL);
		*ret = answer_busy(c, conf, MHD_HTTP_SERVICE_UNAVAILABLE, NO_ROOM,
				   tally_name(TALLY_BODIES), NOT_BEFORE);
		return false;
	}
	ledger_add((int64_t)p->part.bytes);
	buf_init(&p->body, POSTING_MAX);
	return true;
}

void publication_add(struct publication *p, const char *bytes, size_t len)
{
	buf_add(&p->body, bytes, len);
}

unsigned publication_check(const struct conf *conf, const struct principal *who,
			   const struct posting *m, struct buf *why)
{
	/* No name of a channel has a '/'. */
	autofree char *to = m->user ? xasprintf("user/%s", m->user) : xstrdup(m->channel);
	const struct scope_policy *policy = conf_find_role(conf, who->role);

	if (!m->user && strcmp(to, "*") != 0 && !channel_is_name(to, strlen(to))) {
		buf_str(why, "A channel has 1 to 128 letters, digits and any of _.:@-");
		return MHD_HTTP_UNPROCESSABLE_CONTENT;
	}
	if (m->user && (!*m->user || strlen(m->user) > USER_MAX)) {
		buf_str(why, "A user's id has 1 to 1000 bytes.");
		return MHD_HTTP_UNPROCESSABLE_CONTENT;
	}
	if (!conf_may_publish(conf))
		buf_str(why, "Nothing can be published here: [publish] does not name the daemon.");
	else if (policy && channel_may_publish(policy, to, who->user_id))
		return 0;
	else
		buf_printf(why, "Your role may not publish to \"%s\".", to);
	return MHD_HTTP_FORBIDDEN;
}

bool publication_begin(struct publication *p, struct worker *w, struct MHD_Connection *c,
		       const struct conf *conf, const struct conf_route *route,
		       const struct principal *who, enum MHD_Result *ret)
{
	autobuf why = {.max = WHY_MAX};
	struct posting m = {0};
	unsigned status;

	status = posting_read(buf_cstr(&p->body), p->body.len, route->kind == ROUTE_BROADCAST, &m,
			      &why);
	if (!status)
		status = publication_check(w->conf, who, &m, &why);
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
				   tally_name(TALLY_DATABASE), NOT_BEFORE);
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
	ledger_add(-(int64_t)p->part.bytes);
	room_give(&w->http.room, &p->part);
	buf_free(&p->body);
	if (p->letter && away)
		p->letter->asker = NULL;
	else
		post_publish_free(p->letter);
	*p = (struct publication){0};
}
