/* SPDX-License-Identifier: PostgreSQL
 * A source (source.h): streams of Redis. Into the journal as one of a group, which keeps what each
 * of its members has been given until it is acknowledged, and that is when the journal has it; what
 * a member left behind that is gone is taken over. Live without a group, from the end on. */
#include "config.h"
#include "source/redis.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/log.h"
#include "source/redis_gap.h"

#define COUNT_MAX    32	     /* entries of a stream at a time, as long as they fit (redis.h) */
#define BLOCK	     "5000"  /* ms that the server waits for the first one */
#define ANSWER_MS    20000   /* longer than that, and for a large answer */
#define IDLE_MS	     "60000" /* then a member of the group is thought gone */
#define CLAIM_MS     30000   /* and this often that is looked for */
#define LOOK_MS	     8000    /* who has not asked on for so long may have missed something */
#define ID_MAX	     48
#define ARGS_MAX     64
#define POSITION_MAX 200 /* bytes of a key, as pgherald.publish() has it */

enum asked {
	ASKED_NOTHING,
	ASKED_GROUP,
	ASKED_END,
	ASKED_EXTENT,
	ASKED_DELIVERED,
	ASKED_PENDING,
	ASKED_NEWS,
	ASKED_CLAIM,
	ASKED_ACK
};

/* One of the streams. */
struct reading {
	const char *name;
	uint64_t mark;		    /* of the group and the stream, for the journal's keys */
	char last[ID_MAX];	    /* read up to here: of what is pending, or without a group */
	char claim[ID_MAX];	    /* and here what others left has been looked for */
	struct redis_extent extent; /* while it is looked for what is missing */
	char **ids;		    /* read and not acknowledged */
	size_t n_ids, room;
};

struct stream {
	enum asked asked;
	struct reading *readings;
	size_t n, at; /* streams; the one that is being asked about */
	bool fresh;   /* the connection is */
	unsigned count;
	bool pending;	   /* what was given to us before is read first */
	bool known;	   /* without a group: where the ends are */
	bool missed;	   /* entries that are gone, in one of them */
	size_t looked;	   /* at so many of them, for what is missing */
	uint64_t heard_ms; /* when the server answered last */
	bool cannot_look;  /* our role may not */
	uint64_t claimed_ms;
	bool cannot_claim; /* Redis before 6.2 */
	char consumer[80];
};

static struct stream *of(const struct source *s)
{
	return redis_extra(s);
}

static void ask(struct source *s, enum asked asked, size_t n, const char *const *words)
{
	of(s)->asked = asked;
	redis_expect(s, ANSWER_MS);
	redis_command(s, n, words);
}

/* The group of one stream, made with it if need be. */
static void make_group(struct source *s, const char *start)
{
	const char *words[] = {"XGROUP",	 "CREATE", of(s)->readings[of(s)->at].name,
			       s->listen->group, start,	   "MKSTREAM"};

	ask(s, ASKED_GROUP, 6, words);
}

/* From its beginning what this member has been given and has not acknowledged. */
static void read_pending(struct stream *t)
{
	t->pending = true;
	for (size_t i = 0; i < t->n; i++)
		snprintf(t->readings[i].last, ID_MAX, "0-0");
}

static void find_end(struct source *s)
{
	const char *words[] = {"XREVRANGE", of(s)->readings[of(s)->at].name, "+", "-", "COUNT",
			       "1"};

	ask(s, ASKED_END, 6, words);
}

/* XREADGROUP, or XREAD without a group. */
static void read_on(struct source *s)
{
	struct stream *t = of(s);
	const char *words[ARGS_MAX];
	char count[12];
	size_t n = 0;

	snprintf(count, sizeof(count), "%u", t->count);
	words[n++] = s->listen->journal ? "XREADGROUP" : "XREAD";
	if (s->listen->journal) {
		words[n++] = "GROUP";
		words[n++] = s->listen->group;
		words[n++] = t->consumer;
	}
	words[n++] = "COUNT";
	words[n++] = count;
	if (!t->pending) {
		words[n++] = "BLOCK";
		words[n++] = BLOCK;
	}
	words[n++] = "STREAMS";
	for (size_t i = 0; i < t->n; i++)
		words[n++] = t->readings[i].name;
	for (size_t i = 0; i < t->n; i++)
		words[n++] = s->listen->journal && !t->pending ? ">" : t->readings[i].last;
	ask(s, t->pending ? ASKED_PENDING : ASKED_NEWS, n, words);
}

