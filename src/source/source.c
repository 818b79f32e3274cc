/* SPDX-License-Identifier: PostgreSQL
 * See source.h. */
#include "config.h"
#include "source/source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/log.h"
#include "base/siphash.h"
#include "hub/post.h"
#include "wire/array.h"

#define ROOM_BYTES   (16 << 20) /* of what has come and is not where it belongs */
#define ROOM_RECORDS 20000
#define LATER_MS     20
#define RETRY_MIN_MS 100
#define RETRY_MAX_MS 10000

static const struct source_kind *const kinds[] = {
#ifdef HAVE_HIREDIS
	[LISTEN_PUBSUB] = &source_pubsub,
	[LISTEN_STREAM] = &source_stream,
#endif
#ifdef HAVE_RDKAFKA
	[LISTEN_KAFKA] = &source_kafka,
#endif
	[LISTEN_NOTIFY] = NULL,
};

bool source_has_room(const struct source *s)
{
	if (s->listen->journal)
		return s->recorder.bytes < ROOM_BYTES && s->recorder.n < ROOM_RECORDS;
	return atomic_load_explicit(&s->posted, memory_order_relaxed) < ROOM_BYTES &&
	       atomic_load_explicit(s->in_flight, memory_order_relaxed) < ROOM_BYTES;
}

/* Takes the reference. */
static void post(struct source *s, struct event *e)
{
	struct post_events *p = xcalloc(1, sizeof(*p) + sizeof(struct event *));

	p->letter.kind = POST_EVENTS;
	p->in_flight = &s->posted;
	p->bytes = e->bytes;
	p->n = 1;
	p->events[0] = e;
	atomic_fetch_add_explicit(&s->posted, e->bytes, memory_order_relaxed);
	inbox_post(s->db, &p->letter);
}

static int64_t unix_now(void)
{
	return (int64_t)time(NULL);
}

/* Whoever is there is told to fetch again, at most once for all that is missing so far. */
static void tell_gap(struct source *s)
{
	autofree char *topics = NULL;

	if (!s->gap || !source_has_room(s))
		return;
	s->gap = false;
	if (s->n_dropped > s->n_dropped_told)
		log_warn("%s: %" PRIu64 " messages are lost, since they came faster than they "
			 "could be told; clients are told to fetch again",
			 s->name, s->n_dropped - s->n_dropped_told);
	s->n_dropped_told = s->n_dropped;
	topics = xasprintf("[\"%s\"]", s->listen->name);
	post(s, event_resync("gap", topics, NULL, unix_now()));
}

void source_drop(struct source *s)
{
	s->n_dropped++;
	atomic_fetch_add_explicit(&s->vitals->dropped, 1, memory_order_relaxed);
	source_gap(s);
}

void source_gap(struct source *s)
{
	s->gap = true;
	source_settle(s);
}

static void refuse(struct source *s, const char *what, const char *why)
{
	atomic_fetch_add_explicit(&s->vitals->refused, 1, memory_order_relaxed);
	if (complaint_due(&s->refused, why, loop_now_ms(s->loop)))
		log_warn("%s: %s is no event (%s); %" PRIu64 " so far", s->name, what, why,
			 s->refused.n);
}

/* The list with the one channel's name, as one with its key. */
static void put_channel_key(struct buf *ret, const char *audience)
{
	char *text = xcalloc(1, strlen(audience) + 1), *at = text, *name[1];
	char *key;

	array_split(audience, &at, name);
	key = xasprintf("%s%s", strcmp(name[0], "*") != 0 ? "#" : "", name[0]);
	array_add(ret, key);
	array_end(ret);
	free(key);
	free(text);
}

static void tell(struct source *s, const struct told *t)
{
	struct buf key;
	struct event_row row = {.op = 'm',
				.at = unix_now(),
				.keyed = t->is_channel,
				.topic = s->listen->name,
				.type = buf_cstr(&t->type),
				.doc = buf_cstr(&t->document),
				.after = buf_cstr(&t->audience)};

	buf_init(&key, 512);
	if (t->is_channel) {
		put_channel_key(&key, row.after);
		row.after = buf_cstr(&key);
	}
	post(s, event_new(&row));
	buf_free(&key);
}

static void record(struct source *s, const struct told *t, const char *position)
{
	const char *audience = buf_cstr(&t->audience);
	size_t n = array_count(audience);
	autofree char *text = xcalloc(1, strlen(audience) + 1);
	autofree char **names = xcalloc(n, sizeof(*names));
	char *at = text;

	array_split(audience, &at, names);
	for (size_t i = 0; i < n; i++) {
		struct record *r = xcalloc(1, sizeof(*r));

		*(t->is_channel ? &r->channel : &r->user) = xstrdup(names[i]);
		r->type = xstrdup(buf_cstr(&t->type));
		r->payload = xstrdup(buf_cstr(&t->document));
		r->key = xstrdup(position);
		recorder_add(&s->recorder, r);
	}
}

