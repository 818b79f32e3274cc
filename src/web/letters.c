/* SPDX-License-Identifier: PostgreSQL
 * See letters.h. */
#include "config.h"
#include "web/letters.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "web/arrival.h"
#include "web/control.h"
#include "web/inquiry.h"
#include "web/roll.h"
#include "web/stream.h"
#include "web/words.h"
#include "web/worker.h"

static struct stream *stream_at(struct list *node)
{
	return LIST_ENTRY(node, struct stream, node);
}

static void comment_all(struct worker *w, const char *text)
{
	struct words words = {.write = words_comment, .text = text};

	LIST_EACH (&w->streams, node, tmp) {
		struct stream *s = stream_at(node);
		struct frame *f = s->fd.fd >= 0 ? words_in(&words, s->form) : NULL;

		if (f)
			stream_offer(s, f);
	}
	words_free(&words);
}

/* Everybody whose rights change with these events is held before the first of them goes out: what
 * was written with the change, or behind it, waits for a verdict. One walk for all changes. */
static void hold_concerned(struct worker *w, const struct post_events *p)
{
	struct keys users = {0};
	size_t n_changes = 0, max = 0;
	bool everybody = p->restart; /* what changed in the gap is not known */

	for (size_t i = 0; i < p->n; i++)
		if (p->events[i]->op == 'a') {
			n_changes++;
			max += p->events[i]->before.n;
			everybody |= !p->events[i]->before.n;
		}
	if (!n_changes && !everybody)
		return;
	w->rights_changes++;
	users.list = xcalloc(max, sizeof(*users.list));
	for (size_t i = 0; i < p->n && !everybody; i++)
		for (size_t k = 0; p->events[i]->op == 'a' && k < p->events[i]->before.n; k++)
			users.list[users.n++] = p->events[i]->before.list[k];
	keys_sort(&users);
	LIST_EACH (&w->streams, node, tmp)
		if (stream_is_concerned(stream_at(node), &users))
			stream_hold(stream_at(node), w->hub.ring.head);
	free(users.list);
}

static void take_position(struct worker *w, const struct post_events *p)
{
	w->position = p->position;
	w->known = cursor_parse(&w->position_cursor, p->position.text, strlen(p->position.text));
	w->position_xmin = p->position_xmin;
}

/* `last`: no letter with events follows in this turn. */
static void take_events(struct worker *w, struct post_events *p, bool last)
{
	if (p->restart) {
		take_position(w, p);
		ring_reset(&w->hub.ring, p->floor);
		LIST_EACH (&w->streams, node, tmp)
			stream_restart(stream_at(node));
	}
	hold_concerned(w, p);
	for (size_t i = 0; i < p->n; i++) {
		w->last_event = last && i + 1 == p->n;
		if (p->events[i]->op != 'a')
			hub_publish(&w->hub, p->events[i]);
		event_unref(p->events[i]);
	}
	w->last_event = false;
	if (!w->database_up)
		w->late_seq = w->hub.ring.head;
	take_position(w, p);
	p->n = 0; /* they have gone one by one */
	post_events_free(p);
}

static void take_database(struct worker *w, struct post_database *p)
{
	if (p->up != w->database_up)
		comment_all(w, p->up ? "database connection restored"
				     : "database connection lost; events follow when it is back");
	w->database_up = p->up;
	LIST_EACH (&w->streams, node, tmp)
		stream_database(stream_at(node));
	if (p->up)
		arrivals_go(w);
	free(p);
}

static void take_replay(struct worker *w, struct post_replay *p)
{
	(void)w;
	if (p->asker)
		stream_replayed(p->asker);
	else /* its stream has gone */
		post_replay_free(p);
}

static void probe_one(struct hub_member *m, void *words)
{
	struct stream *s = (struct stream *)m;

	stream_probe(s, words_in(words, s->form));
}

/* Whoever asks waits for the letter to come back; with the credential, or without. */
static void take_renewal(struct worker *w, struct post_lookup *l)
{
	l->verdict = LOOKUP_UNKNOWN;
	LIST_EACH (&w->streams, node, tmp)
		if (stream_at(node)->id == l->stream) {
			if (stream_renew(stream_at(node), l->who->user_id, l->auth, l->token))
				l->verdict = LOOKUP_OK;
			break;
		}
	l->letter.kind = POST_LOOKUP;
	inbox_post(l->reply_to, &l->letter);
}

