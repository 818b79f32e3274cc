/* SPDX-License-Identifier: PostgreSQL
 * A request that is suspended: for its letter, for its body, for streams that have gone. See
 * request_parts.h. */
#include "config.h"
#include "web/request_parts.h"

#include <string.h>

#include "base/mem.h"
#include "conf.h"

#define PROBE_MS 300 /* for each */

void request_resume(struct request *q)
{
	loop_timer_clear(q->worker->loop, &q->limit);
	lobby_answered(&q->worker->commons->lobby, &q->caller->guest);
	q->state = REQUEST_ASKED;
	MHD_resume_connection(q->connection);
	q->worker->http.run_wanted = true;
}

void request_on_answered(struct post_lookup *l)
{
	struct request *q = l->asker;

	if (!q)
		post_lookup_free(l);
	else
		request_resume(q);
}

void request_on_published(struct post_publish *l)
{
	struct request *q = l->asker;

	if (!q)
		post_publish_free(l);
	else
		request_resume(q);
}

void request_on_explained(struct post_explain *l)
{
	struct request *q = l->asker;

	if (!q)
		post_explain_free(l);
	else
		request_resume(q);
}

void request_on_called(struct post_roll *l)
{
	struct request *q = l->asker;

	if (!q)
		post_roll_free(l);
	else
		request_resume(q);
}

void request_on_chosen(struct post_choice *l)
{
	struct request *q = l->asker;

	if (!q)
		post_choice_free(l);
	else
		request_resume(q);
}

/* The look-up takes too long: there will be no verdict, which is answered as unavailable. */
void request_give_up(struct request *q)
{
	if (q->state == REQUEST_PUBLISHING) {
		q->publication.letter->asker = NULL;
		q->publication.letter = NULL;
	} else if (q->state == REQUEST_EXPLAINING) {
		q->inquiry->asker = NULL;
		q->inquiry = NULL;
	} else if (q->state == REQUEST_CALLING) {
		q->roll->asker = NULL;
		q->roll = NULL;
	} else if (q->state == REQUEST_CHOOSING) {
		q->choice->asker = NULL;
		q->choice = NULL;
	} else {
		q->lookup->asker = NULL;
		q->lookup = NULL;
	}
	request_resume(q);
}

/* libmicrohttpd takes no answer in the middle of a body, so the socket gets it from us. The
 * connection ends with the next piece of the body, or soon without one. */
static void too_late(struct request *q)
{
	q->state = REQUEST_LATE;
	lobby_answered(&q->worker->commons->lobby, &q->caller->guest);
	request_note(q, TALLY_SLOW);
	caller_refuse(q->caller, q->conf, MHD_HTTP_REQUEST_TIMEOUT, CALLER_LATE,
		      asker_header(q->connection, "Origin"));
	MHD_set_connection_option(q->connection, MHD_CONNECTION_OPTION_TIMEOUT, 1u);
	q->worker->http.run_wanted = true;
}

void request_on_limit(void *arg)
{
	struct request *q = arg;
	struct worker *w = q->worker;

	if (q->state == REQUEST_WAITING)
		request_resume(q);
	else if (q->state == REQUEST_READING)
		too_late(q);
	else
		request_give_up(q);
	http_settle(w);
}

/* The user has as many streams as he may. Perhaps the clients of some have gone, and a proxy in
 * between knows or will know when it is written to: so they are all written to, twice, since the
 * first write may only be what a reset answers. False when that has been done in vain. */
bool request_wait_for_departed(struct request *q, const char *user_id)
{
	const struct commons *commons = q->worker->commons;
	struct address counted = caller_counted(q->caller, &q->asker.client);
	uint64_t now = loop_now_ms(q->worker->loop);

	if (q->probes++ == PROBES ||
	    !lobby_ask(&q->worker->commons->lobby, &q->caller->guest, &counted))
		return false;
	if (registry_probes(commons->registry, user_id, now, PROBE_MS / 2))
		for (size_t i = 0; i < commons->n_workers; i++) {
			struct post_probe *p = xcalloc(1, sizeof(*p) + strlen(user_id) + 1);

			p->letter.kind = POST_PROBE;
			memcpy(p->user_id, user_id, strlen(user_id));
			inbox_post(commons->workers[i], &p->letter);
		}
	q->state = REQUEST_WAITING;
	loop_timer_set(q->worker->loop, &q->limit, PROBE_MS);
	MHD_suspend_connection(q->connection);
	return true;
}

/* Until its deadline it is one of those of its address that wait; false when these are enough. */
bool request_wait(struct request *q, enum request_state state)
{
	struct worker *w = q->worker;
	uint64_t now = loop_now_ms(w->loop), until = q->caller->deadline_ms;
	struct address counted = caller_counted(q->caller, &q->asker.client);

	if (!lobby_ask(&w->commons->lobby, &q->caller->guest, &counted))
		return false;
	q->state = state;
	loop_timer_set(w->loop, &q->limit, until > now ? until - now : 0);
	return true;
}

/* Suspends the request until its letter has come back. */
enum MHD_Result request_post_to(struct request *q, struct inbox *to, enum request_state state,
				struct letter *l)
{
	struct worker *w = q->worker;

	if (!request_wait(q, state))
		return request_too_many(q);
	q->rights_changes = w->rights_changes;
	MHD_suspend_connection(q->connection);
	inbox_post(to, l);
	return MHD_YES;
}

enum MHD_Result request_post(struct request *q, struct inbox *to)
{
	return request_post_to(q, to, REQUEST_ASKING, &q->lookup->letter);
}
