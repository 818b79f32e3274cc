/* SPDX-License-Identifier: PostgreSQL
 * See dialect.h. */
#include "config.h"
#include "wire/dialect.h"

#include <string.h>

#include "wire/json.h"

bool dialect_reserves(const char *type)
{
	size_t family = strcspn(type, ".");

	return (family == 6 && !strncmp(type, "system", family)) || !strcmp(type, "connected") ||
	       !strcmp(type, "keepalive");
}

static void timestamp(struct buf *b, int64_t at)
{
	buf_str(b, ", \"timestamp\": ");
	if (at < 0)
		buf_char(b, '-');
	buf_u64(b, at < 0 ? -(uint64_t)at : (uint64_t)at);
	buf_char(b, '}');
}

static void django_hello(struct buf *b, const char *user, uint64_t keepalive_s)
{
	buf_str(b, "{\"event\": \"connected\", \"message\": \"SSE connection established\"");
	if (keepalive_s) {
		buf_str(b, ", \"keepalive\": ");
		buf_u64(b, keepalive_s);
	}
	if (user) {
		buf_str(b, ", \"user\": ");
		json_string(b, user, strlen(user));
	}
	buf_char(b, '}');
}

static void django_event(struct buf *b, const char *type, const char *doc, const char *scope,
			 int64_t at)
{
	buf_str(b, "{\"event\": ");
	json_string(b, type, strlen(type));
	buf_str(b, ", \"data\": ");
	json_text(b, doc);
	if (scope)
		buf_printf(b, ", \"scope\": \"%s\"", scope);
	timestamp(b, at);
}

static void django_keepalive(struct buf *b, int64_t at)
{
	buf_str(b, "{\"event\": \"keepalive\"");
	timestamp(b, at);
}

static void django_farewell(struct buf *b, int64_t at)
{
	buf_str(b, "{\"event\": \"system.farewell\"");
	timestamp(b, at);
}

static void django_resync(struct buf *b, const char *reason, const char *topics, int64_t at)
{
	buf_printf(b,
		   "{\"event\": \"system.resync\", \"data\": {\"reason\": \"%s\", \"topics\": %s}",
		   reason, topics);
	timestamp(b, at);
}

const struct dialect dialect_django = {
	.name = "django",
	.hello = django_hello,
	.event = django_event,
	.keepalive = django_keepalive,
	.farewell = django_farewell,
	.resync = django_resync,
};
