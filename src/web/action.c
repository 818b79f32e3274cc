/* SPDX-License-Identifier: PostgreSQL
 * See action.h. */
#include "config.h"
#include "web/action.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "conf.h"
#include "hub/filter.h"
#include "hub/subscription.h"
#include "web/query.h"
#include "web/stream.h"
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

/* null is all of them. */
static void put_list(struct buf *b, char *const *items, size_t n, bool none)
{
	if (!n && !none) {
		buf_str(b, "null");
		return;
	}
	buf_char(b, '[');
	for (size_t i = 0; i < n; i++) {
		buf_str(b, i ? ", " : "");
		json_string(b, items[i], strlen(items[i]));
	}
	buf_char(b, ']');
}

/* What the stream hears by now. */
static void reply_choice(const struct asked *a, const char *what)
{
	static const struct filter everything;
	const struct filter *f = a->stream->filter ? a->stream->filter : &everything;
	const struct keys *channels = a->stream->member.who->channels;
	autobuf data = {.max = ANSWER_MAX};

	buf_str(&data, "{\"topics\": ");
	put_list(&data, f->topics, f->n_topics, f->no_topics);
	buf_str(&data, ", \"types\": ");
	put_list(&data, f->types, f->n_types, f->no_types);
	buf_str(&data, ", \"channels\": [");
	for (size_t i = 0; channels && i < channels->n; i++) {
		buf_str(&data, i ? ", " : "");
		json_string(&data, channels->list[i] + 1, strlen(channels->list[i] + 1));
	}
	buf_str(&data, "]}");
	reply(a, what, &data);
}

/* What a message names. */
struct choice {
	struct filter *filter;
	struct subscription channels;
};

static void choice_clear(struct choice *c)
{
	filter_free(c->filter);
	subscription_clear(&c->channels);
}

static bool add_topic(struct choice *c, const char *name)
{
	return filter_add_topics(&c->filter, name);
}

static bool add_type(struct choice *c, const char *name)
{
	return filter_add_types(&c->filter, name);
}

static bool add_channel(struct choice *c, const char *name)
{
	return subscription_add(&c->channels, name);
}

static const struct {
	const char *member;
	bool (*add)(struct choice *c, const char *name);
} members[] = {
	{"topics", add_topic},
	{"types", add_type},
	{"channel", add_channel},
	{"channels", add_channel},
};

/* Adds a name; a list in one would be several. */
static bool add_name(struct choice *c, struct scan value,
		     bool (*add)(struct choice *c, const char *name))
{
	autobuf name = {.max = FILTER_ITEM_MAX};

	return scan_string(value, &name) && buf_ok(&name) && !strchr(buf_cstr(&name), ',') &&
	       add(c, buf_cstr(&name));
}

/* A member of the data that is a name or an array of names, at least one. */
static bool add_names(struct choice *c, struct scan list,
		      bool (*add)(struct choice *c, const char *name))
{
	struct scan item;
	size_t n = 0;

	if (*list.at == '"')
		return add_name(c, list, add);
	for (; *list.at == '[' || n; n++)
		if (!scan_next(&list, &item))
			break;
		else if (!add_name(c, item, add))
			return false;
	return n > 0;
}

/* Reads what is to be heard, or not, from here on. False when the answer has been given: an error.
 */
static bool read_choice(const struct asked *a, struct choice *c)
{
	struct query q = {0};
	struct scan list;
	size_t n = 0;
	autobuf why = {.max = WHY_MAX};

	for (size_t i = 0; i < sizeof(members) / sizeof(*members) && a->has_data; i++) {
		if (!scan_member(a->data, members[i].member, &list))
			continue;
		n++;
		if (!add_names(c, list, members[i].add)) {
			buf_printf(&why,
				   "\"%s\" is a name or a list of names, each of 1 to 128 bytes: "
				   "of at most 64 topics or types, or 32 channels.",
				   members[i].member);
			break;
		}
	}
	q.filter = c->filter;
	if (n && !why.len && query_knows_topics(&q, a->stream->worker->conf, &why))
		return true;
	fail(a, "invalid_data",
	     n ? buf_cstr(&why) : "\"data\" must have \"channel\", \"topics\" or \"types\".");
	choice_clear(c);
	return false;
}

/* The stream's channels with these besides. False when they are too many. */
static bool more_channels(const struct stream *s, struct subscription *more)
{
	const struct keys *now = s->member.who->channels;

	for (size_t i = 0; now && i < now->n; i++) {
		size_t k = 0;

		while (k < more->n && strcmp(more->names[k], now->list[i]) != 0)
			k++;
		if (k == more->n && !subscription_add(more, now->list[i] + 1))
			return false;
	}
	return true;
}

/* ... or without them. */
static struct keys *fewer_channels(const struct stream *s, const struct subscription *less)
{
	const struct keys *now = s->member.who->channels;
	struct subscription kept = {0};
	struct keys *keys;

	for (size_t i = 0; now && i < now->n; i++) {
		size_t k = 0;
		bool ok = true;

		while (k < less->n && strcmp(less->names[k], now->list[i]) != 0)
			k++;
		if (k == less->n)
			ok = subscription_add(&kept, now->list[i] + 1);
		assert(ok); /* as many as there were */
	}
	keys = subscription_keys(&kept);
	subscription_clear(&kept);
	return keys;
}

static void refuse_channel(const struct asked *a, const char *name)
{
	autobuf why = {.max = WHY_MAX};

	buf_printf(&why, "Your role may not hear the channel \"%s\".", name);
	fail(a, "forbidden", buf_cstr(&why));
}

static void subscribe(const struct asked *a, struct choice *more)
{
	struct stream *s = a->stream;
	const struct scope_policy *policy = &s->worker->hub.policies[s->member.role];
	bool room = more_channels(s, &more->channels);
	struct keys *channels = subscription_keys(&more->channels);
	const char *refused = subscription_refused(channels, policy, s->member.who->user_id);

	if (refused) {
		refuse_channel(a, refused);
	} else if (!room || (s->filter && more->filter && !filter_join(s->filter, more->filter))) {
		fail(a, "too_many",
		     "A stream chooses at most 64 topics, 64 types and 32 channels.");
	} else {
		stream_set_channels(s, channels);
		reply_choice(a, "subscribed");
		return;
	}
	free(channels);
}

static void do_subscribe(const struct asked *a)
{
	struct choice more = {0};

	if (!read_choice(a, &more))
		return;
	subscribe(a, &more);
	choice_clear(&more);
}

static void do_unsubscribe(const struct asked *a)
{
	struct stream *s = a->stream;
	struct choice less = {0};

	if (!read_choice(a, &less))
		return;
	if (less.filter && (!s->filter || !filter_drop(s->filter, less.filter))) {
		fail(a, "not_chosen",
		     "This stream hears all there is of that kind. Connect with ?topics= or "
		     "?types= "
		     "to choose.");
	} else {
		stream_set_channels(s, fewer_channels(s, &less.channels));
		reply_choice(a, "unsubscribed");
	}
	choice_clear(&less);
}

static void do_renew(const struct asked *a)
{
	if (a->has_data)
		action_renew(a->stream, a->data, a->request_id);
	else
		fail(a, "invalid_data", "\"data\" must have \"token\".");
}

static const struct action {
	const char *name;
	void (*run)(const struct asked *a);
} actions[] = {
	{"ping", do_ping},
	{"renew", do_renew},
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
