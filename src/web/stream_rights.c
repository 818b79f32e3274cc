/* SPDX-License-Identifier: PostgreSQL
 * A stream's rights while it is open: its token is looked up again, its role found anew, and it
 * ends when it has none. See stream.h.
 *
 * Of a change of rights the journal says when it was made. What was written with it, or behind it,
 * waits behind a wall until a look-up that went out later has come back. It stays where it is: a
 * held stream reads the ring, or the journal, like one that was away. A look-up that is on its way
 * when the next change comes moves the wall up to there, so that a stream gets on however often
 * its rights change. */
#include "config.h"
#include "web/stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conf.h"
#include "hub/subscription.h"
#include "web/permission.h"
#include "web/talk.h"
#include "web/worker.h"

uint32_t stream_now_s(const struct stream *s)
{
	return (uint32_t)(loop_now_ms(s->worker->loop) / 1000);
}

bool stream_is_concerned(const struct stream *s, const struct keys *users)
{
	const struct principal *who = s->member.who;
	const char *session = principal_session(who);

	return !users->n || principal_is_named(who, users) ||
	       (session && keys_have(users, session));
}

bool stream_is_held(const struct stream *s)
{
	return s->wall != STREAM_NO_WALL || s->page_waits;
}

/* When the token is to be looked up again: in good time, or when it ends. */
void stream_set_recheck(struct stream *s, const struct principal *who)
{
	uint32_t now = stream_now_s(s), before = s->ends_s;

	s->ends_s = who->expires_ms ? now + (uint32_t)((who->expires_ms + 999) / 1000) : 0;
	if (s->ends_s > before + 1) /* not a fraction of the same second */
		s->told_end = false;
	s->recheck_s = now + (uint32_t)(s->worker->conf->recheck_ms / 1000);
}

static void rechecked(struct post_lookup *l);

static void look_up(struct stream *s)
{
	struct worker *w = s->worker;
	struct post_lookup *l;

	s->recheck_s = stream_now_s(s) + (uint32_t)(w->conf->recheck_ms / 1000);
	s->next_wall = STREAM_NO_WALL;
	s->asked_for_page = s->page_waits;
	l = s->lookup = xcalloc(1, sizeof(*l));
	l->letter.kind = POST_LOOKUP;
	l->reply_to = &w->inbox;
	l->auth = xstrdup(s->route->auth.items[s->door]);
	l->token = xstrdup(s->token);
	l->asker = s;
	l->answered = rechecked;
	l->until_ms = loop_now_ms(w->loop) + w->conf->request_ms;
	inbox_post(w->db, &l->letter);
}

void stream_hold(struct stream *s, uint64_t seq)
{
	if (s->state == STREAM_CLOSING)
		return;
	if (s->state == STREAM_LIVE)
		stream_fall_behind(s, s->worker->hub.ring.head);
	if (!stream_is_held(s))
		s->held_s = stream_now_s(s);
	if (seq < s->wall)
		s->wall = seq;
	if (!s->lookup)
		look_up(s);
	else if (seq < s->next_wall) /* its answer may be of before the change */
		s->next_wall = seq;
}

void stream_hold_page(struct stream *s)
{
	if (!stream_is_held(s))
		s->held_s = stream_now_s(s);
	s->page_waits = true;
	if (!s->lookup)
		look_up(s);
}

static bool names(const struct keys *granted, const char *channel)
{
	return granted && keys_have(granted, channel);
}

/* The channels of the stream for who it is now: without those that the credential before had
 * brought along, and with those that this one does. Its journal, if it is being read, is asked
 * anew. */
static bool join_anew(const struct stream *s, struct principal *who)
{
	const struct worker *w = s->worker;
	const struct principal *before = s->member.who;
	struct subscription all = {0};
	int role = hub_role(&w->hub, who->role);
	bool ok = true;

	who->channels_only = before->channels_only;
	for (size_t i = 0; ok && before->channels && i < before->channels->n; i++) {
		const char *name = before->channels->list[i] + 1;

		if (before->channels_only || !names(before->granted, name) ||
		    names(who->granted, name))
			ok = subscription_add(&all, name);
	}
	if (ok && role >= 0 && !who->channels_only)
		ok = subscription_join(&all, &w->conf->roles[role], who);
	free(who->channels); /* those that the route's function has been asked about */
	who->channels = ok ? subscription_keys(&all) : NULL;
	subscription_clear(&all);
	return ok;
}

