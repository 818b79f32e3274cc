/* SPDX-License-Identifier: PostgreSQL
 * See action.h. */
#include "config.h"
#include "web/action.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "conf.h"
#include "web/choice.h"
#include "web/joining.h"
#include "web/quota.h"
#include "web/stream.h"
#include "web/talk.h"
#include "web/worker.h"
#include "wire/json.h"
#include "wire/scan.h"

#define NAME_MAX_BYTES 128	    /* of an action */
#define REQUEST_ID_MAX 128	    /* bytes, as it is written */
#define ANSWER_MAX     (128 * 1024) /* bytes: two lists of 64 names of 128, escaped */
#define WHY_MAX	       2048	    /* bytes of a sentence */

/* A message under way. */
struct asked {
	struct stream *stream;
	struct scan data;
	bool has_data;
	char *request_id; /* JSON text, or NULL */
};

void action_reply(struct stream *s, const char *request_id, const char *what,
		  const struct buf *data)
{
	autobuf b = {.max = 2 * ANSWER_MAX};

	const struct news n = {.type = what,
			       .doc = buf_cstr(data),
			       .request_id = request_id,
			       .at = (int64_t)time(NULL)};

	form_reply(s->form, &b, &n);
	stream_say(s, &b);
}

void action_fail(struct stream *s, const char *request_id, const char *type, const char *why)
{
	autobuf data = {.max = ANSWER_MAX};

	buf_printf(&data, "{\"type\": \"%s\", \"error\": ", type);
	json_string(&data, why, strlen(why));
	buf_char(&data, '}');
	action_reply(s, request_id, "error", &data);
}

static void reply(const struct asked *a, const char *what, const struct buf *data)
{
	action_reply(a->stream, a->request_id, what, data);
}

static void fail(const struct asked *a, const char *type, const char *why)
{
	action_fail(a->stream, a->request_id, type, why);
}

static void do_ping(const struct asked *a)
{
	autobuf data = {.max = ANSWER_MAX};

	buf_str(&data, "{}");
	reply(a, "pong", &data);
}

/* What the stream hears by now. */
static void reply_choice(const struct asked *a, const char *what)
{
	autobuf data = {.max = ANSWER_MAX};

	buf_char(&data, '{');
	choice_put(a->stream, &data);
	buf_char(&data, '}');
	reply(a, what, &data);
}

static struct quota_asker asker_of(const struct stream *s, const struct address *from)
{
	return (struct quota_asker){s->worker->commons, s->route, s->member.who->user_id, from,
				    loop_now_ms(s->worker->loop)};
}

/* Whether nothing is over its limit; else says so. */
static bool keeps_to(struct stream *s, enum tally_reason over, uint64_t wait_ms,
		     const char *request_id)
{
	const struct quota_asker asker = asker_of(s, NULL);
	autobuf why = {.max = WHY_MAX};

	if (over == N_TALLIES)
		return true;
	quota_note(&asker, over, stream_peer(s));
	buf_printf(&why, "%s Try again in %u seconds.", quota_why(over),
		   (unsigned)(wait_ms / 1000 + 1));
	action_fail(s, request_id, "too_often", buf_cstr(&why));
	return false;
}

bool action_keeps_pace(struct stream *s, enum action_kind kind, const char *to,
		       const char *request_id)
{
	struct address from = stream_from(s);
	const struct quota_asker asker = asker_of(s, &from);
	uint64_t wait_ms = 0;
	enum tally_reason over = kind == ACTION_SUBSCRIBES ? quota_subscribe(&asker, &wait_ms)
							   : quota_publish(&asker, &wait_ms);

	if (over == N_TALLIES && to)
		over = quota_publish_to(&asker, to, &wait_ms);
	return keeps_to(s, over, wait_ms, request_id);
}

static bool may_join(const struct asked *a, const struct choice *c)
{
	struct address from = stream_from(a->stream);
	const struct quota_asker asker = asker_of(a->stream, &from);
	uint64_t wait_ms = 0;
	enum tally_reason over = quota_subscribe_to(&asker, &c->channels, &wait_ms);

	return keeps_to(a->stream, over, wait_ms, a->request_id);
}

/* The route's function has been asked. */
static void on_joined(struct joining *j, struct stream *s, enum choice_verdict v, struct buf *why)
{
	const struct asked a = {.stream = s, .request_id = j->request_id};

	if (!s)
		return;
	talk_wait(s->talk, false);
	if (v && v != CHOICE_NO_STREAM)
		fail(&a, choice_word(v), buf_cstr(why));
	else if (!v)
		reply_choice(&a, "subscribed");
	talk_go_on(s); /* may close it */
}

typedef enum choice_verdict choose_fn(struct stream *s, struct choice *c, struct buf *why);

