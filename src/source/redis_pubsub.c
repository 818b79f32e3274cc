/* SPDX-License-Identifier: PostgreSQL
 * A source (source.h): what is published on channels of Redis, at most once. Whatever was published
 * while nobody listened is gone, and clients are told so. */
#include "config.h"
#include "source/redis.h"

#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define QUIET_MS  15000 /* then it is asked whether it is there */
#define ANSWER_MS 15000

struct pubsub {
	struct loop_timer quiet;
	bool was_up;	      /* so that what comes next is a gap */
	uint64_t instance, n; /* a number for each message, as there is none in Redis */
	bool waiting;
};

/* Then PSUBSCRIBE. */
static bool is_pattern(const char *name)
{
	return strpbrk(name, "*?[\\") != NULL;
}

static void subscribe(struct source *s, bool patterns)
{
	const struct conf_list *from = &s->listen->from;
	const char **words = xcalloc(from->n + 1, sizeof(*words));
	size_t n = 1;

	words[0] = patterns ? "PSUBSCRIBE" : "SUBSCRIBE";
	for (size_t i = 0; i < from->n; i++)
		if (is_pattern(from->items[i]) == patterns)
			words[n++] = from->items[i];
	if (n > 1)
		redis_command(s, n, words);
	free(words);
}

static void heard(struct source *s)
{
	struct pubsub *p = redis_extra(s);

	p->waiting = false;
	redis_expect(s, 0);
	loop_timer_set(s->loop, &p->quiet, QUIET_MS);
}

static void on_up(struct source *s)
{
	struct pubsub *p = redis_extra(s);

	heard(s);
	subscribe(s, false);
	if (redis_is_up(s))
		subscribe(s, true);
	if (redis_is_up(s) && p->was_up)
		source_gap(s);
	p->was_up = true;
}

static void on_quiet(void *arg)
{
	struct source *s = arg;

	if (!redis_is_up(s))
		return;
	redis_expect(s, ANSWER_MS);
	redis_command(s, 1, (const char *[]){"PING"});
}

/* A value that was left out, since it is too long, is nil. */
static const char *text(const redisReply *r, size_t *len)
{
	*len = r->type == REDIS_REPLY_STRING ? (size_t)r->len : 0;
	return r->type == REDIS_REPLY_STRING ? r->str : NULL;
}

static void take(struct source *s, const redisReply *channel, const redisReply *payload)
{
	struct pubsub *p = redis_extra(s);
	struct parcel m = {0};
	char position[64];

	if (!source_has_room(s)) {
		source_drop(s);
		return;
	}
	snprintf(position, sizeof(position), "pubsub:%016" PRIx64 ":%" PRIu64, p->instance, p->n++);
	m.position = position;
	m.channel = text(channel, &m.channel_len);
	m.payload = text(payload, &m.payload_len);
	source_take(s, &m);
	source_settle(s);
}

static bool is(const redisReply *r, const char *word)
{
	return r->type == REDIS_REPLY_STRING && !strcmp(r->str, word);
}

static void on_reply(struct source *s, const redisReply *r)
{
	char why[200];

	heard(s);
	if (r->type == REDIS_REPLY_ERROR) {
		snprintf(why, sizeof(why), "the server says %.150s", r->str);
		redis_fail(s, why);
	} else if (r->type == REDIS_REPLY_ARRAY && r->elements == 3 &&
		   is(r->element[0], "message")) {
		take(s, r->element[1], r->element[2]);
	} else if (r->type == REDIS_REPLY_ARRAY && r->elements == 4 &&
		   is(r->element[0], "pmessage")) {
		take(s, r->element[2], r->element[3]);
	}
}

static const struct redis_callbacks callbacks = {.up = on_up, .reply = on_reply};

static bool begin(struct source *s)
{
	struct pubsub *p = xcalloc(1, sizeof(*p));

	p->quiet = (struct loop_timer){.fire = on_quiet, .arg = s};
	if (getrandom(&p->instance, sizeof(p->instance), 0) != sizeof(p->instance))
		p->instance = (uint64_t)time(NULL);
	redis_start(s, p, &callbacks);
	return true;
}

static void end(struct source *s)
{
	struct pubsub *p = redis_extra(s);

	loop_timer_clear(s->loop, &p->quiet);
	redis_stop(s);
	free(p);
}

static void settled(struct source *s)
{
	(void)s;
}

const struct source_kind source_pubsub = {begin, end, settled};
