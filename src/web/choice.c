/* SPDX-License-Identifier: PostgreSQL
 * See choice.h. */
#include "config.h"
#include "web/choice.h"

#include <assert.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "hub/filter.h"
#include "web/permission.h"
#include "web/query.h"
#include "web/stream.h"
#include "web/worker.h"
#include "wire/json.h"

const char *choice_word(enum choice_verdict v)
{
	static const char *const words[] = {
		[CHOICE_INVALID] = "invalid_data",    [CHOICE_FORBIDDEN] = "forbidden",
		[CHOICE_NOTHING] = "unknown_channel", [CHOICE_TOO_MANY] = "too_many",
		[CHOICE_NOT_CHOSEN] = "not_chosen",   [CHOICE_NO_STREAM] = "no_stream",
		[CHOICE_UNAVAILABLE] = "unavailable", [CHOICE_FULL] = "channel_full",
	};

	return words[v];
}

unsigned choice_status(enum choice_verdict v)
{
	static const unsigned statuses[] = {
		[CHOICE_OK] = MHD_HTTP_OK,
		[CHOICE_INVALID] = MHD_HTTP_UNPROCESSABLE_CONTENT,
		[CHOICE_FORBIDDEN] = MHD_HTTP_FORBIDDEN,
		[CHOICE_NOTHING] = MHD_HTTP_NOT_FOUND,
		[CHOICE_TOO_MANY] = MHD_HTTP_UNPROCESSABLE_CONTENT,
		[CHOICE_NOT_CHOSEN] = MHD_HTTP_CONFLICT,
		[CHOICE_NO_STREAM] = MHD_HTTP_NOT_FOUND,
		[CHOICE_UNAVAILABLE] = MHD_HTTP_SERVICE_UNAVAILABLE,
		[CHOICE_FULL] = MHD_HTTP_SERVICE_UNAVAILABLE,
	};

	return statuses[v];
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

void choice_put(const struct stream *s, struct buf *b)
{
	static const struct filter everything;
	const struct filter *f = s->filter ? s->filter : &everything;
	const struct keys *channels = s->member.who->channels;

	buf_str(b, "\"topics\": ");
	put_list(b, f->topics, f->n_topics, f->no_topics);
	buf_str(b, ", \"types\": ");
	put_list(b, f->types, f->n_types, f->no_types);
	buf_str(b, ", \"channels\": [");
	for (size_t i = 0; channels && i < channels->n; i++) {
		buf_str(b, i ? ", " : "");
		json_string(b, channels->list[i] + 1, strlen(channels->list[i] + 1));
	}
	buf_char(b, ']');
}

void choice_clear(struct choice *c)
{
	filter_free(c->filter);
	subscription_clear(&c->channels);
	*c = (struct choice){0};
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

enum choice_verdict choice_read(struct choice *c, struct scan data, const struct conf *conf,
				struct buf *why)
{
	struct query q = {0};
	struct scan list;
	size_t n = 0;

	for (size_t i = 0; i < sizeof(members) / sizeof(*members) && *data.at == '{'; i++) {
		if (!scan_member(data, members[i].member, &list))
			continue;
		n++;
		if (!add_names(c, list, members[i].add)) {
			buf_printf(why,
				   "\"%s\" is a name or a list of names, each of 1 to 128 bytes: "
				   "of at most 64 topics or types, or 32 channels.",
				   members[i].member);
			return CHOICE_INVALID;
		}
	}
	q.filter = c->filter;
	if (n)
		return query_knows_topics(&q, conf, why) ? CHOICE_OK : CHOICE_INVALID;
	buf_str(why, "There must be \"channel\", \"channels\", \"topics\" or \"types\".");
	return CHOICE_INVALID;
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

/* Those of `all` that are none of `less`; NULL when there are none. */
static struct keys *without(const struct keys *all, const struct keys *less)
{
	char *list[SUBSCRIPTION_MAX];
	struct keys rest = {list, 0};

	for (size_t i = 0; all && i < all->n; i++)
		if (!less || !keys_have(less, all->list[i]))
			rest.list[rest.n++] = all->list[i];
	return rest.n ? keys_copy(&rest) : NULL;
}

struct keys *choice_asks(const struct stream *s, const struct choice *c)
{
	const struct scope_policy *policy = &s->worker->hub.policies[s->member.role];
	autofree struct keys *asked = subscription_keys(&c->channels);
	struct keys *more;

	if (!permission_is_asked(s->route))
		return NULL;
	more = without(asked, s->member.who->channels);
	if (!subscription_refused(more, policy, s->member.who))
		return more;
	free(more);
	return NULL;
}

enum choice_verdict choice_add(struct stream *s, struct choice *c, struct buf *why)
{
	const struct scope_policy *policy = &s->worker->hub.policies[s->member.role];
	autofree struct keys *asked = subscription_keys(&c->channels);
	bool room = more_channels(s, &c->channels);
	struct keys *channels = subscription_keys(&c->channels);
	struct keys *joined = without(asked, s->member.who->channels);
	autofree struct keys *reserved = keys_copy(joined);
	struct registry *registry = s->worker->registry;
	const char *refused = subscription_refused(channels, policy, s->member.who);

	if (refused) {
		free(joined);
		buf_printf(why, "Your %s may not hear the channel \"%s\".",
			   s->member.who->granted ? "role or credential" : "role", refused);
		free(channels); /* the name is one of them */
		return CHOICE_FORBIDDEN;
	}
	if (room && !seat_join(registry, s->route, reserved, true)) {
		free(joined);
		free(channels);
		tally_note(&s->worker->commons->tally, TALLY_CHANNEL, loop_now_ms(s->worker->loop),
			   stream_peer(s), NULL);
		buf_str(why, "Too many streams hear this channel; try again later.");
		return CHOICE_FULL;
	}
	if (!room || (s->filter && c->filter && !filter_join(s->filter, c->filter))) {
		if (room)
			seat_part(registry, s->route, reserved);
		free(channels);
		free(joined);
		buf_str(why, "A stream chooses at most 64 topics, 64 types and 32 channels.");
		return CHOICE_TOO_MANY;
	}
	stream_join(s, channels, joined); /* counts them for itself */
	seat_part(registry, s->route, reserved);
	return CHOICE_OK;
}

enum choice_verdict choice_drop(struct stream *s, struct choice *c, struct buf *why)
{
	autofree struct keys *less = subscription_keys(&c->channels);

	if (c->filter && (!s->filter || !filter_drop(s->filter, c->filter))) {
		buf_str(why, "This stream hears all there is of that kind. Connect with ?topics= "
			     "or ?types= to choose.");
		return CHOICE_NOT_CHOSEN;
	}
	stream_set_channels(s, without(s->member.who->channels, less));
	return CHOICE_OK;
}
