/* SPDX-License-Identifier: PostgreSQL
 * {"event": …, "data": …, "timestamp": …}, in unnamed SSE events and as an object. */
#include "config.h"
#include "wire/dialect.h"

#include <string.h>

#include "wire/json.h"

static void end(struct message *m, const struct news *n)
{
	buf_str(&m->text, ", \"timestamp\": ");
	dialect_put_time(&m->text, n);
	dialect_put_id(&m->text, n);
	dialect_put_retry(&m->text, n);
	buf_char(&m->text, '}');
}

static void hello(struct message *m, const struct news *n)
{
	buf_str(&m->text, "{\"event\": \"connected\", \"message\": \"SSE connection established\"");
	dialect_put_full(&m->text, n);
	dialect_put_id(&m->text, n);
	dialect_put_retry(&m->text, n);
	buf_char(&m->text, '}');
}

static void event(struct message *m, const struct news *n)
{
	buf_str(&m->text, "{\"event\": ");
	json_string(&m->text, n->type, strlen(n->type));
	buf_str(&m->text, ", \"data\": ");
	json_text(&m->text, n->doc);
	if (n->scope)
		buf_printf(&m->text, ", \"scope\": \"%s\"", n->scope);
	end(m, n);
}

static void keepalive(struct message *m, const struct news *n)
{
	buf_str(&m->text, "{\"event\": \"keepalive\"");
	end(m, n);
}

static void farewell(struct message *m, const struct news *n)
{
	buf_str(&m->text, "{\"event\": \"system.farewell\"");
	end(m, n);
}

static void resync(struct message *m, const struct news *n)
{
	buf_str(&m->text, "{\"event\": \"system.resync\", \"data\": ");
	dialect_put_gap(&m->text, n);
	end(m, n);
}

static void reply(struct message *m, const struct news *n)
{
	buf_printf(&m->text, "{\"event\": \"system.%s\", \"data\": ", n->type);
	json_text(&m->text, n->doc);
	dialect_put_request_id(&m->text, n);
	end(m, n);
}

const struct dialect dialect_django = {
	.name = "django",
	.sse = {hello, event, resync, keepalive, farewell, NULL},
	.object = {hello, event, resync, keepalive, farewell, NULL},
	.reply = reply,
};