/* Whether the route's function has to be asked as well about who it is now: in the same letter. */
static bool ask_permission(struct stream *s, struct post_lookup *l)
{
	if (l->authorizing || l->verdict != LOOKUP_OK || !permission_is_asked(s->route) ||
	    strcmp(l->who->user_id, s->member.who->user_id) != 0 || !join_anew(s, l->who))
		return false;
	permission_question(l, s->route);
	inbox_post(s->worker->db, &l->letter);
	return true;
}

/* False when the stream has ended. */
static bool take_rights(struct stream *s, enum lookup_verdict verdict, struct principal *who)
{
	const char *what;

	if (verdict == LOOKUP_FORBIDDEN || verdict == LOOKUP_NOTHING) {
		principal_free(who);
		stream_end(s, END_ROLE,
			   verdict == LOOKUP_NOTHING ? "its channel is none any more (authorize)"
						     : "user may not hear it any more (authorize)");
		return false;
	}
	if (verdict != LOOKUP_OK || strcmp(who->user_id, s->member.who->user_id) != 0) {
		principal_free(who);
		stream_end(s, END_CREDENTIAL,
			   verdict == LOOKUP_INACTIVE ? "user is not active any more"
						      : "token is not valid any more");
		return false;
	}
	stream_set_recheck(s, who);
	if (!strcmp(who->role, s->member.who->role) &&
	    keys_same(who->granted, s->member.who->granted)) {
		principal_free(who);
		return true;
	}
	if (s->route->by_role && strcmp(who->role, s->member.who->role) !=
					 0) { /* it hears the channels of the role that it had */
		principal_free(who);
		stream_end(s, END_RESTART, "it has another role, and with it other channels");
		return false;
	}
	if (!join_anew(s, who)) {
		principal_free(who);
		stream_end(s, END_ROLE, "its credential has more channels than a stream may");
		return false;
	}
	what = strcmp(who->role, s->member.who->role) != 0 ? "stream has another role"
							   : "stream has other channels";
	if (s->state == STREAM_REPLAYING && !s->replay->kept &&
	    !keys_same(who->channels, s->member.who->channels))
		s->replay_stale = true;
	hub_leave(&s->worker->hub, &s->member);
	(void)!seat_join(s->worker->registry, s->route, who->channels, false);
	seat_part(s->worker->registry, s->route, s->member.who->channels);
	principal_free(s->member.who);
	s->member.who = who;
	stream_log(s, what, NULL);
	return stream_rescope(s);
}

static void rechecked(struct post_lookup *l)
{
	struct stream *s = l->asker;
	enum lookup_verdict verdict = l->verdict;
	struct principal *who = l->who;

	if (s && ask_permission(s, l))
		return;
	l->who = NULL;
	post_lookup_free(l);
	if (!s) {
		principal_free(who);
		return;
	}
	s->lookup = NULL;
	if (verdict == LOOKUP_UNAVAILABLE) { /* the rights it had stay, for what is not held */
		principal_free(who);
		if (stream_is_held(s))
			s->recheck_s = stream_now_s(s) + 1;
		return;
	}
	if (!take_rights(s, verdict, who))
		return;
	s->wall = s->next_wall;
	s->page_waits &= !s->asked_for_page;
	if (stream_is_held(s)) { /* by what has happened since it went out */
		s->held_s = stream_now_s(s);
		look_up(s);
	}
	stream_continue(s);
}

/* Its route as the configuration has it by now: settings stay those that it began with, rights do
 * not. NULL when it is gone. */
static const struct conf_route *route_now(const struct stream *s)
{
	const struct conf_route *r = conf_find_route(s->worker->conf, s->route->name);

	return r && r->kind == ROUTE_EVENTS ? r : NULL;
}

