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

	*l->bytes_all -= l->bytes;
	ledger_add(-(int64_t)l->bytes);
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

static void post(struct stream *s, struct posting *m, const char *request_id)
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
	l->bytes = posting_bytes(&l->message);
	l->bytes_all = &w->http.body_bytes;
	*l->bytes_all += l->bytes;
	ledger_add((int64_t)l->bytes);
	list_push(&talk_said(s->talk)->list, &l->said);
	talk_said(s->talk)->n++;
	inbox_post(w->db, &l->letter);
}

void action_publish(struct stream *s, struct scan data, enum posting_to to, const char *type,
		    const char *request_id)
{
	struct worker *w = s->worker;
	autobuf why = {.max = WHY_MAX};
	struct posting m;

	if (posting_read_said(data, to, type, &m, &why))
		action_fail(s, request_id, "invalid_data", buf_cstr(&why));
	else if (stream_is_held(s))
		action_fail(s, request_id, "busy", "Your rights are being looked up; try again.");
	else if (posting_bytes(&m) > BODIES_MAX - w->http.body_bytes ||
		 !budget_allows(&w->commons->budget, posting_bytes(&m)))
		action_fail(s, request_id, "busy", "Too much is being posted; try again later.");
	else
		switch (publication_check(w->conf, s->member.who, &m, &why)) {
		case 0:
			if (action_keeps_pace(s, ACTION_PUBLISHES, m.channel ? m.channel : m.user,
					      request_id))
				post(s, &m, request_id);
			break;
		case MHD_HTTP_FORBIDDEN:
			action_fail(s, request_id, "forbidden", buf_cstr(&why));
			break;
		default:
			action_fail(s, request_id, "invalid_data", buf_cstr(&why));
		}
	posting_clear(&m);
}
