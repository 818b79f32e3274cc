/* SPDX-License-Identifier: PostgreSQL
 * A stream's rights while it is open: its token is looked up again, its role found anew, and it
 * ends when it has none. See stream.h. */
#include "config.h"
#include "web/stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "web/worker.h"

/* When the token is to be looked up again: in good time, or when it ends. */
void stream_set_recheck(struct stream *s)
{
	uint64_t ms = s->worker->conf->recheck_ms, ends = s->member.who->expires_ms;

	s->recheck_at_ms = loop_now_ms(s->worker->loop) + (ends && ends < ms ? ends : ms);
}

static void rechecked(struct post_lookup *l)
{
	struct stream *s = l->asker;
	enum lookup_verdict verdict = l->verdict;
	struct principal *who = l->who;

	l->who = NULL;
	post_lookup_free(l);
	if (!s) {
		principal_free(who);
		return;
	}
	s->lookup = NULL;
	if (s->recheck_again)
		stream_recheck(s);
	if (verdict == LOOKUP_UNAVAILABLE)
		return; /* the rights it had stay until somebody can be asked */
	if (verdict != LOOKUP_OK || strcmp(who->user_id, s->member.who->user_id) != 0) {
		principal_free(who);
		stream_end(s, verdict == LOOKUP_INACTIVE ? "user is not active any more"
							 : "token is not valid any more");
		return;
	}
	s->member.who->expires_ms = who->expires_ms;
	stream_set_recheck(s);
	if (!strcmp(who->role, s->member.who->role)) {
		principal_free(who);
		return;
	}
	hub_leave(&s->worker->hub, &s->member);
	principal_free(s->member.who);
	s->member.who = who;
	stream_log(s, "SSE stream has another role", NULL);
	stream_rescope(s);
}

void stream_rescope(struct stream *s)
{
	struct worker *w = s->worker;
	int role = hub_role(&w->hub, s->member.who->role);
	bool joined = s->state == STREAM_LIVE;

	hub_leave(&w->hub, &s->member);
	if (role < 0 || !conf_role_allowed(w->conf, s->route, s->member.who->role)) {
		s->member.role = 0; /* unused: it hears nothing any more */
		stream_end(s, "role may not use this route any more");
		return;
	}
	s->member.role = (uint32_t)role;
	if (joined)
		hub_join(&w->hub, &s->member);
}

void stream_tick(struct stream *s, uint64_t now_ms)
{
	if (s->skip && s->state == STREAM_LIVE &&
	    cursor_covers(&s->worker->position_cursor, s->skip)) {
		free(s->skip);
		s->skip = NULL;
	}
	if (now_ms >= s->recheck_at_ms && !s->lookup)
		stream_recheck(s);
}

void stream_recheck(struct stream *s)
{
	struct worker *w = s->worker;
	struct post_lookup *l;

	if (s->lookup) { /* its answer may be of before the change */
		s->recheck_again = true;
		return;
	}
	s->recheck_again = false;
	s->recheck_at_ms = loop_now_ms(w->loop) + w->conf->recheck_ms;
	l = s->lookup = xcalloc(1, sizeof(*l));
	l->letter.kind = POST_LOOKUP;
	l->reply_to = &w->inbox;
	l->auth = xstrdup(s->route->auth);
	l->token = xstrdup(s->token);
	l->asker = s;
	l->answered = rechecked;
	inbox_post(w->db, &l->letter);
}
