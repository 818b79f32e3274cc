/* SPDX-License-Identifier: PostgreSQL
 * See post.h. */
#include "config.h"
#include "hub/post.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "base/ledger.h"

void post_events_free(struct post_events *p)
{
	for (size_t i = 0; i < p->n; i++)
		event_unref(p->events[i]);
	if (p->in_flight)
		atomic_fetch_sub_explicit(p->in_flight, p->bytes, memory_order_relaxed);
	free(p);
}

void post_lookup_free(struct post_lookup *l)
{
	if (!l)
		return;
	if (l->free_errand)
		l->free_errand(l->errand);
	principal_free(l->who);
	if (l->token)
		explicit_bzero(l->token, strlen(l->token));
	free(l->token);
	free(l->auth);
	free(l->route);
	free(l->sealed);
	free(l);
}

void post_publish_free(struct post_publish *l)
{
	if (!l)
		return;
	posting_clear(&l->message);
	free(l->why);
	free(l->request_id);
	free(l);
}

void post_roll_free(struct post_roll *l)
{
	if (!l)
		return;
	free(l->name);
	json_object_put(l->list);
	for (size_t i = 0; i < 2; i++)
		json_object_put(l->kinds[i].users);
	json_object_put(l->channels);
	free(l);
}

void post_choice_free(struct post_choice *l)
{
	if (!l)
		return;
	free(l->user_id);
	free(l->auth);
	free(l->text);
	free(l->said);
	free(l);
}

void post_replay_count(struct post_replay *p, bool counted)
{
	ledger_add(-(int64_t)p->counted);
	p->counted = 0;
	for (size_t i = 0; i < p->n && counted; i++)
		p->counted += p->events[i]->bytes;
	ledger_add((int64_t)p->counted);
}

void post_replay_free(struct post_replay *p)
{
	post_replay_count(p, false);
	for (size_t i = 0; i < p->n; i++)
		event_unref(p->events[i]);
	free(p->events);
	if (p->plan)
		p->free_plan(p->plan);
	free(p->user_id);
	free(p->session);
	free(p->channels);
	free(p);
}

void post_explain_free(struct post_explain *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->n; i++)
		event_unref(l->events[i]);
	free(l->events);
	json_object_put(l->answer);
	question_clear(&l->question);
	free(l->why);
	free(l);
}