static void claim(struct source *s)
{
	struct stream *t = of(s);
	const struct reading *p = &t->readings[t->at];
	char count[12];
	const char *words[] = {"XAUTOCLAIM", p->name,  s->listen->group, t->consumer,
			       IDLE_MS,	     p->claim, "COUNT",		 count};

	snprintf(count, sizeof(count), "%u", t->count);
	ask(s, ASKED_CLAIM, 8, words);
}

static void look(struct source *s, enum asked asked)
{
	const char *words[] = {"XINFO", asked == ASKED_EXTENT ? "STREAM" : "GROUPS",
			       of(s)->readings[of(s)->looked].name};

	ask(s, asked, 3, words);
}

/* What comes next, when nothing is under way. */
static void go_on(struct source *s)
{
	struct stream *t = of(s);

	if (!t->cannot_look && t->looked < t->n)
		look(s, ASKED_EXTENT);
	else if (s->listen->journal && !t->pending && !t->cannot_claim &&
		 loop_now_ms(s->loop) >= t->claimed_ms + CLAIM_MS)
		claim(s);
	else
		read_on(s);
}

static void keep_id(struct reading *p, const char *id)
{
	if (p->n_ids == p->room) {
		p->room = p->room ? p->room * 2 : 32;
		p->ids = xrealloc(p->ids, p->room, sizeof(*p->ids));
	}
	p->ids[p->n_ids++] = xstrdup(id);
}

static void forget_ids(struct stream *t)
{
	for (size_t i = 0; i < t->n; i++)
		while (t->readings[i].n_ids)
			free(t->readings[i].ids[--t->readings[i].n_ids]);
}

/* The journal has what was read: the first stream that is not yet told so. */
static void acknowledge(struct source *s)
{
	struct stream *t = of(s);
	struct reading *p = t->readings;
	const char **words;

	while (p < t->readings + t->n && !p->n_ids)
		p++;
	if (p == t->readings + t->n) {
		go_on(s);
		return;
	}
	words = xcalloc(p->n_ids + 3, sizeof(*words));
	words[0] = "XACK";
	words[1] = p->name;
	words[2] = s->listen->group;
	for (size_t i = 0; i < p->n_ids; i++)
		words[3 + i] = p->ids[i];
	ask(s, ASKED_ACK, p->n_ids + 3, words);
	free(words);
	while (p->n_ids)
		free(p->ids[--p->n_ids]);
}

static const char *start_of(const struct source *s)
{
	/* Who has made the groups once made them for all that comes. */
	return of(s)->known || s->listen->start == LISTEN_BEGINNING ? "0" : "$";
}

static void begin_anew(struct source *s)
{
	struct stream *t = of(s);

	t->fresh = false;
	t->at = 0;
	t->looked = 0;
	forget_ids(t); /* what was not acknowledged is given again, and told once */
	if (s->listen->journal) {
		read_pending(t);
		make_group(s, start_of(s));
	} else if (t->known) {
		go_on(s);
	} else {
		find_end(s);
	}
}

static void settled(struct source *s)
{
	struct stream *t = of(s);

	if (!redis_is_up(s) || t->asked != ASKED_NOTHING)
		return; /* they come again */
	if (loop_now_ms(s->loop) >= t->heard_ms + LOOK_MS)
		t->looked = 0; /* the database has been away */
	if (t->fresh)
		begin_anew(s);
	else if (s->listen->journal)
		acknowledge(s);
	else
		go_on(s);
}

static const char *text(const redisReply *r, size_t *len)
{
	*len = r->type == REDIS_REPLY_STRING ? (size_t)r->len : 0;
	return r->type == REDIS_REPLY_STRING ? r->str : NULL;
}

static bool is(const redisReply *r, const char *word)
{
	return r->type == REDIS_REPLY_STRING && r->len == strlen(word) &&
	       !memcmp(r->str, word, strlen(word));
}

/* The fields, one after the other, of an entry that may have been deleted meanwhile. */
static void take_fields(struct source *s, struct reading *p, const char *id,
			const redisReply *fields)
{
	struct parcel m = {.channel = p->name, .channel_len = strlen(p->name)};
	char position[POSITION_MAX + 1];

	if (fields->type != REDIS_REPLY_ARRAY)
		return;
	for (size_t i = 0; i + 1 < fields->elements; i += 2) {
		const redisReply *value = fields->element[i + 1];

		if (is(fields->element[i], s->listen->payload_field))
			m.payload = text(value, &m.payload_len);
		else if (*s->listen->type_field && is(fields->element[i], s->listen->type_field))
			m.type = text(value, &m.type_len);
		else if (is(fields->element[i], "key"))
			m.key = text(value, &m.key_len);
	}
	snprintf(position, sizeof(position), "stream:%016" PRIx64 ":%s", p->mark, id);
	m.position = position;
	source_take(s, &m);
}

