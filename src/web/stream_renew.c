/* SPDX-License-Identifier: PostgreSQL
 * A stream whose credential ends is told so in good time, and may get another one of the same user.
 * See stream.h. */
#include "config.h"
#include "web/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "conf.h"
#include "web/worker.h"
#include "wire/form.h"

#define TELL_S	   60  /* before it ends */
#define NOTICE_MAX 512 /* bytes */

/* What it is called is only known to its client and the log, and is no secret: renewing takes a
 * credential of its user. */
static struct frame *make_notice(const struct stream *s, uint32_t left_s)
{
	char doc[100], name[STREAM_NAME_MAX];
	const struct news n = {.type = "system.expiring", .doc = doc, .at = (int64_t)time(NULL)};
	autobuf b = {.max = NOTICE_MAX};

	snprintf(doc, sizeof(doc), "{\"stream\": \"%s\", \"seconds\": %" PRIu32 "}",
		 stream_name(s, name), left_s);
	form_event(s->form, &b, &n, NULL);
	return b.len ? frame_new(buf_cstr(&b), b.len) : NULL;
}

uint32_t stream_ends_soon(const struct stream *s)
{
	uint32_t now = stream_now_s(s);

	return s->ends_s > now && s->ends_s - now <= TELL_S ? s->ends_s - now : 0;
}

void stream_tell_end(struct stream *s)
{
	uint32_t left_s = stream_ends_soon(s);
	struct frame *f;

	if (!left_s || s->told_end || s->is_answer || s->blocked ||
	    (s->state != STREAM_LIVE && s->state != STREAM_CATCHING))
		return;
	s->told_end = true;
	f = make_notice(s, left_s);
	if (!f)
		return;
	stream_offer(s, f);
	frame_unref(f);
}

bool stream_renew(struct stream *s, const char *user_id, const char *auth, const char *token)
{
	unsigned door;

	if (s->state == STREAM_CLOSING || strcmp(user_id, s->member.who->user_id) != 0 ||
	    !stream_has_door(s, auth, &door))
		return false;
	stream_set_token(s, token);
	s->door = (uint8_t)door;
	if (s->lookup) { /* about the credential of before */
		s->lookup->asker = NULL;
		s->lookup = NULL;
	}
	/* Its rights may be others: what comes from here on waits for the verdict about this one.
	 */
	stream_hold(s, s->worker->hub.ring.head);
	stream_log(s, "stream renewed", NULL);
	return true;
}
