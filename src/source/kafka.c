/* SPDX-License-Identifier: PostgreSQL
 * A source (source.h): topics of Kafka, through librdkafka, whose threads fetch what this one
 * takes. Into the journal as a member of a group, which is told what the journal has; live without
 * one, from the end on. */
#include "config.h"
#include "source/kafka.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "source/source.h"
#include "wire/kafka_property.h"

#define BATCH_MAX     256
#define BATCH_BYTES   (4 << 20)
#define POLL_MS	      500  /* besides being woken */
#define PATIENCE_MS   2000 /* then the brokers are told to wait, too, and we stay in the group */
#define METADATA_MS   2000 /* a wait of this thread */
#define LOOK_SOON_MS  2000 /* for topics and partitions, without a group */
#define LOOK_MS	      30000
#define QUEUED_KBYTES "8192" /* fetched and not taken */
#define ERROR_ROOM    400

struct kafka {
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue;
	struct loop_fd wake; /* an eventfd that librdkafka writes to when something has come */
	struct loop_timer poll;
	struct loop_timer patience;
	struct loop_timer look;			/* without a group */
	rd_kafka_topic_partition_list_t *taken; /* up to where, and not committed */
	rd_kafka_topic_partition_list_t *known; /* partitions, without a group */
	uint64_t *marks;			/* of the names in `from` */
	bool waiting;				/* for what has been taken to settle */
	bool paused;
	bool missed; /* something is gone that was not read */
	bool looked; /* all partitions there were at the start are known */
	struct complaint trouble;
};

static struct kafka *of(const struct source *s)
{
	return s->own;
}

static void complain(struct source *s, const char *what)
{
	if (complaint_due(&of(s)->trouble, what, loop_now_ms(s->loop)))
		log_warn("%s: %s", s->name, what);
	if (!s->complained)
		s->down_ms = loop_now_ms(s->loop);
	s->complained = true;
}

/* From librdkafka's own threads: what matters comes as an error, too. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	(void)rk;
	(void)level;
	log_debug("kafka: %s: %s", facility, text);
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *arg)
{
	char what[ERROR_ROOM];

	(void)rk;
	snprintf(what, sizeof(what), "%s (%.200s)", rd_kafka_err2str((rd_kafka_resp_err_t)code),
		 reason);
	complain(arg, what);
}

/* All of what is assigned, so that nothing more comes until it is wanted. */
static void pause_all(struct source *s, bool pause)
{
	struct kafka *k = of(s);
	rd_kafka_topic_partition_list_t *all = NULL;

	k->paused = pause;
	if (rd_kafka_assignment(k->rk, &all) || !all)
		return;
	if (pause)
		rd_kafka_pause_partitions(k->rk, all);
	else
		rd_kafka_resume_partitions(k->rk, all);
	rd_kafka_topic_partition_list_destroy(all);
}

/* Where each of them goes on. Who has no position yet begins where the section says; where one is
 * and its records are not any more, as after a retention that was shorter than an outage, with the
 * first that is left: not at the end, as librdkafka would without a word. */
static void find_positions(struct source *s, rd_kafka_t *rk, rd_kafka_topic_partition_list_t *all)
{
	bool asked = false;

	for (int tries = 0; !asked && tries < 3; tries++)
		asked = !rd_kafka_committed(rk, all, METADATA_MS);
	for (int i = 0; i < all->cnt; i++) {
		rd_kafka_topic_partition_t *p = &all->elems[i];
		int64_t low, high;

		if (!asked || p->err) {
			p->offset = RD_KAFKA_OFFSET_INVALID; /* it asks itself */
			continue;
		}
		if (p->offset < 0) {
			p->offset = s->listen->start == LISTEN_BEGINNING ? RD_KAFKA_OFFSET_BEGINNING
									 : RD_KAFKA_OFFSET_END;
			continue;
		}
		asked = !rd_kafka_query_watermark_offsets(rk, p->topic, p->partition, &low, &high,
							  METADATA_MS);
		if (!asked || (p->offset >= low && p->offset <= high))
			continue;
		log_warn("%s: records of %s, partition %" PRId32 ", from offset %" PRId64
			 " on are gone that were not read yet; it goes on with the first that is "
			 "left",
			 s->name, p->topic, p->partition, p->offset);
		p->offset = RD_KAFKA_OFFSET_BEGINNING;
		of(s)->missed = true;
	}
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t why,
			 rd_kafka_topic_partition_list_t *partitions, void *arg)
{
	struct source *s = arg;
	bool mine = why == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
	const char *protocol = rd_kafka_rebalance_protocol(rk);
	rd_kafka_error_t *error = NULL;

	if (mine && s->listen->journal)
		find_positions(s, rk, partitions);
	if (protocol && !strcmp(protocol, "COOPERATIVE"))
		error = mine ? rd_kafka_incremental_assign(rk, partitions)
			     : rd_kafka_incremental_unassign(rk, partitions);
	else
		rd_kafka_assign(rk, mine ? partitions : NULL);
	if (error) {
		complain(s, rd_kafka_error_string(error));
		rd_kafka_error_destroy(error);
	} else if (mine) {
		log_info("%s: connected, with %d partitions", s->name, partitions->cnt);
		s->complained = false;
	}
	if (mine && of(s)->paused)
		pause_all(s, true);
}

