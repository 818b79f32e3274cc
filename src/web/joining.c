/* SPDX-License-Identifier: PostgreSQL
 * See joining.h. */
#include "config.h"
#include "web/joining.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "hub/post.h"
#include "web/permission.h"
#include "web/stream.h"
#include "web/worker.h"

#define WHY_MAX 2048

static void joining_free(void *errand)
{
	struct joining *j = errand;

	choice_clear(&j->choice);
	free(j->request_id);
	post_choice_free(j->letter);
	free(j);
}

static struct stream *find(const struct joining *j)
{
	LIST_EACH (&j->worker->streams, node, tmp) {
		struct stream *s = LIST_ENTRY(node, struct stream, node);

		if (s->id == j->stream)
			return s;
	}
	return NULL;
}

static enum choice_verdict conclude(struct joining *j, struct stream *s,
				    const struct post_lookup *l, struct buf *why)
{
	if (!s || s->state == STREAM_CLOSING || s->close_reason)
		return CHOICE_NO_STREAM;
	switch (permission_refusal(l, why)) {
	case MHD_HTTP_FORBIDDEN:
		return CHOICE_FORBIDDEN;
	case MHD_HTTP_NOT_FOUND:
		return CHOICE_NOTHING;
	default:
		break;
	}
	if (l->verdict == LOOKUP_OK && !strcmp(l->who->role, s->member.who->role))
		return choice_add(s, &j->choice, why);
	buf_str(why, "It could not be asked whether you may hear this; try again.");
	return CHOICE_UNAVAILABLE;
}

static void answered(struct post_lookup *l)
{
	struct joining *j = l->errand;
	struct stream *s = find(j);
	autobuf why = {.max = WHY_MAX};
	enum choice_verdict v = conclude(j, s, l, &why);

	j->done(j, s, v, &why);
	post_lookup_free(l);
}

struct joining *joining_begin(struct stream *s, struct choice *c, struct keys *channels)
{
	struct worker *w = s->worker;
	struct post_lookup *l = xcalloc(1, sizeof(*l));
	struct joining *j = xcalloc(1, sizeof(*j));

	*j = (struct joining){.worker = w, .stream = s->id, .choice = *c};
	*c = (struct choice){0};
	l->errand = j;
	l->free_errand = joining_free;
	l->reply_to = &w->inbox;
	l->who = permission_about(s->member.who, channels);
	l->answered = answered;
	l->until_ms = loop_now_ms(w->loop) + w->conf->request_ms;
	permission_question(l, s->route);
	inbox_post(w->db, &l->letter);
	return j;
}
