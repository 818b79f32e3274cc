/* SPDX-License-Identifier: PostgreSQL
 * Where a request goes when it is known whose it is. See request_parts.h. */
#include "config.h"
#include "web/request_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "conf.h"
#include "web/admin.h"
#include "web/answer.h"
#include "web/audience.h"
#include "web/choice.h"
#include "web/control.h"
#include "web/inquiry.h"
#include "web/metrics.h"
#include "web/permission.h"
#include "web/roll.h"
#include "web/stream.h"

#define WHY_MAX 2048 /* bytes of a sentence to the client */

/* Where everybody comes in nobody guesses. */
static void count_attempt(const struct request *q)
{
	struct attempts *attempts = q->worker->commons->attempts;
	uint64_t now = loop_now_ms(q->worker->loop);

	if (q->credential.place == PLACE_NOWHERE)
		return;
	if (q->lookup->verdict == LOOKUP_OK)
		attempts_good(attempts, asker_account(&q->asker), q->lookup->token, now);
	else
		attempts_failed(attempts, asker_account(&q->asker), now);
}

static enum MHD_Result start_stream(struct request *q, struct principal *who)
{
	struct worker *w = q->worker;
	autofree char *last = asker_value(q->connection, "Last-Event-ID");
	const struct stream_wish wish = {last && *last ? last : q->query.position,
					 q->query.filter,
					 conf_route_form(q->route, q->query.transport),
					 q->query.full_hello,
					 !q->http10 && !q->query.upgrade.websocket,
					 q->credential.door,
					 q->seat};
	struct stream *s;
	char peer[CALLER_PEER_MAX];

	asker_text(&q->asker, peer);
	s = stream_new(w, q->conf, q->route, who, q->lookup->token, &wish, peer);
	q->query.filter = NULL;
	q->seat = (struct seat){0};
	q->state = REQUEST_STREAM;
	if (q->conf !=
	    w->conf) /* a reload has come between: what it takes away is gone for it, too */
		stream_reload(s);
	if (q->rights_changes != w->rights_changes) /* the verdict may be of before that */
		stream_hold(s, 0);
	if (q->query.upgrade.websocket)
		return handover_upgrade(&q->handover, w, q->connection, q->conf, s,
					&q->query.upgrade);
	return handover_start(&q->handover, w, q->connection, q->conf, s);
}

struct quota_asker request_quota(const struct request *q)
{
	return (struct quota_asker){q->worker->commons, q->route, q->lookup->who->user_id,
				    asker_account(&q->asker), loop_now_ms(q->worker->loop)};
}

static enum MHD_Result publish(struct request *q)
{
	const struct quota_asker asker = request_quota(q);
	enum MHD_Result result;
	enum tally_reason over;
	struct post_publish *l;
	uint64_t wait_ms = 0;

	if (!publication_begin(&q->publication, q->worker, q->connection, q->conf, q->route,
			       q->lookup->who, &result))
		return result;
	l = q->publication.letter;
	over = quota_publish_to(&asker, l->message.channel ? l->message.channel : l->message.user,
				&wait_ms);
	if (over != N_TALLIES)
		return request_limited(q, over, MHD_HTTP_TOO_MANY_REQUESTS, quota_why(over),
				       wait_ms);
	l->reply_to = &q->worker->inbox;
	l->until_ms = q->caller->deadline_ms;
	l->asker = q;
	l->answered = request_on_published;
	q->published = true;
	return request_post_to(q, q->worker->db, REQUEST_PUBLISHING, &l->letter);
}

/* The channels that he wants to hear besides, if they are any; what is none its stream says. */
static enum tally_reason over_channels(const struct request *q, uint64_t *ret_wait_ms)
{
	const struct quota_asker asker = request_quota(q);
	const struct buf *body = &q->publication.body;
	enum tally_reason over = N_TALLIES;
	autobuf why = {.max = WHY_MAX};
	struct choice c = {0};
	struct scan data;

	if (q->route->kind == ROUTE_SUBSCRIBE && scan_text(buf_cstr(body), body->len, &data) &&
	    choice_read(&c, data, q->conf, &why) == CHOICE_OK)
		over = quota_subscribe_to(&asker, &c.channels, ret_wait_ms);
	choice_clear(&c);
	return over;
}

/* What his stream is to hear, or no more, goes to its worker. */
static enum MHD_Result choose(struct request *q)
{
	enum MHD_Result result;
	uint64_t wait_ms = 0;
	enum tally_reason over = over_channels(q, &wait_ms);
	struct inbox *to;