static void take_entries(struct source *s, struct reading *p, const redisReply *entries)
{
	for (size_t i = 0; entries->type == REDIS_REPLY_ARRAY && i < entries->elements; i++) {
		const redisReply *e = entries->element[i];

		if (e->type != REDIS_REPLY_ARRAY || e->elements != 2 ||
		    e->element[0]->type != REDIS_REPLY_STRING || e->element[0]->len >= ID_MAX)
			continue;
		snprintf(p->last, sizeof(p->last), "%s", e->element[0]->str);
		if (s->listen->journal)
			keep_id(p, e->element[0]->str);
		take_fields(s, p, e->element[0]->str, e->element[1]);
	}
}

static struct reading *reading_of(struct stream *t, const redisReply *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (is(name, t->readings[i].name))
			return &t->readings[i];
	return NULL;
}

/* Of each stream that has some its name and entries; or nothing. */
static size_t take_streams(struct source *s, const redisReply *r)
{
	size_t n = 0;

	for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i < r->elements; i++) {
		const redisReply *one = r->element[i];
		struct reading *p;

		if (one->type != REDIS_REPLY_ARRAY || one->elements != 2)
			continue;
		p = reading_of(of(s), one->element[0]);
		if (!p)
			continue;
		take_entries(s, p, one->element[1]);
		n += one->element[1]->type == REDIS_REPLY_ARRAY ? one->element[1]->elements : 0;
	}
	return n;
}

/* The position from which the next claim goes on, and the entries. */
static void take_claimed(struct source *s, const redisReply *r)
{
	struct stream *t = of(s);
	struct reading *p = &t->readings[t->at];

	if (r->type == REDIS_REPLY_ARRAY && r->elements >= 2 &&
	    r->element[0]->type == REDIS_REPLY_STRING && r->element[0]->len < ID_MAX) {
		snprintf(p->claim, sizeof(p->claim), "%s", r->element[0]->str);
		take_entries(s, p, r->element[1]);
	} else {
		snprintf(p->claim, sizeof(p->claim), "0-0");
	}
	if (!strcmp(p->claim, "0-0") && ++t->at == t->n) {
		t->at = 0;
		t->claimed_ms = loop_now_ms(s->loop);
	}
	source_settle(s);
}

/* All groups are there, or all ends known: what is pending, then what is new. */
static void next_reading(struct source *s, const char *start)
{
	struct stream *t = of(s);

	if (++t->at < t->n) {
		if (s->listen->journal)
			make_group(s, start);
		else
			find_end(s);
		return;
	}
	t->at = 0;
	t->known = true;
	go_on(s);
}

/* Of one of the streams it is known whether something is missing. */
static void looked(struct source *s, bool missed)
{
	struct stream *t = of(s);

	if (missed)
		log_warn("%s: entries of \"%s\" are gone that were not read yet; it goes on with "
			 "the first that is left",
			 s->name, t->readings[t->looked].name);
	t->missed = t->missed || missed;
	if (++t->looked == t->n && t->missed) {
		t->missed = false;
		source_gap(s); /* which goes on */
	} else {
		go_on(s);
	}
}

static void take_extent(struct source *s, const redisReply *r)
{
	struct reading *p = &of(s)->readings[of(s)->looked];
	redisReply last = {.type = REDIS_REPLY_STRING, .str = p->last, .len = strlen(p->last)};

	p->extent = redis_extent(r);
	if (s->listen->journal)
		look(s, ASKED_DELIVERED);
	else
		looked(s, redis_gap(&p->extent, &last));
}

static void take_error(struct source *s, enum asked asked, const char *error)
{
	struct stream *t = of(s);
	char why[200];

	snprintf(why, sizeof(why), "the server says %.150s", error);
	if (asked == ASKED_GROUP && !strncmp(error, "BUSYGROUP", 9)) {
		next_reading(s, start_of(s));
	} else if (!strncmp(error, "NOGROUP", 7) ||
		   !strncmp(error, "UNBLOCKED", 9)) { /* somebody has deleted the stream */
		log_warn("%s: %s; it is made again", s->name, why);
		forget_ids(t);
		t->at = 0;
		make_group(s, start_of(s));
	} else if (asked == ASKED_EXTENT || asked == ASKED_DELIVERED) {
		t->cannot_look = !strncmp(error, "NOPERM", 6);
		if (t->cannot_look)
			log_warn(
				"%s: %s, so that entries that are trimmed before they are read are "
				"not noticed",
				s->name, why);
		looked(s, false);
	} else if (asked == ASKED_CLAIM && !strncmp(error, "ERR unknown command", 19)) {
		log_warn("%s: the server is older than Redis 6.2, so that what another daemon "
			 "leaves behind stays there until it is back",
			 s->name);
		t->cannot_claim = true;
		go_on(s);
	} else {
		redis_fail(s, why);
	}
}

