/* SPDX-License-Identifier: PostgreSQL
 * source/parcel: whatever somebody sends to Redis or Kafka, what is told of it is a document of a
 * type that is nobody else's, for users or for a channel. The lines are the number of a section,
 * the channel, the key and the type; "-" is none. The rest is the payload. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "hub/subscription.h"
#include "pg/inline.h"
#include "source/parcel.h"
#include "target.h"
#include "wire/array.h"
#include "wire/dialect.h"
#include "wire/scan.h"

static char user[] = "user", users[] = "users", watched[] = "estimate";
static char *owners[] = {user, users};

static const struct {
	const char *to, *event_key, *data_key;
	size_t n_owners;
} sections[] = {
	{"{channel}", "type", "", 0},
	{"p:{id}:{key}", "type", "data", 0},
	{"{a}{b}{c}{d}{e}{f}{g}{h}", "event", "data", 0},
	{"*", "type", "", 0},
	{"", "type", "data", 1},
	{"", "event", "", 2},
};
#define N_SECTIONS (sizeof(sections) / sizeof(*sections))

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

/* The next line, copied so that nothing reads beyond it unseen; NULL for none. */
static char *line(const char **at, const char *end, size_t *ret_len)
{
	const char *stop = *at < end ? memchr(*at, '\n', (size_t)(end - *at)) : NULL;
	size_t len = stop ? (size_t)(stop - *at) : (size_t)(end - *at);
	char *copy = xcalloc(len + 1, 1);

	memcpy(copy, *at, len);
	*at = stop ? stop + 1 : end;
	*ret_len = len;
	if (len == 1 && *copy == '-') {
		free(copy);
		copy = NULL;
		*ret_len = 0;
	}
	return copy;
}

static void look(const struct told *t, const struct conf_listen *l)
{
	const char *type = buf_cstr(&t->type), *audience = buf_cstr(&t->audience);
	size_t n = array_count(audience);
	struct scan document;

	assert(inline_valid_type(type) && !dialect_reserves(type) && !dialect_is_of(type, watched));
	assert(scan_text(t->document.data, t->document.len, &document));
	assert(n && (t->is_channel ? n == 1 : n <= PARCEL_USERS_MAX));
	assert(t->is_channel == !l->owner_keys.n);
	assert(!memchr(audience, '\n', t->audience.len) || !t->is_channel);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data, *end = at + size, *why = NULL;
	struct conf_watch watch = {.name = watched};
	struct conf c = {.watches = &watch, .n_watches = 1};
	struct conf_listen l = {.name = user};
	struct parcel m = {0};
	struct told t;
	size_t len, i;
	char *number = line(&at, end, &len), *channel = line(&at, end, &m.channel_len),
	     *key = line(&at, end, &m.key_len), *type = line(&at, end, &m.type_len);

	i = number ? (unsigned char)*number % N_SECTIONS : 0;
	l.to = (char *)(uintptr_t)sections[i].to;
	l.event_key = (char *)(uintptr_t)sections[i].event_key;
	l.data_key = (char *)(uintptr_t)sections[i].data_key;
	l.owner_keys = (struct conf_list){owners, sections[i].n_owners};
	m.channel = channel;
	m.key = key;
	m.type = type;
	m.payload = at;
	m.payload_len = (size_t)(end - at);
	if (parcel_read(&c, &l, &m, &t, &why))
		look(&t, &l);
	else
		assert(why);
	told_free(&t);
	free(number);
	free(channel);
	free(key);
	free(type);
	return 0;
}