	if (over != N_TALLIES)
		return request_limited(q, over, quota_status(over), quota_why(over), wait_ms);
	q->choice = control_begin(&q->publication, q->worker, q->connection, q->conf, q->route,
				  q->lookup, q->query.stream, &to, &result);
	if (!q->choice)
		return result;
	q->choice->reply_to = &q->worker->inbox;
	q->choice->asker = q;
	q->choice->answered = request_on_chosen;
	q->chosen = true;
	return request_post_to(q, to, REQUEST_CHOOSING, &q->choice->letter);
}

/* Each worker is asked in turn. */
static enum MHD_Result call_roll(struct request *q)
{
	autobuf why = {.max = WHY_MAX};

	q->roll = roll_new(q->route, q->path_values, &q->query.page, &why);
	if (!q->roll)
		return answer_error(q->connection, q->conf, MHD_HTTP_BAD_REQUEST, buf_cstr(&why));
	q->roll->reply_to = &q->worker->inbox;
	q->roll->asker = q;
	q->roll->answered = request_on_called;
	q->called = true;
	return request_post_to(q, q->worker->commons->workers[0], REQUEST_CALLING,
			       &q->roll->letter);
}

static enum MHD_Result act(struct request *q)
{
	return conf_route_publishes(q->route) ? publish(q) : choose(q);
}

/* He may post here: only now his body is read, which has as long as the head had. */
static enum MHD_Result read_body(struct request *q)
{
	const struct quota_asker asker = request_quota(q);
	const struct head *head = &q->caller->head;
	enum MHD_Result result;
	uint64_t wait_ms = 0;
	enum tally_reason over = conf_route_publishes(q->route) ? quota_publish(&asker, &wait_ms)
								: quota_subscribe(&asker, &wait_ms);

	if (over != N_TALLIES)
		return request_limited(q, over, MHD_HTTP_TOO_MANY_REQUESTS, quota_why(over),
				       wait_ms);
	if (!publication_expect(&q->publication, q->worker, q->connection, q->conf, q->route,
				q->lookup->who->user_id, head->body ? head->body_len : 0, &result))
		return result;
	caller_more_time(q->caller, q->conf);
	if (!head->body)
		return act(q);
	return request_wait(q, REQUEST_READING) ? MHD_YES : request_too_many(q);
}

enum MHD_Result request_body_has_come(struct request *q)
{
	struct worker *w = q->worker;

	loop_timer_clear(w->loop, &q->limit);
	lobby_answered(&w->commons->lobby, &q->caller->guest);
	q->caller->unread = false;
	caller_more_time(q->caller, q->conf);
	return act(q);
}

static enum MHD_Result inquire(struct request *q)
{
	autobuf why = {.max = WHY_MAX};

	q->inquiry = inquiry_new(&q->query, &why);
	if (!q->inquiry)
		return answer_error(q->connection, q->conf, MHD_HTTP_BAD_REQUEST, buf_cstr(&why));
	q->inquiry->reply_to = &q->worker->inbox;
	q->inquiry->until_ms = q->caller->deadline_ms;
	q->inquiry->asker = q;
	q->inquiry->answered = request_on_explained;
	q->inquired = true;
	return request_post_to(q, q->worker->db, REQUEST_EXPLAINING, &q->inquiry->letter);
}

/* Whether he may hear that is for the route's function to say. The look-up may be of before a
 * change that has come meanwhile: that stays so. */
static enum MHD_Result ask_permission(struct request *q)
{
	uint64_t changes = q->rights_changes;
	enum MHD_Result result;

	permission_question(q->lookup, q->route);
	q->authorizing = true;
	result = request_post(q, q->worker->db);
	q->rights_changes = changes;
	return result;
}

/* A ticket stands for a credential of another door, by which the stream goes on. */
static bool find_door(struct request *q)
{
	return q->credential.auth->preset != PRESET_TICKET ||
	       conf_find_door(q->route, q->lookup->auth, &q->credential.door);
}

/* The verdict is in: the answer it leads to. */
enum MHD_Result request_answer_verdict(struct request *q)
{
	struct worker *w = q->worker;
	const struct conf_route *opens =
		q->route->kind == ROUTE_TICKET ? conf_find_route(q->conf, q->route->opens) : NULL;
	struct principal *who;
	struct quota_asker asker;
	enum tally_reason over;
	uint64_t wait_ms;
	autobuf why = {.max = WHY_MAX};
	unsigned status;