/* The section's settings as librdkafka has them; NULL with `why`. */
static rd_kafka_conf_t *configuration(const struct conf_listen *l, char *why, size_t room)
{
	const struct {
		const char *name, *value;
	} ours[] = {
		{"bootstrap.servers", l->server},
		{"group.id", l->group},
		{"client.id", "pgherald"},
		{"enable.auto.commit", "false"},
		{"enable.auto.offset.store", "false"},
		{"auto.offset.reset", "earliest"}, /* where find_positions() could not ask */
		{"queued.max.messages.kbytes", QUEUED_KBYTES},
		{"topic.metadata.refresh.interval.ms", "30000"},
		{"allow.auto.create.topics", "false"},
	};
	rd_kafka_conf_t *c = rd_kafka_conf_new();
	const char *text = l->properties ? l->properties : "", *wrong;
	struct kafka_property p;
	bool ok = true;

	for (size_t i = 0; ok && i < sizeof(ours) / sizeof(*ours); i++)
		ok = rd_kafka_conf_set(c, ours[i].name, ours[i].value, why, room) ==
		     RD_KAFKA_CONF_OK;
	if (ok && *l->ca_file)
		ok = rd_kafka_conf_set(c, "ssl.ca.location", l->ca_file, why, room) ==
		     RD_KAFKA_CONF_OK;
	if (ok && l->password)
		ok = rd_kafka_conf_set(c, "sasl.password", l->password, why, room) ==
		     RD_KAFKA_CONF_OK;
	while (ok && kafka_property_next(&text, &p, &wrong))
		/* (Its own words would quote the value.) */
		if (rd_kafka_conf_set(c, p.name, p.value, NULL, 0) != RD_KAFKA_CONF_OK) {
			snprintf(why, room, "properties_file: librdkafka does not take this %s",
				 p.name);
			ok = false;
		}
	explicit_bzero(&p, sizeof(p));
	if (ok)
		return c;
	rd_kafka_conf_destroy(c);
	return NULL;
}

bool kafka_valid(const struct conf_listen *l, char *why, size_t room)
{
	rd_kafka_conf_t *c = configuration(l, why, room);

	if (c)
		rd_kafka_conf_destroy(c);
	return c != NULL;
}

static uint64_t mark_of(struct source *s, const char *topic)
{
	for (size_t i = 0; i < s->listen->from.n; i++)
		if (!strcmp(s->listen->from.items[i], topic))
			return of(s)->marks[i];
	return source_mark(s, topic); /* of a pattern */
}

static void note(struct kafka *k, const char *topic, const rd_kafka_message_t *m)
{
	rd_kafka_topic_partition_t *p =
		rd_kafka_topic_partition_list_find(k->taken, topic, m->partition);

	if (!p)
		p = rd_kafka_topic_partition_list_add(k->taken, topic, m->partition);
	p->offset = m->offset + 1;
}

static void take(struct source *s, const rd_kafka_message_t *m)
{
	const char *topic = rd_kafka_topic_name(m->rkt);
	struct parcel p = {.channel = topic,
			   .channel_len = strlen(topic),
			   .key = m->key,
			   .key_len = m->key_len,
			   .payload = m->payload,
			   .payload_len = m->len};
	rd_kafka_headers_t *headers;
	const void *type;
	char position[80];

	if (*s->listen->type_field && !rd_kafka_message_headers(m, &headers) &&
	    !rd_kafka_header_get_last(headers, s->listen->type_field, &type, &p.type_len))
		p.type = type ? type : "";
	snprintf(position, sizeof(position), "kafka:%016" PRIx64 ":%" PRId32 ":%" PRId64,
		 mark_of(s, topic), m->partition, m->offset);
	p.position = position;
	note(of(s), topic, m);
	source_take(s, &p);
	if (s->complained)
		log_info("%s: goes on", s->name);
	s->complained = false;
}