static void take_end(struct source *s, const redisReply *r)
{
	struct reading *p = &of(s)->readings[of(s)->at];
	const redisReply *e = r->type == REDIS_REPLY_ARRAY && r->elements ? r->element[0] : NULL;

	snprintf(p->last, sizeof(p->last), "%s",
		 s->listen->start == LISTEN_END && e && e->type == REDIS_REPLY_ARRAY &&
				 e->elements && e->element[0]->type == REDIS_REPLY_STRING
			 ? e->element[0]->str
			 : "0-0");
	next_reading(s, NULL);
}

/* Some values were left out, since all of it was too much at once: so one by one. */
static void read_fewer(struct source *s, enum asked asked)
{
	struct stream *t = of(s);

	t->count = 1;
	if (asked == ASKED_END) {
		redis_fail(s, "the end of a stream cannot be read");
		return;
	}
	if (s->listen->journal)
		read_pending(t);
	go_on(s);
}

static void on_reply(struct source *s, const redisReply *r)
{
	struct stream *t = of(s);
	enum asked asked = t->asked;

	t->asked = ASKED_NOTHING;
	t->heard_ms = loop_now_ms(s->loop);
	redis_expect(s, 0);
	if (r->type == REDIS_REPLY_ERROR) {
		take_error(s, asked, r->str);
		return;
	}
	if (redis_is_overfull(s) && t->count > 1 && asked != ASKED_EXTENT) {
		read_fewer(s, asked);
		return;
	}
	if (t->count < COUNT_MAX)
		t->count++;
	switch (asked) {
	case ASKED_GROUP:
		next_reading(s, start_of(s));
		break;
	case ASKED_END:
		take_end(s, r);
		break;
	case ASKED_EXTENT:
		take_extent(s, r);
		break;
	case ASKED_DELIVERED:
		looked(s, redis_gap_of_group(&t->readings[t->looked].extent, r, s->listen->group));
		break;
	case ASKED_PENDING:
		t->pending = take_streams(s, r) != 0;
		source_settle(s);
		break;
	case ASKED_NEWS:
		(void)take_streams(s, r);
		source_settle(s);
		break;
	case ASKED_CLAIM:
		take_claimed(s, r);
		break;
	case ASKED_ACK:
		acknowledge(s);
		break;
	case ASKED_NOTHING:
		redis_fail(s, "it answers what nobody has asked");
	}
}

/* What was read before has been settled by now: there is never more than one answer in memory. */
static void on_up(struct source *s)
{
	of(s)->asked = ASKED_NOTHING;
	of(s)->fresh = true;
	source_settle(s);
}

static const struct redis_callbacks callbacks = {.up = on_up, .reply = on_reply};

static bool begin(struct source *s)
{
	struct stream *t = xcalloc(1, sizeof(*t));
	struct utsname host;

	t->count = COUNT_MAX;
	t->n = s->listen->from.n;
	t->readings = xcalloc(t->n, sizeof(*t->readings));
	for (size_t i = 0; i < t->n; i++) {
		t->readings[i].name = s->listen->from.items[i];
		t->readings[i].mark = source_mark(s, t->readings[i].name);
		snprintf(t->readings[i].claim, ID_MAX, "0-0");
	}
	/* A daemon that starts again is the same one. Two on one machine are given each other's, at
	 * times, which the journal's keys are for. */
	snprintf(t->consumer, sizeof(t->consumer), "%.64s",
		 uname(&host) == 0 && *host.nodename ? host.nodename : "pgherald");
	redis_start(s, t, &callbacks);
	return true;
}

static void end(struct source *s)
{
	struct stream *t = of(s);

	redis_stop(s);
	forget_ids(t);
	for (size_t i = 0; i < t->n; i++)
		free(t->readings[i].ids);
	free(t->readings);
	free(t);
}

const struct source_kind source_stream = {begin, end, settled};
