/* SPDX-License-Identifier: PostgreSQL
 * See action.h: another credential over the WebSocket that is open. Guesses count as they do in a
 * request. */
#include "config.h"
#include "web/action.h"

#include <stdlib.h>
#include <string.h>

#include "auth/credential.h"
#include "auth/jwt.h"
#include "base/buf.h"
#include "conf.h"
#include "web/asker.h"
#include "web/stream.h"
#include "web/talk.h"
#include "web/worker.h"

#define DATA_MAX 100 /* bytes */

/* The errand of a look-up that is away. */
struct renewal {
	struct stream *stream; /* NULL once it has closed */
	char *request_id;
};

static void renewal_free(void *errand)
{
	struct renewal *r = errand;

	free(r->request_id);
	free(r);
}

void action_forget(struct stream *s)
{
	struct renewal **r = s->talk ? talk_renewal(s->talk) : NULL;

	if (r && *r)
		(*r)->stream = NULL;
	if (s->talk)
		action_forget_published(s);
}

static void count(const struct stream *s, const struct post_lookup *l)
{
	struct attempts *attempts = s->worker->commons->attempts;
	struct address from = stream_from(s);
	uint64_t now = loop_now_ms(s->worker->loop);

	if (l->verdict == LOOKUP_OK)
		attempts_good(attempts, &from, l->token, now);
	else if (l->verdict != LOOKUP_UNAVAILABLE)
		attempts_failed(attempts, &from, now);
}

static void conclude(struct stream *s, const struct post_lookup *l, const char *request_id)
{
	autobuf data = {.max = DATA_MAX};

	count(s, l);
	if (l->verdict == LOOKUP_UNAVAILABLE) {
		action_fail(s, request_id, "unavailable",
			    "The database is not available; try again.");
		return;
	}
	if (l->verdict != LOOKUP_OK || !stream_renew(s, l->who->user_id, l->auth, l->token)) {
		action_fail(s, request_id, "invalid_token", "This is no credential of yours.");
		return;
	}
	buf_str(&data, "{\"expires_in\": ");
	if (l->who->expires_ms)
		buf_u64(&data, l->who->expires_ms / 1000);
	else
		buf_str(&data, "null");
	buf_char(&data, '}');
	action_reply(s, request_id, "renewed", &data);
}

static void on_answered(struct post_lookup *l)
{
	struct renewal *r = l->errand;

	if (r->stream) {
		*talk_renewal(r->stream->talk) = NULL;
		conclude(r->stream, l, r->request_id);
	}
	post_lookup_free(l);
}

static void ask(struct stream *s, const char *token, const char *auth, const char *request_id)
{
	struct post_lookup *l = xcalloc(1, sizeof(*l));
	struct renewal *r = xcalloc(1, sizeof(*r));

	*talk_renewal(s->talk) = r;
	r->stream = s;
	r->request_id = request_id ? xstrdup(request_id) : NULL;
	l->letter.kind = POST_LOOKUP;
	l->reply_to = &s->worker->inbox;
	l->auth = xstrdup(auth);
	l->token = xstrdup(token);
	l->errand = r;
	l->free_errand = renewal_free;
	l->answered = on_answered;
	l->until_ms = loop_now_ms(s->worker->loop) + s->worker->conf->request_ms;
	inbox_post(s->worker->db, &l->letter);
}

/* The door of its route, as that is now, that takes a token; or NULL. */
static const char *door_for(const struct stream *s, const char *token)
{
	const struct conf *conf = s->worker->conf;
	const struct conf_route *now = conf_find_route(conf, s->route->name);

	return now ? asker_door_for(conf, now, token) : NULL;
}

void action_renew(struct stream *s, struct scan data, const char *request_id)
{
	struct attempts *attempts = s->worker->commons->attempts;
	struct address from = stream_from(s);
	uint64_t now = loop_now_ms(s->worker->loop), wait_ms;
	autobuf token = {.max = JWT_MAX};
	struct scan value;
	const char *auth;

	if (*talk_renewal(s->talk)) {
		action_fail(s, request_id, "busy", "Another credential is being looked up.");
	} else if (!scan_member(data, "token", &value) || !scan_string(value, &token) ||
		   !buf_ok(&token) || strlen(buf_cstr(&token)) != token.len ||
		   !credential_plausible(buf_cstr(&token), JWT_MAX)) {
		action_fail(s, request_id, "invalid_data", "\"data\" must have \"token\".");
	} else if (!(auth = door_for(s, buf_cstr(&token)))) {
		attempts_failed(attempts, &from, now);
		action_fail(s, request_id, "invalid_token", "This is no credential of yours.");
	} else if (!attempts_allow(attempts, &from, buf_cstr(&token), now, &wait_ms)) {
		action_fail(s, request_id, "too_many",
			    "Too many unknown credentials came from your address.");
	} else {
		ask(s, buf_cstr(&token), auth, request_id);
	}
	if (token.data)
		explicit_bzero(token.data, token.len);
}
