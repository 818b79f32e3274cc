/* SPDX-License-Identifier: PostgreSQL
 * See control.h. */
#include "config.h"
#include "web/control.h"

#include <string.h>

#include "base/buf.h"
#include "base/num.h"
#include "conf.h"
#include "hub/post.h"
#include "web/answer.h"
#include "web/choice.h"
#include "web/joining.h"
#include "web/publication.h"
#include "web/stream.h"
#include "web/worker.h"
#include "wire/json.h"

#define WHY_MAX	   2048
#define NOT_BEFORE 3		/* seconds */
#define ANSWER_MAX (128 * 1024) /* bytes: lists of 64 names of 128, escaped */

struct inbox *control_find(const struct worker *w, const char *name, uint64_t *ret_number)
{
	const char *dot = strchr(name, '.');
	uint64_t worker;

	if (!dot || !num_u64(name, (size_t)(dot - name), &worker) ||
	    !num_u64(dot + 1, strlen(dot + 1), ret_number) || worker >= w->commons->n_workers)
		return NULL;
	return w->commons->workers[worker];
}

static enum MHD_Result no_such_stream(struct MHD_Connection *c, const struct conf *conf)
{
	return answer_error(c, conf, MHD_HTTP_NOT_FOUND, "There is no such stream of yours.");
}

struct post_choice *control_begin(const struct publication *p, struct worker *w,
				  struct MHD_Connection *c, const struct conf *conf,
				  const struct conf_route *route, const struct post_lookup *l,
				  const char *name, struct inbox **ret_to, enum MHD_Result *ret)
{
	struct post_choice *choice;
	autobuf why = {.max = WHY_MAX};
	struct scan body;
	uint64_t number;

	if (!scan_text(buf_cstr(&p->body), p->body.len, &body)) {
		posting_fault(buf_cstr(&p->body), p->body.len, &why);
		*ret = answer_error(c, conf, MHD_HTTP_BAD_REQUEST, buf_cstr(&why));
		return NULL;
	}
	*ret_to = control_find(w, name, &number);
	if (!*ret_to) {
		*ret = no_such_stream(c, conf);
		return NULL;
	}
	choice = xcalloc(1, sizeof(*choice));
	choice->letter.kind = POST_CHOICE;
	choice->stream = number;
	choice->less = route->kind == ROUTE_UNSUBSCRIBE;
	choice->user_id = xstrdup(l->who->user_id);
	choice->auth = xstrdup(l->auth);
	choice->text = xstrndup(buf_cstr(&p->body), p->body.len);
	return choice;
}

enum MHD_Result control_answer(const struct post_choice *l, struct MHD_Connection *c,
			       const struct conf *conf, const char *name)
{
	autobuf body = {.max = 2 * ANSWER_MAX};

	if (!l || l->verdict == CHOICE_UNAVAILABLE)
		return answer_busy(c, conf, MHD_HTTP_SERVICE_UNAVAILABLE,
				   "The database is not available; try again.",
				   tally_name(TALLY_DATABASE), 1);
	if (l->verdict == CHOICE_NO_STREAM)
		return no_such_stream(c, conf);
	if (l->verdict == CHOICE_FULL)
		return answer_busy(c, conf, choice_status(CHOICE_FULL), l->said,
				   tally_name(TALLY_CHANNEL), NOT_BEFORE);
	if (l->verdict != CHOICE_OK)
		return answer_error(c, conf, choice_status((enum choice_verdict)l->verdict),
				    l->said);
	buf_str(&body, "{\"stream\": ");
	json_string(&body, name, strlen(name));
	buf_printf(&body, ", %s}\n", l->said);
	return answer_text(c, conf, MHD_HTTP_OK, "application/json", buf_cstr(&body));
}

static struct stream *find(struct worker *w, const struct post_choice *l)
{
	unsigned door;

	LIST_EACH (&w->streams, node, tmp) {
		struct stream *s = LIST_ENTRY(node, struct stream, node);

		if (s->id == l->stream)
			return s->state != STREAM_CLOSING && !s->close_reason &&
					       !strcmp(s->member.who->user_id, l->user_id) &&
					       stream_has_door(s, l->auth, &door)
				       ? s
				       : NULL;
	}
	return NULL;
}

static void send_home(struct post_choice *l, enum choice_verdict v, const struct buf *said)
{
	l->verdict = (int)v;
	l->said = xstrdup(buf_cstr(said));
	l->letter.kind = POST_CHOSEN;
	inbox_post(l->reply_to, &l->letter);
}

static void on_joined(struct joining *j, struct stream *s, enum choice_verdict v, struct buf *said)
{
	struct post_choice *l = j->letter;
	autobuf heard = {.max = ANSWER_MAX};

	j->letter = NULL;
	if (!v)
		choice_put(s, &heard);
	send_home(l, v, v ? said : &heard);
}

/* False when the letter waits for what the route's function says. */
static bool choose(struct stream *s, struct post_choice *l, enum choice_verdict *ret,
		   struct buf *said)
{
	struct choice choice = {0};
	enum choice_verdict v = CHOICE_INVALID;
	struct keys *asked = NULL;
	struct scan body;

	if (scan_text(l->text, strlen(l->text), &body))
		v = choice_read(&choice, body, s->worker->conf, said);
	if (!v && !l->less && (asked = choice_asks(s, &choice))) {
		struct joining *j = joining_begin(s, &choice, asked);

		j->letter = l;
		j->done = on_joined;
		return false;
	}
	if (!v)
		v = l->less ? choice_drop(s, &choice, said) : choice_add(s, &choice, said);
	if (!v)
		choice_put(s, said);
	choice_clear(&choice);
	*ret = v;
	return true;
}

void control_take(struct worker *w, struct post_choice *l)
{
	struct stream *s = find(w, l);
	autobuf said = {.max = ANSWER_MAX};
	enum choice_verdict v = CHOICE_NO_STREAM;

	if (!s || choose(s, l, &v, &said))
		send_home(l, v, &said);
}
