/* SPDX-License-Identifier: PostgreSQL
 * See roll.h. */
#include "config.h"
#include "web/roll.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/num.h"
#include "conf.h"
#include "hub/post.h"
#include "web/answer.h"
#include "web/stream.h"
#include "web/worker.h"

#define LISTED_MAX 1000 /* connections of a page; how many there are is told */
#define AGAIN_S	   1

/* A name as stream_name() makes it. */
static bool read_name(const char *name, uint64_t *worker, uint64_t *stream)
{
	const char *dot = strchr(name, '.');

	return dot && num_u64(name, (size_t)(dot - name), worker) &&
	       num_u64(dot + 1, strlen(dot + 1), stream);
}

static bool read_page(struct post_roll *l, const struct query_page *page, struct buf *why)
{
	uint64_t limit = LISTED_MAX;

	if (page->limit &&
	    (!num_u64(page->limit, strlen(page->limit), &limit) || !limit || limit > LISTED_MAX)) {
		buf_str(why, "limit is a number from 1 to " NUM_TEXT(LISTED_MAX) ".");
		return false;
	}
	if (page->after && !read_name(page->after, &l->page.worker, &l->page.stream)) {
		buf_str(why, "after is the name of a connection, as the list has it.");
		return false;
	}
	l->page.limit = (size_t)limit;
	l->page.asked = page->limit || page->after;
	return true;
}

struct post_roll *roll_new(const struct conf_route *route,
			   const struct pattern_piece values[PATTERN_VARIABLES_MAX],
			   const struct query_page *page, struct buf *why)
{
	struct post_roll *l = xcalloc(1, sizeof(*l));

	if (!read_page(l, page, why)) {
		post_roll_free(l);
		return NULL;
	}
	l->letter.kind = POST_ROLL;
	l->what = route->kind == ROUTE_CONNECTIONS  ? ROLL_LIST
		  : route->kind == ROUTE_DISCONNECT ? ROLL_END
						    : ROLL_COUNT;
	if (l->what == ROLL_END)
		l->name = xstrndup(values[0].at, values[0].len);
	l->list = json_object_new_array();
	for (size_t i = 0; i < 2; i++)
		l->kinds[i].users = json_object_new_object();
	l->channels = json_object_new_object();
	return l;
}

static void add_text(struct json_object *to, const char *name, const char *text)
{
	json_object_object_add(to, name, json_object_new_string(text));
}

/* Streams stand in the order of their numbers, workers are asked in the order of theirs: so who
 * stays is listed once, whoever comes and goes meanwhile. */
static bool is_behind(const struct post_roll *l, const struct stream *s)
{
	return s->worker->number > l->page.worker ||
	       (s->worker->number == l->page.worker && s->id > l->page.stream);
}

/* The name behind which the next page begins; null on the last one. */
static struct json_object *next_page(const struct post_roll *l)
{
	size_t n = json_object_array_length(l->list);
	struct json_object *last, *name;

	if (!l->page.more || !n)
		return NULL;
	last = json_object_array_get_idx(l->list, n - 1);
	name = json_object_object_get(last, "connection_id");
	return json_object_get(name);
}

static void add_to_list(struct post_roll *l, const struct worker *w, const struct stream *s)
{
	time_t at = time(NULL) - (time_t)((loop_now_ms(w->loop) - s->opened_ms) / 1000);
	struct json_object *d, *channels;
	const struct keys *k = s->member.who->channels;
	char name[STREAM_NAME_MAX], when[32] = "";
	struct tm tm;

	l->n++;
	if (!is_behind(l, s))
		return;
	if (json_object_array_length(l->list) >= l->page.limit) {
		l->page.more = true;
		return;
	}
	d = json_object_new_object();
	channels = json_object_new_array();
	add_text(d, "connection_id", stream_name(s, name));
	add_text(d, "user_id", s->member.who->user_id);
	add_text(d, "transport", transport_name(form_transport(s->form)));
	add_text(d, "ip", stream_peer(s));
	if (gmtime_r(&at, &tm) && strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm))
		add_text(d, "connected_at", when);
	for (size_t i = 0; k && i < k->n; i++)
		json_object_array_add(channels, json_object_new_string(k->list[i] + 1));
	json_object_object_add(d, "channels", channels);
	json_object_array_add(l->list, d);
}