static void take_probe(struct worker *w, struct post_probe *p)
{
	struct words words = {.write = words_probe};

	hub_each_of_user(&w->hub, p->user_id, probe_one, &words);
	words_free(&words);
	free(p);
}

static void take_conf(struct worker *w, struct post_conf *p)
{
	struct conf *old = w->conf;

	LIST_EACH (&w->streams, node, tmp)
		hub_leave(&w->hub, &stream_at(node)->member);
	w->conf = p->conf;
	free(p);
	worker_note_topics(w);
	hub_set_policies(&w->hub, w->conf->roles, w->conf->n_roles);
	LIST_EACH (&w->streams, node, tmp)
		stream_reload(stream_at(node));
	conf_unref(old);
}

static void take_keys(struct worker *w, struct post_keys *p)
{
	LIST_EACH (&w->streams, node, tmp)
		stream_keys_gone(stream_at(node), p->auth);
	free(p);
}

static void take_problems(struct worker *w, struct post_problems *p)
{
	free(w->problems);
	w->problems = *p->lines ? xstrdup(p->lines) : NULL;
	free(p);
}

/* The last one that brings events, or NULL. */
static const struct letter *last_with_events(const struct list *letters)
{
	for (struct list *node = letters->prev; node != letters; node = node->prev) {
		const struct letter *l = LIST_ENTRY(node, struct letter, node);

		if (l->kind == POST_EVENTS && ((const struct post_events *)l)->n)
			return l;
	}
	return NULL;
}

void letters_take(void *arg, struct list *letters)
{
	struct worker *w = arg;
	const struct letter *last = last_with_events(letters);

	LIST_EACH (letters, node, tmp) {
		struct letter *l = LIST_ENTRY(node, struct letter, node);
		struct post_lookup *lookup;
		struct post_publish *publish;
		struct post_choice *choice;

		list_remove(node);
		switch (l->kind) {
		case POST_EVENTS:
			take_events(w, (struct post_events *)l, l == last);
			break;
		case POST_DATABASE:
			take_database(w, (struct post_database *)l);
			break;
		case POST_LOOKUP:
		case POST_AUTHORIZE:
			lookup = (struct post_lookup *)l;
			lookup->answered(lookup);
			break;
		case POST_RENEW:
			take_renewal(w, (struct post_lookup *)l);
			break;
		case POST_REPLAY:
			take_replay(w, (struct post_replay *)l);
			break;
		case POST_PUBLISH:
			publish = (struct post_publish *)l;
			publish->answered(publish);
			break;
		case POST_EXPLAIN:
			inquiry_pass(w, (struct post_explain *)l);
			break;
		case POST_CHOICE:
			control_take(w, (struct post_choice *)l);
			break;
		case POST_CHOSEN:
			choice = (struct post_choice *)l;
			choice->answered(choice);
			break;
		case POST_ROLL:
			roll_pass(w, (struct post_roll *)l);
			break;
		case POST_CONF:
			take_conf(w, (struct post_conf *)l);
			break;
		case POST_KEYS:
			take_keys(w, (struct post_keys *)l);
			break;
		case POST_PROBLEMS:
			take_problems(w, (struct post_problems *)l);
			break;
		case POST_PROBE:
			take_probe(w, (struct post_probe *)l);
			break;
		case POST_DRAIN:
			worker_drain(w);
			free(l);
			break;
		case POST_STOP:
			loop_stop(w->loop);
			free(l);
			break;
		}
	}
	worker_flush(w);
	http_settle(w);
}

void letters_drop(struct letter *l)
{
	switch (l->kind) {
	case POST_EVENTS:
		post_events_free((struct post_events *)l);
		break;
	case POST_LOOKUP:
	case POST_AUTHORIZE:
	case POST_RENEW:
		post_lookup_free((struct post_lookup *)l);
		break;
	case POST_REPLAY:
		post_replay_free((struct post_replay *)l);
		break;
	case POST_PUBLISH:
		post_publish_free((struct post_publish *)l);
		break;
	case POST_EXPLAIN:
		post_explain_free((struct post_explain *)l);
		break;
	case POST_CHOICE:
	case POST_CHOSEN:
		post_choice_free((struct post_choice *)l);
		break;
	case POST_ROLL:
		post_roll_free((struct post_roll *)l);
		break;
	case POST_CONF:
		conf_unref(((struct post_conf *)l)->conf);
		free(l);
		break;
	default:
		free(l);
	}
}