/* What has come, up to a batch. What had been fetched before a pause comes all the same, and is
 * taken: no more than QUEUED_KBYTES. */
static void poll_some(struct source *s)
{
	struct kafka *k = of(s);
	size_t n = 0, bytes = 0;

	while (n < BATCH_MAX && bytes < BATCH_BYTES && (k->paused || !k->waiting)) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(k->rk, 0);

		if (!m)
			break;
		if (!m->err) {
			n++;
			bytes += m->len;
			take(s, m);
		} else if (m->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
			complain(s, rd_kafka_message_errstr(m));
		}
		rd_kafka_message_destroy(m);
	}
	loop_timer_set(s->loop, &k->poll, n ? 0 : POLL_MS);
	if (k->missed) {
		k->missed = false;
		source_gap(s);
	}
	if (n) {
		if (!k->waiting)
			loop_timer_set(s->loop, &k->patience, PATIENCE_MS);
		k->waiting = true;
		source_settle(s);
	}
}

static void on_poll(void *arg)
{
	poll_some(arg);
}

static void on_wake(void *arg, uint32_t events)
{
	struct source *s = arg;
	uint64_t n;

	(void)events;
	if (read(of(s)->wake.fd, &n, sizeof(n)) == sizeof(n))
		poll_some(s);
}

/* The journal takes its time: the group must not think us dead, so we go on asking, for nothing. */
static void on_patience(void *arg)
{
	struct source *s = arg;

	if (of(s)->waiting && !of(s)->paused)
		pause_all(s, true);
}

static void settled(struct source *s)
{
	struct kafka *k = of(s);

	if (!k->rk || !k->waiting)
		return;
	k->waiting = false;
	loop_timer_clear(s->loop, &k->patience);
	if (s->listen->journal && k->taken->cnt)
		rd_kafka_commit(k->rk, k->taken,
				1); /* if it fails they come again, to be told once */
	rd_kafka_topic_partition_list_destroy(k->taken);
	k->taken = rd_kafka_topic_partition_list_new(8);
	if (k->paused)
		pause_all(s, false);
	loop_timer_set(s->loop, &k->poll, 0);
}

/* Those of a topic that are new to us, to `fresh`. False when the brokers do not say. */
static bool look_at(struct source *s, const char *topic, rd_kafka_topic_partition_list_t *fresh)
{
	struct kafka *k = of(s);
	rd_kafka_topic_t *t = rd_kafka_topic_new(k->rk, topic, NULL);
	const struct rd_kafka_metadata *data;
	bool ok = t && !rd_kafka_metadata(k->rk, 0, t, &data, METADATA_MS);
	bool all = ok;

	for (int i = 0; ok && i < data->topic_cnt; i++) {
		all &= !data->topics[i].err;
		for (int p = 0; p < data->topics[i].partition_cnt; p++) {
			int32_t id = data->topics[i].partitions[p].id;

			if (rd_kafka_topic_partition_list_find(k->known, topic, id))
				continue;
			rd_kafka_topic_partition_list_add(k->known, topic, id);
			rd_kafka_topic_partition_list_add(fresh, topic, id)->offset =
				k->looked || s->listen->start == LISTEN_BEGINNING
					? RD_KAFKA_OFFSET_BEGINNING
					: RD_KAFKA_OFFSET_END;
		}
	}
	if (ok)
		rd_kafka_metadata_destroy(data);
	if (t)
		rd_kafka_topic_destroy(t);
	return all;
}