static void count(struct post_roll *l, const struct stream *s)
{
	const struct keys *k = s->member.who->channels;
	size_t kind = form_transport(s->form) != TRANSPORT_WEBSOCKET;

	l->kinds[kind].n++;
	json_object_object_add(l->kinds[kind].users, s->member.who->user_id, NULL);
	for (size_t i = 0; k && i < k->n; i++, l->n_subscriptions++)
		json_object_object_add(l->channels, k->list[i] + 1, NULL);
}

static void take(struct worker *w, struct post_roll *l)
{
	LIST_EACH (&w->streams, node, tmp) {
		struct stream *s = LIST_ENTRY(node, struct stream, node);
		char name[STREAM_NAME_MAX];

		if (s->state == STREAM_CLOSING)
			continue;
		if (l->what == ROLL_LIST) {
			add_to_list(l, w, s);
		} else if (l->what == ROLL_COUNT) {
			count(l, s);
		} else if (!strcmp(stream_name(s, name), l->name)) {
			l->n = 1;
			stream_end(s, END_RESTART, "closed by an administrator");
			return;
		}
	}
}

void roll_pass(struct worker *w, struct post_roll *l)
{
	const struct commons *commons = w->commons;

	if (l->n_asked == commons->n_workers) {
		l->answered(l);
		return;
	}
	if (w->number == l->n_asked) {
		take(w, l);
		l->n_asked++;
	}
	inbox_post(l->n_asked < commons->n_workers ? commons->workers[l->n_asked] : l->reply_to,
		   &l->letter);
}

/* What the routes let in that begin as that kind; null where one of them has no limit. */
static struct json_object *most(const struct conf *conf, bool websocket)
{
	uint64_t n = 0;
	bool bounded = false;

	for (size_t i = 0; i < conf->n_routes; i++) {
		const struct conf_route *r = &conf->routes[i];

		if (r->kind != ROUTE_EVENTS || (r->first == TRANSPORT_WEBSOCKET) != websocket)
			continue;
		bounded = r->max_streams != 0;
		n += r->max_streams;
		if (!bounded)
			break;
	}
	if (!bounded)
		n = conf->max_streams;
	return n ? json_object_new_int64((int64_t)n) : NULL;
}

static void add_number(struct json_object *to, const char *name, size_t n)
{
	json_object_object_add(to, name, json_object_new_int64((int64_t)n));
}

static struct json_object *statistics(const struct conf *conf, const struct post_roll *l)
{
	static const char *const names[] = {"websocket", "sse"};
	struct json_object *all = json_object_new_object(), *d;

	for (size_t i = 0; i < 2; i++) {
		d = json_object_new_object();
		add_number(d, "total", l->kinds[i].n);
		json_object_object_add(d, "max", most(conf, i == 0));
		add_number(d, "users", (size_t)json_object_object_length(l->kinds[i].users));
		json_object_object_add(all, names[i], d);
	}
	d = json_object_new_object();
	add_number(d, "total", (size_t)json_object_object_length(l->channels));
	add_number(d, "subscriptions", l->n_subscriptions);
	json_object_object_add(all, "channels", d);
	add_number(all, "total_connections", l->kinds[0].n + l->kinds[1].n);
	return all;
}

enum MHD_Result roll_answer(struct MHD_Connection *c, const struct conf *conf,
			    const struct post_roll *l)
{
	struct json_object *all;
	enum MHD_Result result;

	if (!l)
		return answer_busy(c, conf, MHD_HTTP_SERVICE_UNAVAILABLE,
				   "Not all of it could be asked in time.", "timeout", AGAIN_S);
	if (l->what == ROLL_END && !l->n)
		return answer_error(c, conf, MHD_HTTP_NOT_FOUND, "There is no such connection.");
	if (l->what == ROLL_COUNT) {
		all = statistics(conf, l);
	} else {
		all = json_object_new_object();
		if (l->what == ROLL_LIST) {
			add_number(all, "total", l->n);
			json_object_object_add(all, "connections", json_object_get(l->list));
			if (l->page.asked)
				json_object_object_add(all, "next", next_page(l));
		} else {
			add_text(all, "status", "ok");
		}
	}
	result = answer_text(c, conf, MHD_HTTP_OK, "application/json",
			     json_object_to_json_string_ext(all, JSON_C_TO_STRING_SPACED));
	json_object_put(all);
	return result;
}
