/* SPDX-License-Identifier: PostgreSQL
 * See question.h. */
#include "config.h"
#include "hub/question.h"

#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/utf8.h"

/* A copy of what stands there, when it is text of that length; NULL with `why`. */
static char *take(const char *name, const char *text, size_t len, size_t max, struct buf *why)
{
	size_t n = 0;

	if (!len || len > max) {
		buf_printf(why, "%s must have 1 to %zu bytes, and has %zu.", name, max, len);
		return NULL;
	}
	for (size_t i = 0; i < len; i += n) {
		n = utf8_len(text + i, len - i);
		if (!n || (unsigned char)text[i] < ' ' || text[i] == 0x7f) {
			buf_printf(why, "%s: byte %zu is no character that may stand there.", name,
				   i + 1);
			return NULL;
		}
	}
	return xstrndup(text, len);
}

static bool read_event(struct question *q, const char *text, struct buf *why)
{
	size_t len = strlen(text);

	q->kind = QUESTION_NUMBER;
	if (num_u64(text, len, &q->number) && q->number <= INT64_MAX)
		return true;
	q->kind = QUESTION_POSITION;
	if (cursor_parse(&q->position, text, len))
		return true;
	buf_printf(why,
		   "event must be the number of a row of the journal, or an id as clients get it: "
		   "\"%.130s\" is neither.",
		   text);
	return false;
}

static bool read_row(struct question *q, const char *text, struct buf *why)
{
	const char *colon = strchr(text, ':');

	q->kind = QUESTION_ROW;
	if (!colon) {
		buf_printf(why, "row must be TOPIC:KEY: \"%.80s\" has no colon.", text);
		return false;
	}
	q->topic = take("row: the topic", text, (size_t)(colon - text), QUESTION_USER_MAX, why);
	if (!q->topic)
		return false;
	q->key = take("row: the key", colon + 1, strlen(colon + 1), QUESTION_KEY_MAX, why);
	return q->key != NULL;
}

bool question_read(struct question *q, const char *user, const char *role, const char *event,
		   const char *row, struct buf *why)
{
	*q = (struct question){0};
	if (!user || !event == !row) {
		buf_str(why, !user ? "user is missing: whose view is to be explained?"
			     : row ? "event and row are two questions: ask one."
				   : "event or row is missing: what is to be explained?");
		return false;
	}
	q->user = take("user", user, strlen(user), QUESTION_USER_MAX, why);
	if (q->user && role)
		q->role = take("role", role, strlen(role), QUESTION_ROLE_MAX, why);
	if (!q->user || (role && !q->role))
		return false;
	return event ? read_event(q, event, why) : read_row(q, row, why);
}

void question_clear(struct question *q)
{
	free(q->user);
	free(q->role);
	free(q->topic);
	free(q->key);
	*q = (struct question){0};
}
