/* SPDX-License-Identifier: PostgreSQL
 * See action.h. */
#include "config.h"
#include "web/action.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "conf.h"
#include "hub/filter.h"
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

static void reply(const struct asked *a, const char *what, const struct buf *data)
{
	autobuf b = {.max = 2 * ANSWER_MAX};

	const struct news n = {.type = what,
			       .doc = buf_cstr(data),
			       .request_id = a->request_id,
			       .at = (int64_t)time(NULL)};

	form_reply(a->stream->form, &b, &n);
	stream_say(a->stream, &b);
}

static void fail(const struct asked *a, const char *type, const char *why)
{
	autobuf data = {.max = ANSWER_MAX};

	buf_printf(&data, "{\"type\": \"%s\", \"error\": ", type);
	json_string(&data, why, strlen(why));
	buf_char(&data, '}');
	reply(a, "error", &data);
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
static void reply_filter(const struct asked *a, const char *what)
{
	static const struct filter everything;
	const struct filter *f = a->stream->filter ? a->stream->filter : &everything;
	autobuf data = {.max = ANSWER_MAX};

	buf_str(&data, "{\"topics\": ");
	put_list(&data, f->topics, f->n_topics, f->no_topics);
	buf_str(&data, ", \"types\": ");
	put_list(&data, f->types, f->n_types, f->no_types);
	buf_char(&data, '}');
	reply(a, what, &data);
}

/* Adds a name; a list in one would be several. */
static bool add_name(struct scan value, struct filter **f,
		     bool (*add)(struct filter **f, const char *list))
{
	autobuf name = {.max = FILTER_ITEM_MAX};

	return scan_string(value, &name) && buf_ok(&name) && !strchr(buf_cstr(&name), ',') &&
	       add(f, buf_cstr(&name));
}

/* A member of the data that is a name or an array of names. */
static bool add_names(const struct asked *a, const char *member, struct filter **f,
		      bool (*add)(struct filter **f, const char *list))
{
	struct scan list, item;

	if (!scan_member(a->data, member, &list))
		return true;
	if (*list.at == '"')
		return add_name(list, f, add);
	if (*list.at != '[')
		return false;
	while (scan_next(&list, &item))
		if (!add_name(item, f, add))
			return false;
	return true;
}

/* What is to be heard, or not, from here on. NULL when the answer has been given: an error. */
static struct filter *names(const struct asked *a)
{
	const struct conf *conf = a->stream->worker->conf;
	struct query q = {0};
	struct scan channel;
	autobuf why = {.max = WHY_MAX};

	if (!a->has_data || scan_member(a->data, "channel", &channel)) {
		fail(a, "invalid_data",
		     "\"data\" must have \"topics\" or \"types\", lists of names.");
		return NULL;
	}
	if (!add_names(a, "topics", &q.filter, filter_add_topics) ||
	    !add_names(a, "types", &q.filter, filter_add_types) || !q.filter)
		buf_str(&why,
			"\"topics\" and \"types\" are lists of at most 64 names, each of 1 to "
			"128 bytes, without commas.");
	else if (query_knows_topics(&q, conf, &why))
		return q.filter;
	filter_free(q.filter);
	fail(a, "invalid_data", buf_cstr(&why));
	return NULL;
}

static void do_subscribe(const struct asked *a)
{
	struct filter *more = names(a), *f = a->stream->filter;

	if (!more)
		return;
	if (f && !filter_join(f, more))
		fail(a, "too_many", "A stream chooses among at most 64 topics and 64 types.");
	else
		reply_filter(a, "subscribed");
	filter_free(more);
}

static void do_unsubscribe(const struct asked *a)
{
	struct filter *less = names(a), *f = a->stream->filter;

	if (!less)
		return;
	if (!f || !filter_drop(f, less))
		fail(a, "not_chosen",
		     "This stream hears all there is of that kind. Connect with ?topics= or "
		     "?types= "
		     "to choose.");
	else
		reply_filter(a, "unsubscribed");
	filter_free(less);
}

static const struct action {
	const char *name;
	void (*run)(const struct asked *a);
} actions[] = {
	{"ping", do_ping},
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
