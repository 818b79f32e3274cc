/* SPDX-License-Identifier: PostgreSQL
 * See filter.h. */
#include "config.h"
#include "hub/filter.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "hub/event.h"
#include "wire/json.h"

static bool add_items(char ***items, size_t *n, const char *list, bool cut)
{
	for (;;) {
		size_t len = strcspn(list, ","), kept = len;

		if (!len || len > FILTER_ITEM_MAX || *n == FILTER_ITEMS_MAX)
			return false;
		if (cut && len > 2 && !memcmp(list + len - 2, ".*", 2))
			kept = len - 2;
		*items = xrealloc(*items, *n + 1, sizeof(**items));
		(*items)[(*n)++] = xstrndup(list, kept);
		if (!list[len])
			return true;
		list += len + 1;
	}
}

static struct filter *made(struct filter **f)
{
	if (!*f)
		*f = xcalloc(1, sizeof(**f));
	return *f;
}

bool filter_add_types(struct filter **f, const char *list)
{
	struct filter *it = made(f);

	return add_items(&it->types, &it->n_types, list, false);
}

bool filter_add_topics(struct filter **f, const char *list)
{
	struct filter *it = made(f);

	return add_items(&it->topics, &it->n_topics, list, true);
}

static bool has_item(char *const *items, size_t n, const char *item)
{
	size_t i = 0;

	while (i < n && strcmp(items[i], item) != 0)
		i++;
	return i < n;
}

/* How many of `more` are not in it. */
static size_t n_new(char *const *items, size_t n, char *const *more, size_t n_more)
{
	size_t count = 0;

	for (size_t i = 0; i < n_more; i++)
		count += !has_item(items, n, more[i]) && !has_item(more, i, more[i]);
	return count;
}

static void join_items(char ***items, size_t *n, bool *none, char *const *more, size_t n_more)
{
	if (!*n && !*none) /* all of them */
		return;
	for (size_t i = 0; i < n_more; i++) {
		if (has_item(*items, *n, more[i]))
			continue;
		*items = xrealloc(*items, *n + 1, sizeof(**items));
		(*items)[(*n)++] = xstrdup(more[i]);
		*none = false;
	}
}

bool filter_join(struct filter *f, const struct filter *more)
{
	if (f->n_types + n_new(f->types, f->n_types, more->types, more->n_types) >
		    FILTER_ITEMS_MAX ||
	    f->n_topics + n_new(f->topics, f->n_topics, more->topics, more->n_topics) >
		    FILTER_ITEMS_MAX)
		return false;
	join_items(&f->types, &f->n_types, &f->no_types, more->types, more->n_types);
	join_items(&f->topics, &f->n_topics, &f->no_topics, more->topics, more->n_topics);
	return true;
}

static void drop_items(char **items, size_t *n, bool *none, char *const *less, size_t n_less)
{
	size_t kept = 0;

	for (size_t i = 0; i < *n; i++)
		if (has_item(less, n_less, items[i]))
			free(items[i]);
		else
			items[kept++] = items[i];
	*none |= *n && !kept;
	*n = kept;
}

bool filter_drop(struct filter *f, const struct filter *less)
{
	if ((less->n_types && !f->n_types && !f->no_types) ||
	    (less->n_topics && !f->n_topics && !f->no_topics))
		return false;
	drop_items(f->types, &f->n_types, &f->no_types, less->types, less->n_types);
	drop_items(f->topics, &f->n_topics, &f->no_topics, less->topics, less->n_topics);
	return true;
}

void filter_limit(struct filter **f, char *const *types, size_t n)
{
	struct filter *it = n ? made(f) : NULL;

	if (!it)
		return;
	it->limits = types;
	it->n_limits = n;
}

static void free_items(char **items, size_t n)
{
	while (n)
		free(items[--n]);
	free(items);
}

void filter_free(struct filter *f)
{
	if (!f)
		return;
	free_items(f->types, f->n_types);
	free_items(f->topics, f->n_topics);
	free(f);
}

/* A topic as it stands before the first dot of a type. */
static bool is_topic(const char *name, const char *topic, size_t len)
{
	return !strcmp(name, "*") || (strlen(name) == len && !memcmp(name, topic, len));
}

static bool wants_topic(const struct filter *f, const char *topic, size_t len)
{
	for (size_t i = 0; i < f->n_topics; i++)
		if (is_topic(f->topics[i], topic, len))
			return true;
	return !f->n_topics && !f->no_topics;
}

static bool matches(char *const *types, size_t n, const char *type)
{
	for (size_t i = 0; i < n; i++)
		if (scope_pattern_matches(types[i], type))
			return true;
	return false;
}

static bool hears_all_types(const struct filter *f)
{
	return !f->n_types && !f->no_types;
}

bool filter_wants(const struct filter *f, const struct event *e)
{
	const char *topic = e->topic ? e->topic : e->type;
	size_t len = e->topic ? strlen(topic) : strcspn(topic, ".");

	if (!wants_topic(f, topic, len))
		return false;
	return (!f->n_limits || matches(f->limits, f->n_limits, e->type)) &&
	       (hears_all_types(f) || matches(f->types, f->n_types, e->type));
}

/* Whether some type of that topic may be one of these. */
static bool may_match(char *const *types, size_t n, const char *topic, size_t len)
{
	for (size_t i = 0; i < n; i++) {
		size_t family = strcspn(types[i], ".");

		if (!strcmp(types[i], "*") || (family == len && !memcmp(types[i], topic, len)))
			return true;
	}
	return false;
}

bool filter_wants_topic(const struct filter *f, const char *topic)
{
	size_t len = strlen(topic);

	return wants_topic(f, topic, len) &&
	       (!f->n_limits || may_match(f->limits, f->n_limits, topic, len)) &&
	       (hears_all_types(f) || may_match(f->types, f->n_types, topic, len));
}

char *filter_topics(const struct filter *f, const char *topics)
{
	struct json_object *all = json_tokener_parse(topics);
	size_t n = json_object_is_type(all, json_type_array) ? json_object_array_length(all) : 0;
	struct buf b;

	buf_init(&b, strlen(topics) + 2);
	for (size_t i = 0; i < n; i++) {
		const char *topic = json_object_get_string(json_object_array_get_idx(all, i));

		if (!topic || !filter_wants_topic(f, topic))
			continue;
		buf_str(&b, b.len ? ", " : "[");
		json_string(&b, topic, strlen(topic));
	}
	json_object_put(all);
	if (!b.len)
		return NULL;
	buf_char(&b, ']');
	return buf_steal(&b);
}

bool filter_wants_of(const struct filter *f, const struct event *e, char **ret_topics)
{
	*ret_topics = NULL;
	if (e->op != 'r')
		return filter_wants(f, e);
	*ret_topics = filter_topics(f, e->leave);
	if (!*ret_topics)
		return false;
	if (!strcmp(*ret_topics, e->leave)) {
		free(*ret_topics);
		*ret_topics = NULL;
	}
	return true;
}
