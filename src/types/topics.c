/* SPDX-License-Identifier: PostgreSQL
 * See topics.h. */
#include "config.h"
#include "types/topics.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum { NAME_MAX_BYTES = 300 };

static bool taken(const struct topics *t, const char *name)
{
	if (!strcmp(name, "Events")) /* the map of all of them */
		return true;
	for (size_t i = 0; i < t->n; i++)
		if (!strcmp(t->items[i].name, name))
			return true;
	return false;
}

/* "order-item" becomes OrderItem, and OrderItem2 if that is somebody else's. */
static char *type_name(const struct topics *t, const char *topic)
{
	autobuf name = {0};
	bool upper = true;
	size_t len;

	buf_init(&name, NAME_MAX_BYTES);
	if (isdigit((unsigned char)*topic))
		buf_char(&name, '_');
	for (; *topic; topic++) {
		unsigned char c = (unsigned char)*topic;

		if (c < 0x80 && isalnum(c))
			buf_char(&name, (char)(upper ? toupper(c) : c));
		upper = !(c < 0x80 && isalnum(c));
	}
	if (!name.len)
		buf_str(&name, "Row");
	len = name.len;
	for (unsigned n = 2; taken(t, buf_cstr(&name)); n++) {
		name.len = len;
		buf_printf(&name, "%u", n);
	}
	return buf_steal(&name);
}

void topics_of(struct topics *t, const struct conf *conf)
{
	*t = (struct topics){.conf = conf};
	t->items = xcalloc(conf->n_watches + 1, sizeof(*t->items));
	for (size_t i = 0; i < conf->n_watches; i++) {
		const struct watch *w = conf->watches[i].parsed;
		struct topic *topic = &t->items[t->n];

		topic->watch = w;
		topic->name = type_name(t, w->topic);
		topic->shapes = xcalloc(w->n_fields + 1, sizeof(*topic->shapes));
		for (size_t k = 0; k < w->n_fields; k++)
			topic->shapes[k] = (struct shape){
				.kind = w->fields[k].cast ? SHAPE_STRING : SHAPE_ANY,
				.nullable = true,
			};
		t->n++;
	}
}

void topics_free(struct topics *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->items[i].name);
		free(t->items[i].shapes);
	}
	free(t->items);
	*t = (struct topics){0};
}