bool stream_has_door(const struct stream *s, const char *auth, unsigned *ret_door)
{
	const struct conf_route *now = route_now(s);
	unsigned door;

	return now && conf_find_door(now, auth, &door) && conf_find_door(s->route, auth, ret_door);
}

bool stream_rescope(struct stream *s)
{
	struct worker *w = s->worker;
	const struct conf_route *now = route_now(s);
	int role = hub_role(&w->hub, s->member.who->role);

	hub_leave(&w->hub, &s->member);
	if (role < 0 || !conf_role_allowed(w->conf, now ? now : s->route, s->member.who->role)) {
		s->member.role = 0; /* unused: it hears nothing any more */
		stream_end(s, END_ROLE, "role may not use this route any more");
		return false;
	}
	if (subscription_refused(s->member.who->channels, &w->conf->roles[role], s->member.who)) {
		s->member.role = 0;
		stream_end(s, END_ROLE,
			   s->member.who->granted ? "credential may not hear its channels any more"
						  : "role may not hear its channels any more");
		return false;
	}
	s->member.role = (uint32_t)role;
	if (s->state == STREAM_LIVE)
		hub_join(&w->hub, &s->member);
	stream_database(s); /* who hears his own waits for it */
	return true;
}

void stream_keys_gone(struct stream *s, const char *auth)
{
	if (!strcmp(s->route->auth.items[s->door], auth))
		stream_hold(s, s->worker->hub.ring.head);
}

/* Why its route is none by which it could come in so, or NULL. */
static const char *outdated(const struct stream *s)
{
	const struct conf_route *now = route_now(s);
	const struct address from = stream_address(s);
	unsigned door;

	if (!now)
		return "its route is gone";
	if (!stream_has_door(s, s->route->auth.items[s->door], &door))
		return "its route has another door now";
	if (!conf_route_admits(s->worker->conf, now, &from))
		return STREAM_ADDRESS_OUT;
	if (permission_is_asked(now) == permission_is_asked(s->route))
		return NULL;
	return permission_is_asked(now) ? "its route asks a function now (authorize)"
					: "its route asks no function any more";
}

/* Whether it may be another verdict by now: keys stand in files that have been read anew, and the
 * role of everybody in the configuration. */
static bool is_judged_anew(const struct stream *s)
{
	const char *name = s->route->auth.items[s->door];
	const struct conf_auth *now = conf_find_auth(s->worker->conf, name),
			       *before = conf_find_auth(s->conf, name);

	return !now || !before || now->preset != before->preset || conf_auth_verifies(now) ||
	       now->preset == PRESET_SESSION || now->preset == PRESET_NONE;
}

void stream_reload(struct stream *s)
{
	const struct worker *w = s->worker;
	const char *why = outdated(s);

	if (why) {
		s->member.role = 0; /* unused: it hears nothing any more */
		stream_end(s, END_RESTART, why);
		return;
	}
	if (stream_rescope(s) && (is_judged_anew(s) || permission_is_asked(s->route)))
		stream_hold(s, w->hub.ring.head);
}

/* Why it cannot go on, or NULL. */
static const char *overdue(const struct stream *s, uint32_t now, enum wire_end *ret_end)
{
	*ret_end = END_UNAVAILABLE;
	if (s->blocked && now >= s->blocked_s + s->route->stall_ms / 1000)
		return "the client does not read";
	if (stream_is_held(s) && now > s->held_s + s->worker->conf->request_ms / 1000)
		return "its rights could not be looked up";
	*ret_end = END_SILENT;
	if (s->talk && talk_is_silent(s, now))
		return "the client does not answer";
	return NULL;
}

void stream_tick(struct stream *s)
{
	uint32_t now = stream_now_s(s);
	enum wire_end end;
	const char *reason = overdue(s, now, &end);

	if (reason) {
		stream_end(s, end, reason);
		return;
	}
	stream_forget_past(s);
	stream_tell_end(s);
	if (s->ends_s && now >= s->ends_s && !stream_is_held(s)) /* unless it lives longer now */
		stream_hold(s, s->worker->hub.ring.head);
	else if (now >= s->recheck_s && !s->lookup)
		look_up(s);
	if (s->talk)
		talk_tick(s); /* may end it */
}
