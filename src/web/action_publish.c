/* SPDX-License-Identifier: PostgreSQL
 * See action.h: messages that are published over a WebSocket, by the same function and under the
 * same rights as what is posted. The answer comes after the commit. */
#include "config.h"
#include "web/action.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/ledger.h"
#include "conf.h"
#include "web/publication.h"
#include "web/stream.h"
#include "web/talk.h"
#include "web/worker.h"

#define DATA_MAX 100 /* bytes */
#define WHY_MAX	 2048

static const struct {
	const char *name, *why; /* NULL: as the database says it */
} errors[] = {
	[PUBLISH_INVALID] = {"invalid_data", NULL},
	[PUBLISH_TOO_LARGE] = {"too_large", NULL},
	[PUBLISH_FORBIDDEN] = {"forbidden", NULL},
	[PUBLISH_NO_ROOM] = {"no_room", "There is no room for messages."},
	[PUBLISH_UNAVAILABLE] = {"unavailable",
				 "The database is not available, or did not say whether it is "
				 "published; try again, with an \"id\"."},
};

static void conclude(struct stream *s, const struct post_publish *l)
{
	autobuf data = {.max = DATA_MAX};

	if (l->verdict != PUBLISHED) {
		const char *why = errors[l->verdict].why ? errors[l->verdict].why : l->why;

		action_fail(s, l->request_id, errors[l->verdict].name, why);
		return;
	}
	buf_str(&data, "{\"id\": ");
	buf_u64(&data, l->id);
	buf_char(&data, '}');
	action_reply(s, l->request_id, "published", &data);
}

static void on_published(struct post_publish *l)
{
	struct stream *s = l->asker;

	ledger_add(-(int64_t)l->part.bytes);
	room_give(l->room, &l->part);
	if (s) {
		list_remove(&l->said);
		conclude(s, l);
	}
	post_publish_free(l);
	if (s) {
		talk_said(s->talk)->n--;
		talk_go_on(s); /* may close it */
	}
}

void action_forget_published(struct stream *s)
{
	LIST_EACH (&talk_said(s->talk)->list, node, tmp) {
		struct post_publish *l = LIST_ENTRY(node, struct post_publish, said);

		list_remove(node);
		l->asker = NULL;
	}
}

/* Takes the part of the room for it. */
static void post(struct stream *s, struct posting *m, const struct room_part *part,
		 const char *request_id)
{
	struct worker *w = s->worker;
	struct post_publish *l = xcalloc(1, sizeof(*l));

	l->letter.kind = POST_PUBLISH;
	l->reply_to = &w->inbox;
	l->message = *m;
	*m = (struct posting){0};
	l->until_ms = loop_now_ms(w->loop) + w->conf->request_ms;
	l->asker = s;
	l->answered = on_published;
	l->request_id = request_id ? xstrdup(request_id) : NULL;
	l->room = &w->http.room;
	l->part = *part;
	ledger_add((int64_t)l->part.bytes);
	list_push(&talk_said(s->talk)->list, &l->said);
	talk_said(s->talk)->n++;
	inbox_post(w->db, &l->letter);
}

static void post_if_room(struct stream *s, struct posting *m, const char *request_id)
{
	struct worker *w = s->worker;
	struct room_part part = {0};
	bool memory = budget_allows(&w->commons->budget, posting_bytes(m));

	if (memory && room_take(&w->http.room, &part, s->member.who->user_id, posting_bytes(m))) {
		post(s, m, &part, request_id);
		return;
	}
	tally_note(&w->commons->tally, memory ? TALLY_BODIES : TALLY_MEMORY, loop_now_ms(w->loop),
		   NULL, "a message");
	action_fail(s, request_id, "busy", "Too much is being posted; try again later.");
}

void action_publish(struct stream *s, struct scan data, enum posting_to to, const char *type,
		    const char *request_id)
{
	autobuf why = {.max = WHY_MAX};
	struct posting m;

	if (posting_read_said(data, to, type, &m, &why))
		action_fail(s, request_id, "invalid_data", buf_cstr(&why));
	else if (stream_is_held(s))
		action_fail(s, request_id, "busy", "Your rights are being looked up; try again.");
	else
		switch (publication_check(s->worker->conf, s->member.who, &m, &why)) {
		case 0:
			if (action_keeps_pace(s, ACTION_PUBLISHES, m.channel ? m.channel : m.user,
					      request_id))
				post_if_room(s, &m, request_id);
			break;
		case MHD_HTTP_FORBIDDEN:
			action_fail(s, request_id, "forbidden", buf_cstr(&why));
			break;
		default:
			action_fail(s, request_id, "invalid_data", buf_cstr(&why));
		}
	posting_clear(&m);
}