static void choose(const struct asked *a, choose_fn *fn, const char *done)
{
	struct choice c = {0};
	autobuf why = {.max = WHY_MAX};
	enum choice_verdict v = CHOICE_INVALID;
	struct keys *asked;

	if (!action_keeps_pace(a->stream, ACTION_SUBSCRIBES, NULL, a->request_id))
		return;
	if (a->has_data)
		v = choice_read(&c, a->data, a->stream->worker->conf, &why);
	else
		buf_str(&why, "\"data\" must have \"channel\", \"topics\" or \"types\".");
	if (!v && fn == choice_add && !may_join(a, &c)) {
		choice_clear(&c);
		return;
	}
	if (!v && fn == choice_add && (asked = choice_asks(a->stream, &c))) {
		struct joining *j = joining_begin(a->stream, &c, asked);

		j->request_id = a->request_id ? xstrdup(a->request_id) : NULL;
		j->done = on_joined;
		talk_wait(a->stream->talk, true); /* what he says next is meant to follow */
		return;
	}
	if (!v)
		v = fn(a->stream, &c, &why);
	choice_clear(&c);
	if (v)
		fail(a, choice_word(v), buf_cstr(&why));
	else
		reply_choice(a, done);
}

static void do_subscribe(const struct asked *a)
{
	choose(a, choice_add, "subscribed");
}

static void do_unsubscribe(const struct asked *a)
{
	choose(a, choice_drop, "unsubscribed");
}

static void do_renew(const struct asked *a)
{
	if (a->has_data)
		action_renew(a->stream, a->data, a->request_id);
	else
		fail(a, "invalid_data", "\"data\" must have \"token\".");
}

static void publish(const struct asked *a, enum posting_to to, const char *type)
{
	if (a->has_data)
		action_publish(a->stream, a->data, to, type, a->request_id);
	else
		fail(a, "invalid_data", "\"data\" must have \"content\".");
}

static void do_message(const struct asked *a)
{
	publish(a, POSTING_TO_ANY, "message");
}

static void do_send_to_channel(const struct asked *a)
{
	publish(a, POSTING_TO_CHANNEL, "text");
}

static void do_send_to_user(const struct asked *a)
{
	publish(a, POSTING_TO_USER, "text");
}

static const struct action {
	const char *name;
	void (*run)(const struct asked *a);
} actions[] = {
	{"message", do_message},
	{"ping", do_ping},
	{"renew", do_renew},
	{"send_to_channel", do_send_to_channel},
	{"send_to_user", do_send_to_user},
	{"subscribe", do_subscribe},
	{"unsubscribe", do_unsubscribe},
};

#define N_ACTIONS (sizeof(actions) / sizeof(*actions))

static void unknown(const struct asked *a, const char *name)
{
	autobuf why = {.max = WHY_MAX};

	buf_printf(&why, "There is no action \"%s\" here; there are: ", name);
	for (size_t i = 0; i < N_ACTIONS; i++)
		buf_printf(&why, "%s%s", i ? ", " : "", actions[i].name);
	buf_char(&why, '.');
	fail(a, "unknown_action", buf_cstr(&why));
}

/* A string or an integer, which is echoed as it stands; null is none. False when it is neither. */
static bool take_request_id(struct asked *a, struct scan message)
{
	struct scan id;

	if (!scan_member(message, "request_id", &id) || scan_is_null(id))
		return true;
	if (id.len > REQUEST_ID_MAX || (*id.at != '"' && !scan_is_integer(id)))
		return false;
	a->request_id = xstrndup(id.at, id.len);
	return true;
}

static void run(struct asked *a, struct scan message)
{
	struct scan action;
	autobuf name = {.max = NAME_MAX_BYTES};

	if (!take_request_id(a, message)) {
		fail(a, "invalid_message",
		     "\"request_id\" is a string or an integer of at most 128 bytes.");
		return;
	}
	if (!scan_member(message, "action", &action) || !scan_string(action, &name) ||
	    !buf_ok(&name)) {
		fail(a, "invalid_message", "\"action\" must be a string of at most 128 bytes.");
		return;
	}
	a->has_data = scan_member(message, "data", &a->data);
	for (size_t i = 0; i < N_ACTIONS; i++)
		if (!strcmp(actions[i].name, buf_cstr(&name))) {
			actions[i].run(a);
			return;
		}
	unknown(a, buf_cstr(&name));
}

void action_take(struct stream *s, const char *text, size_t len)
{
	struct asked a = {.stream = s};
	struct scan message;

	if (!scan_text(text, len, &message) || *message.at != '{')
		fail(&a, "invalid_message", "A message is a JSON object with \"action\".");
	else
		run(&a, message);
	free(a.request_id);
}