void source_take(struct source *s, const struct parcel *m)
{
	const char *why = NULL;
	struct told t;

	s->n_taken++;
	if (!parcel_read(s->conf, s->listen, m, &t, &why))
		refuse(s, "a message", why);
	else if (s->listen->journal)
		record(s, &t, m->position);
	else
		tell(s, &t);
	told_free(&t);
}

static bool settled(const struct source *s)
{
	return s->listen->journal ? !s->recorder.n : source_has_room(s);
}

void source_settle(struct source *s)
{
	tell_gap(s);
	s->unsettled = true;
	if (settled(s) && !s->gap) {
		s->unsettled = false;
		s->kind->settled(s);
	} else if ((!s->listen->journal || s->gap) && !s->later.place) {
		/* the recorder says itself when it has settled, and nobody when there is room */
		loop_timer_set(s->loop, &s->later, LATER_MS);
	}
}

static void on_later(void *arg)
{
	struct source *s = arg;

	if (s->unsettled)
		source_settle(s);
}

static void on_refused(void *arg, const struct record *r, const char *why)
{
	(void)r;
	refuse(arg, "what the journal refuses", why);
}

static void on_settled(void *arg)
{
	struct source *s = arg;

	if (s->unsettled && settled(s))
		source_settle(s);
}

uint64_t source_mark(const struct source *s, const char *from)
{
	static const struct siphash_key key = {{0x7067686572616c64, 0x736f757263657320}};
	autofree char *text = xasprintf("%s %s", s->listen->group, from);

	return siphash(&key, text, strlen(text));
}

void source_up(struct source *s)
{
	if (s->complained)
		log_info("%s: connected again after %" PRIu64 " s", s->name,
			 (loop_now_ms(s->loop) - s->down_ms) / 1000);
	else
		log_info("%s: connected", s->name);
	s->complained = false;
	s->backoff_ms = 0;
}

void source_down(struct source *s, const char *why)
{
	uint64_t random = 0;

	if (!s->complained) {
		log_warn("%s: %s; it is tried again", s->name, why);
		s->down_ms = loop_now_ms(s->loop);
	}
	s->complained = true;
	s->backoff_ms = s->backoff_ms ? s->backoff_ms * 2 : RETRY_MIN_MS;
	if (s->backoff_ms > RETRY_MAX_MS)
		s->backoff_ms = RETRY_MAX_MS;
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = s->down_ms;
	loop_timer_set(s->loop, &s->retry, s->backoff_ms / 2 + random % (s->backoff_ms / 2 + 1));
}

static void on_retry(void *arg)
{
	struct source *s = arg;

	s->again(s);
}

static void on_letter(void *arg, struct list *letters)
{
	struct source *s = arg;

	LIST_EACH (letters, node, tmp) {
		list_remove(node);
		free(LIST_ENTRY(node, struct letter, node));
		loop_stop(s->loop);
	}
}

static void drop_letter(struct letter *l)
{
	free(l);
}

static void *thread_main(void *arg)
{
	struct source *s = arg;
	struct post_source *l = xcalloc(1, sizeof(*l));

	if (s->listen->journal)
		recorder_start(&s->recorder, s->loop, s->conf->conninfo);
	if (s->kind->begin(s))
		loop_run(s->loop);
	s->kind->end(s);
	if (s->listen->journal)
		recorder_stop(&s->recorder);
	loop_timer_clear(s->loop, &s->later);
	loop_timer_clear(s->loop, &s->retry);
	l->letter.kind = POST_SOURCE;
	l->source = s;
	inbox_post(s->db, &l->letter);
	return NULL;
}

void source_free(struct source *s)
{
	inbox_close(&s->inbox, drop_letter);
	loop_free(s->loop);
	conf_unref(s->conf);
	free(s->name);
	free(s);
}

struct source *source_start(struct conf *conf, const struct conf_listen *listen, struct inbox *db,
			    const atomic_size_t *in_flight, struct vitals *vitals)
{
	struct source *s = xcalloc(1, sizeof(*s));

	s->conf = conf_ref(conf);
	s->listen = listen;
	s->kind = kinds[listen->kind];
	s->name = xasprintf("listen %s", listen->name);
	s->db = db;
	s->in_flight = in_flight;
	s->vitals = vitals;
	s->recorder = (struct recorder){
		.name = s->name, .refused = on_refused, .settled = on_settled, .arg = s};
	s->later = (struct loop_timer){.fire = on_later, .arg = s};
	s->retry = (struct loop_timer){.fire = on_retry, .arg = s};
	s->loop = loop_new();
	if (s->loop && inbox_init(&s->inbox, s->loop, on_letter, s)) {
		errno = pthread_create(&s->thread, NULL, thread_main, s);
		if (!errno)
			return s;
	}
	log_error("%s: no thread: %m", s->name);
	return NULL; /* no descriptors or threads are left: that little is not tidied */
}

void source_stop(struct source *s)
{
	inbox_post(&s->inbox, xcalloc(1, sizeof(struct letter)));
}

bool source_join(struct source *s, unsigned wait_ms)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += (time_t)(wait_ms / 1000);
	until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	return !pthread_timedjoin_np(s->thread, NULL, &until);
}
