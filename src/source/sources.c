/* SPDX-License-Identifier: PostgreSQL
 * See sources.h. */
#include "config.h"
#include "source/sources.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "source/kafka.h"
#include "source/source.h"

#define STOP_MS 5000 /* resolvers and brokers that are away take their time */

bool sources_valid(const struct conf *conf, struct buf *error)
{
#ifdef HAVE_RDKAFKA
	char why[400];

	for (size_t i = 0; i < conf->n_listens; i++) {
		const struct conf_listen *l = &conf->listens[i];

		if (l->kind == LISTEN_KAFKA && !kafka_valid(l, why, sizeof(why))) {
			buf_printf(error, "%s: [listen %s] %s", conf->path, l->name, why);
			return false;
		}
	}
#endif
	(void)conf;
	(void)error;
	return true;
}

static struct source *at(struct list *node)
{
	return LIST_ENTRY(node, struct source, node);
}

static void begin(struct sources *s, struct conf *conf, const struct conf_listen *l)
{
	struct source *source = source_start(conf, l, s->db, s->in_flight, s->vitals);

	if (source)
		list_push(&s->running, &source->node);
}

void sources_start(struct sources *s, struct conf *conf, struct inbox *db,
		   const atomic_size_t *in_flight, struct vitals *vitals)
{
	s->db = db;
	s->vitals = vitals;
	s->in_flight = in_flight;
	list_init(&s->running);
	list_init(&s->leaving);
	for (size_t i = 0; i < conf->n_listens; i++)
		if (conf->listens[i].kind != LISTEN_NOTIFY)
			begin(s, conf, &conf->listens[i]);
}

static bool same_list(const struct conf_list *a, const struct conf_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	return true;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool same(const struct conf_listen *a, const struct conf_listen *b)
{
	return !strcmp(a->name, b->name) && a->kind == b->kind && a->journal == b->journal &&
	       a->start == b->start && same_text(a->server, b->server) &&
	       same_text(a->password, b->password) && same_text(a->ca_file, b->ca_file) &&
	       same_text(a->properties, b->properties) && same_text(a->to, b->to) &&
	       same_text(a->group, b->group) && same_text(a->payload_field, b->payload_field) &&
	       same_text(a->type_field, b->type_field) && same_text(a->event_key, b->event_key) &&
	       same_text(a->data_key, b->data_key) && same_list(&a->from, &b->from) &&
	       same_list(&a->owner_keys, &b->owner_keys);
}

/* What all sources go by: which types are those of tables, and the database. */
static bool same_ground(const struct conf *a, const struct conf *b)
{
	if (strcmp(a->conninfo, b->conninfo) != 0 || a->n_watches != b->n_watches)
		return false;
	for (size_t i = 0; i < a->n_watches; i++)
		if (strcmp(a->watches[i].name, b->watches[i].name) != 0)
			return false;
	return true;
}

/* The section of the configuration that this source goes by as it is; or NULL. */
static const struct conf_listen *section_of(const struct conf *conf, const struct source *source)
{
	for (size_t i = 0; i < conf->n_listens; i++)
		if (same(&conf->listens[i], source->listen))
			return &conf->listens[i];
	return NULL;
}

static bool runs(struct sources *s, const struct conf_listen *l)
{
	LIST_EACH (&s->running, node, tmp)
		if (same(l, at(node)->listen))
			return true;
	return false;
}

void sources_reload(struct sources *s, struct conf *conf, const struct conf *old)
{
	bool ground = same_ground(conf, old);

	LIST_EACH (&s->running, node, tmp) {
		struct source *source = at(node);

		if (ground && section_of(conf, source))
			continue;
		list_remove(node);
		list_push(&s->leaving, node);
		source_stop(source);
	}
	for (size_t i = 0; i < conf->n_listens; i++)
		if (conf->listens[i].kind != LISTEN_NOTIFY && !runs(s, &conf->listens[i]))
			begin(s, conf, &conf->listens[i]);
}

void sources_ended(struct sources *s, void *source)
{
	struct source *ended = source;

	(void)s;
	list_remove(&ended->node);
	(void)!source_join(ended, STOP_MS); /* it has nothing more to do */
	source_free(ended);
}

bool sources_stop(struct sources *s)
{
	bool all = true;

	LIST_EACH (&s->running, node, tmp)
		source_stop(at(node));
	list_splice(&s->leaving, &s->running);
	LIST_EACH (&s->leaving, node, tmp) {
		if (!source_join(at(node), all ? STOP_MS : 0)) {
			log_warn("%s: does not end in time, and is left behind", at(node)->name);
			all = false;
		}
	}
	return all;
}

void sources_free(struct sources *s)
{
	LIST_EACH (&s->leaving, node, tmp) {
		list_remove(node);
		source_free(at(node));
	}
}
