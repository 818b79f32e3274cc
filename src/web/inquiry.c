/* SPDX-License-Identifier: PostgreSQL
 * See inquiry.h. */
#include "config.h"
#include "web/inquiry.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf.h"
#include "hub/reason.h"
#include "hub/subscription.h"
#include "web/answer.h"
#include "web/query.h"
#include "web/stream.h"
#include "web/worker.h"

#define STREAMS_SHOWN 50 /* of a user; how many there are is told */
#define AGAIN_S	      5

struct post_explain *inquiry_new(const struct query *q, struct buf *why)
{
	const struct query_inquiry *i = &q->inquiry;
	struct post_explain *l = xcalloc(1, sizeof(*l));

	l->letter.kind = POST_EXPLAIN;
	if (question_read(&l->question, i->user, i->role, i->event, i->row, why))
		return l;
	post_explain_free(l);
	return NULL;
}

static void add_text(struct json_object *to, const char *name, const char *text)
{
	json_object_object_add(to, name, text ? json_object_new_string(text) : NULL);
}

/* One of answer's lists, which is made when it is first needed. */
static struct json_object *list_in(struct json_object *in, const char *name)
{
	struct json_object *list = json_object_object_get(in, name);

	if (!list) {
		list = json_object_new_array();
		json_object_object_add(in, name, list);
	}
	return list;
}

static const char *state_of(const struct stream *s)
{
	static const char *const states[] = {
		[STREAM_STARTING] = "starting",	  [STREAM_REPLAYING] = "reads the journal",
		[STREAM_CATCHING] = "catches up", [STREAM_LIVE] = "live",
		[STREAM_CLOSING] = "closing",
	};

	return stream_is_held(s) ? "waits for its rights" : states[s->state];
}

static void add_opened(struct json_object *to, const struct worker *w, const struct stream *s)
{
	time_t at = time(NULL) - (time_t)((loop_now_ms(w->loop) - s->opened_ms) / 1000);
	struct tm tm;
	char text[32];

	if (gmtime_r(&at, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		add_text(to, "opened", text);
}

static struct json_object *stream_document(const struct worker *w, const struct stream *s,
					   const char *name)
{
	struct json_object *d = json_object_new_object();
	autofree char *channels = subscription_text(s->member.who->channels);

	add_text(d, "stream", name);
	add_text(d, "route", s->route->name);
	add_text(d, "door", s->route->auth.items[s->door]);
	add_text(d, "role", s->member.who->role);
	add_text(d, "transport", transport_name(form_transport(s->form)));
	add_opened(d, w, s);
	add_text(d, "state", state_of(s));
	add_text(d, "channels", channels);
	return d;
}

/* What that stream is told of each event, as things are now. */
static void add_verdicts(const struct worker *w, const struct stream *s, const char *name,
			 struct post_explain *l)
{
	const struct scope_policy *policy = &w->hub.policies[s->member.role];
	struct json_object *events = json_object_object_get(l->answer, "events");

	for (size_t i = 0; i < l->n; i++) {
		struct json_object *v = json_object_new_object();
		struct reason r = reason_of(l->events[i], policy, s->member.who, s->filter);

		add_text(v, "stream", name);
		add_text(v, "told", reason_told(l->events[i], r.view));
		add_text(v, "rule", reason_name(r.rule));
		add_text(v, "why", reason_sentence(r.rule));
		if (r.key)
			add_text(v, "key", r.key);
		json_object_array_add(list_in(json_object_array_get_idx(events, i), "streams"), v);
	}
}

static void add_streams(struct worker *w, struct post_explain *l)
{
	struct json_object *all = list_in(l->answer, "streams");
	struct json_object *count = json_object_object_get(l->answer, "n_streams");
	int64_t n = json_object_get_int64(count);

	LIST_EACH (&w->streams, node, tmp) {
		const struct stream *s = LIST_ENTRY(node, struct stream, node);
		autofree char *name = NULL;

		if (!s->member.who || strcmp(s->member.who->user_id, l->question.user) != 0 ||
		    n++ >= STREAMS_SHOWN)
			continue;
		name = xasprintf("%u.%llu", w->number, (unsigned long long)s->id);
		json_object_array_add(all, stream_document(w, s, name));
		add_verdicts(w, s, name, l);
	}
	json_object_object_add(l->answer, "n_streams", json_object_new_int64(n));
}

void inquiry_pass(struct worker *w, struct post_explain *l)
{
	const struct commons *commons = w->commons;

	if (l->verdict == EXPLAINED && l->n_asked < commons->n_workers) {
		/* The first one's turn is whoever's: home is where it came from. */
		if (l->n_asked || w->number == 0) {
			add_streams(w, l);
			l->n_asked++;
		}
		inbox_post(l->n_asked < commons->n_workers ? commons->workers[l->n_asked]
							   : l->reply_to,
			   &l->letter);
		return;
	}
	l->answered(l);
}

enum MHD_Result inquiry_answer(struct MHD_Connection *c, const struct conf *conf,
			       const struct post_explain *l)
{
	if (!l || l->verdict != EXPLAINED)
		return answer_busy(c, conf, MHD_HTTP_SERVICE_UNAVAILABLE,
				   l && l->why
					   ? l->why
					   : "The database is not available, or takes too long; "
					     "try again.",
				   tally_name(TALLY_DATABASE), AGAIN_S);
	return answer_text(c, conf, MHD_HTTP_OK, "application/json",
			   json_object_to_json_string_ext(l->answer, JSON_C_TO_STRING_SPACED));
}