	if (*q->ticket_name && q->lookup && !q->authorizing &&
	    (*q->ticket == '\0') == (q->lookup->verdict == LOOKUP_OK))
		tickets_forget(&w->commons->tickets, q->ticket_name); /* taken, or not kept */
	if (!q->lookup || q->lookup->verdict == LOOKUP_UNAVAILABLE)
		return q->authorizing ? request_no_permission(q) : request_no_database(q);
	status = q->authorizing ? permission_refusal(q->lookup, &why) : 0;
	if (status)
		return answer_error(q->connection, q->conf, status, buf_cstr(&why));
	if (*q->ticket)
		return q->lookup->verdict == LOOKUP_OK ? request_answer_ticket(q)
						       : request_no_database(q);
	if (q->renewing)
		return request_answer_renewed(q);
	if (!q->authorizing)
		count_attempt(q);
	if (q->lookup->verdict == LOOKUP_UNKNOWN || !find_door(q))
		return request_refuse(q, "Invalid token.", "You are not logged in.");
	if (q->lookup->verdict == LOOKUP_INACTIVE)
		return request_refuse(q, "User inactive or deleted.", "User inactive or deleted.");
	who = q->lookup->who;
	if (!conf_role_allowed(w->conf, opens ? opens : q->route, who->role))
		return answer_error(q->connection, q->conf, MHD_HTTP_FORBIDDEN,
				    "Your role may not use this resource.");
	if (opens)
		return request_keep_ticket(q);
	if (q->route->kind == ROUTE_RENEW)
		return request_renew(q);
	if (conf_route_takes_body(q->route))
		return read_body(q);
	if (conf_route_calls_roll(q->route))
		return call_roll(q);
	if (q->route->kind == ROUTE_STATS)
		return admin_stats(w, q->connection);
	if (q->route->kind == ROUTE_METRICS)
		return metrics_answer(w, q->connection);
	if (q->route->kind == ROUTE_EXPLAIN)
		return inquire(q);
	if (q->route->test_mode)
		return answer_test(q->connection, q->conf);
	if (w->draining)
		return request_not_now(q, MHD_HTTP_SERVICE_UNAVAILABLE,
				       "Shutting down; connect again.", "shutdown");
	if (!w->known)
		return request_no_database(q);
	status = audience_set(who, q->conf, q->route, q->path_values, &q->query, &why);
	if (status)
		return answer_error(q->connection, q->conf, status, buf_cstr(&why));
	if (!query_knows_topics(&q->query, q->conf, &why))
		return answer_error(q->connection, q->conf, MHD_HTTP_BAD_REQUEST, buf_cstr(&why));
	asker = request_quota(q);
	over = q->probes || q->authorizing ? N_TALLIES
					   : quota_open(&asker, who->channels, &wait_ms);
	if (over != N_TALLIES)
		return request_limited(q, over, quota_status(over), quota_why(over), wait_ms);
	if (!budget_allows(&w->commons->budget, BUDGET_STREAM))
		return request_limited(q, TALLY_MEMORY, MHD_HTTP_SERVICE_UNAVAILABLE,
				       "Too much waits for clients; try again later.", 0);
	if (permission_is_asked(q->route) && !q->authorizing)
		return ask_permission(q);
	switch (seat_take(&q->seat, w->registry, q->route, asker_account(&q->asker),
			  who->channels)) {
	case SEAT_ROUTE_FULL:
		return request_limited(q, TALLY_ROUTE, MHD_HTTP_SERVICE_UNAVAILABLE,
				       "Too many streams are open here; try again later.", 0);
	case SEAT_ADDRESS_FULL:
		return request_limited(q, TALLY_HOME, MHD_HTTP_TOO_MANY_REQUESTS,
				       "Your address has too many streams open.", 0);
	case SEAT_CHANNEL_FULL:
		return request_limited(q, TALLY_CHANNEL, MHD_HTTP_SERVICE_UNAVAILABLE,
				       "Too many streams hear this channel; try again later.", 0);
	case SEAT_OK:
		break;
	}
	switch (registry_enter(w->registry, who->user_id)) {
	case REGISTRY_FULL:
		return request_limited(q, TALLY_STREAMS, MHD_HTTP_SERVICE_UNAVAILABLE,
				       "Too many streams are open; try again later.", 0);
	case REGISTRY_USER_FULL:
		if (request_wait_for_departed(q, who->user_id))
			return MHD_YES;
		return request_limited(q, TALLY_USER, MHD_HTTP_TOO_MANY_REQUESTS,
				       "You have too many streams open.", 0);
	default:
		q->lookup->who = NULL;
		return start_stream(q, who);
	}
}