/* Without a group nobody says which partitions there are. */
static void look(void *arg)
{
	struct source *s = arg;
	struct kafka *k = of(s);
	rd_kafka_topic_partition_list_t *fresh = rd_kafka_topic_partition_list_new(8);
	rd_kafka_error_t *error = NULL;
	bool all = true;

	for (size_t i = 0; i < s->listen->from.n; i++)
		all &= look_at(s, s->listen->from.items[i], fresh);
	if (fresh->cnt)
		error = rd_kafka_incremental_assign(k->rk, fresh);
	if (error) {
		complain(s, rd_kafka_error_string(error));
		rd_kafka_error_destroy(error);
	} else if (fresh->cnt) {
		log_info("%s: connected, with %d partitions", s->name, fresh->cnt);
		s->complained = false;
	}
	rd_kafka_topic_partition_list_destroy(fresh);
	k->looked |= all;
	loop_timer_set(s->loop, &k->look, all ? LOOK_MS : LOOK_SOON_MS);
}

static bool subscribe(struct source *s)
{
	struct kafka *k = of(s);
	rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(8);
	rd_kafka_resp_err_t e;

	for (size_t i = 0; i < s->listen->from.n; i++)
		rd_kafka_topic_partition_list_add(topics, s->listen->from.items[i],
						  RD_KAFKA_PARTITION_UA);
	e = rd_kafka_subscribe(k->rk, topics);
	rd_kafka_topic_partition_list_destroy(topics);
	if (e)
		log_error("%s: %s", s->name, rd_kafka_err2str(e));
	return !e;
}

static bool start(struct source *s)
{
	static const uint64_t one = 1;
	struct kafka *k = of(s);
	char why[ERROR_ROOM] = "";
	rd_kafka_conf_t *c = configuration(s->listen, why, sizeof(why));

	k->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (k->wake.fd < 0 || !loop_add(s->loop, &k->wake, EPOLLIN)) {
		if (c)
			rd_kafka_conf_destroy(c);
		log_error("%s: no descriptor is left: %m", s->name);
		return false;
	}
	if (!c) {
		log_error("%s: %s", s->name, why);
		return false;
	}
	rd_kafka_conf_set_opaque(c, s);
	rd_kafka_conf_set_log_cb(c, on_log);
	rd_kafka_conf_set_error_cb(c, on_error);
	if (s->listen->journal)
		rd_kafka_conf_set_rebalance_cb(c, on_rebalance);
	k->rk = rd_kafka_new(RD_KAFKA_CONSUMER, c, why, sizeof(why));
	if (!k->rk) {
		rd_kafka_conf_destroy(c);
		log_error("%s: %s", s->name, why);
		return false;
	}
	rd_kafka_poll_set_consumer(k->rk);
	k->queue = rd_kafka_queue_get_consumer(k->rk);
	rd_kafka_queue_io_event_enable(k->queue, k->wake.fd, &one, sizeof(one));
	return true;
}

static bool begin(struct source *s)
{
	struct kafka *k = xcalloc(1, sizeof(*k));

	s->own = k;
	k->wake = (struct loop_fd){.fd = -1, .ready = on_wake, .arg = s};
	k->poll = (struct loop_timer){.fire = on_poll, .arg = s};
	k->patience = (struct loop_timer){.fire = on_patience, .arg = s};
	k->look = (struct loop_timer){.fire = look, .arg = s};
	k->taken = rd_kafka_topic_partition_list_new(8);
	k->known = rd_kafka_topic_partition_list_new(8);
	k->marks = xcalloc(s->listen->from.n, sizeof(*k->marks));
	for (size_t i = 0; i < s->listen->from.n; i++)
		k->marks[i] = source_mark(s, s->listen->from.items[i]);
	if (!start(s) || (s->listen->journal && !subscribe(s)))
		return false;
	loop_timer_set(s->loop, &k->poll, 0);
	if (!s->listen->journal)
		loop_timer_set(s->loop, &k->look, 0);
	return true;
}

static void end(struct source *s)
{
	struct kafka *k = of(s);

	loop_timer_clear(s->loop, &k->poll);
	loop_timer_clear(s->loop, &k->patience);
	loop_timer_clear(s->loop, &k->look);
	if (k->rk) {
		/* Leaves the group, so that others need not wait for us to be missed. */
		rd_kafka_queue_destroy(k->queue);
		rd_kafka_consumer_close(k->rk);
		rd_kafka_destroy(k->rk);
	}
	if (k->wake.fd >= 0) {
		loop_del(s->loop, &k->wake);
		close(k->wake.fd);
	}
	rd_kafka_topic_partition_list_destroy(k->taken);
	rd_kafka_topic_partition_list_destroy(k->known);
	free(k->marks);
	free(k);
}

const struct source_kind source_kafka = {begin, end, settled};
