/* SPDX-License-Identifier: PostgreSQL
 * See auth_keys.h. */
#include "config.h"
#include "pg/auth_keys.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static void set_timer(struct auth_source *s)
{
	uint64_t now = loop_now_ms(s->all->loop), next = jwks_cache_next_ms(&s->cache);

	if (next == UINT64_MAX)
		loop_timer_clear(s->all->loop, &s->timer);
	else
		loop_timer_set(s->all->loop, &s->timer, next > now ? next - now : 0);
}

static void ask_again(struct auth_source *s)
{
	struct list letters;

	list_init(&letters);
	list_splice(&letters, &s->parked);
	if (!list_empty(&letters))
		s->all->again(s->all->again_arg, &letters);
}

static void complain(struct auth_source *s, const char *why)
{
	if (complaint_due(&s->complaint, why, loop_now_ms(s->all->loop)))
		log_error("auth %s: no keys from %s: %s; %s (failures so far: %" PRIu64 ")",
			  s->name, s->url, why,
			  s->cache.now ? "the old ones stay" : "nobody can come in by it",
			  s->complaint.n);
}

static void told(const struct auth_source *s, bool first)
{
	if (!s->cache.now->n)
		log_warn(
			"auth %s: the set at %s has no key that could verify a token: none is good",
			s->name, s->url);
	else
		log_info("auth %s: %zu %s from %s", s->name, s->cache.now->n,
			 first ? "keys" : "keys, others than before,", s->url);
}

static void take_set(struct auth_source *s, struct jwks *set, struct download *d)
{
	struct jwks_cache *c = &s->cache;
	bool first = !c->now, failed = c->stale;
	bool other = set && (first || !jwks_covers(set, c->now) || !jwks_covers(c->now, set));
	bool gone = jwks_cache_answered(c, set, d->max_age_s, loop_now_ms(s->all->loop));

	if (set) {
		free(s->etag);
		s->etag = d->etag;
		d->etag = NULL;
	}
	if (other)
		told(s, first);
	else if (failed)
		log_info("auth %s: keys can be had again from %s", s->name, s->url);
	if (gone)
		s->all->gone(s->all->gone_arg, s->name);
}

static void on_download(struct download *d)
{
	struct auth_source *s = d->arg;
	struct jwks *set = NULL;
	autobuf why = {.max = DOWNLOAD_WHY_MAX};

	if (s) {
		s->away = NULL;
		if (!d->ok)
			buf_str(&why, d->why);
		else if (!d->unchanged)
			set = jwks_parse_public(d->body ? d->body : "", d->len,
						*s->algorithm ? s->algorithm : NULL, &why);
		if (why.len) {
			jwks_cache_failed(&s->cache, loop_now_ms(s->all->loop));
			complain(s, buf_cstr(&why));
		} else {
			take_set(s, set, d);
		}
		set_timer(s);
		ask_again(s);
	}
	download_free(d);
}

static void ask(struct auth_source *s, bool sought)
{
	struct download *d;

	if (s->away)
		return;
	d = s->away = xcalloc(1, sizeof(*d));
	d->url = xstrdup(s->url);
	d->ca_file = *s->ca_file ? xstrdup(s->ca_file) : NULL;
	d->etag = s->etag && s->cache.now ? xstrdup(s->etag) : NULL;
	d->max_bytes = JWKS_MAX;
	d->done = on_download;
	d->arg = s;
	jwks_cache_asked(&s->cache, sought, loop_now_ms(s->all->loop));
	set_timer(s);
	downloads_ask(&s->all->downloads, d);
}

static void on_timer(void *arg)
{
	struct auth_source *s = arg;
	uint64_t now = loop_now_ms(s->all->loop);

	if (jwks_cache_forget(&s->cache, now))
		s->all->gone(s->all->gone_arg, s->name);
	if (now >= s->cache.due_ms)
		ask(s, false);
	else
		set_timer(s);
}

static struct auth_source *find(const struct auth_keys *k, const char *name)
{
	LIST_EACH (&k->sources, node, tmp) {
		struct auth_source *s = LIST_ENTRY(node, struct auth_source, node);

		if (!strcmp(s->name, name))
			return s;
	}
	return NULL;
}

static bool is_of(const struct auth_source *s, const struct conf_auth *a)
{
	return a && !strcmp(s->url, a->jwks_url) && !strcmp(s->ca_file, a->jwks_ca_file) &&
	       !strcmp(s->algorithm, a->algorithm);
}

static void source_free(struct auth_source *s)
{
	list_remove(&s->node);
	ask_again(s);
	if (s->away)
		s->away->arg = NULL;
	loop_timer_clear(s->all->loop, &s->timer);
	jwks_cache_clear(&s->cache);
	free(s->name);
	free(s->url);
	free(s->ca_file);
	free(s->algorithm);
	free(s->etag);
	free(s);
}

static struct auth_source *source_new(struct auth_keys *k, const struct conf_auth *a)
{
	struct auth_source *s = xcalloc(1, sizeof(*s));

	s->all = k;
	s->name = xstrdup(a->name);
	s->url = xstrdup(a->jwks_url);
	s->ca_file = xstrdup(a->jwks_ca_file);
	s->algorithm = xstrdup(a->algorithm);
	s->timer = (struct loop_timer){.fire = on_timer, .arg = s};
	list_init(&s->parked);
	list_push(&k->sources, &s->node);
	return s;
}

void auth_keys_reload(struct auth_keys *k, const struct conf *conf)
{
	LIST_EACH (&k->sources, node, tmp) {
		struct auth_source *s = LIST_ENTRY(node, struct auth_source, node);

		if (!is_of(s, conf_find_auth(conf, s->name)))
			source_free(s);
	}
	for (size_t i = 0; i < conf->n_auths; i++) {
		const struct conf_auth *a = &conf->auths[i];
		struct auth_source *s = *a->jwks_url ? find(k, a->name) : NULL;

		if (!*a->jwks_url)
			continue;
		if (!s)
			s = source_new(k, a);
		s->cache.pause_ms = a->jwks_pause_ms;
		s->cache.refresh_ms = a->jwks_refresh_ms;
		s->cache.grace_ms = a->jwks_grace_ms;
		if (!s->cache.now && !s->away)
			ask(s, false);
	}
}

bool auth_keys_start(struct auth_keys *k, struct loop *loop)
{
	k->loop = loop;
	list_init(&k->sources);
	return downloads_init(&k->downloads, loop);
}

void auth_keys_stop(struct auth_keys *k)
{
	downloads_stop(&k->downloads);
	LIST_EACH (&k->sources, node, tmp) {
		struct auth_source *s = LIST_ENTRY(node, struct auth_source, node);

		s->away = NULL; /* freed */
		source_free(s);
	}
}

enum jwks_answer auth_keys_verify(struct auth_keys *k, const struct conf_auth *section,
				  const struct jwt_rule *rule, const char *token, int64_t now_s,
				  struct jwt *out, enum jwt_verdict *ret)
{
	struct auth_source *s = find(k, section->name);
	enum jwks_answer answer;

	if (!s)
		return JWKS_AWAY;
	answer = jwks_cache_verify(&s->cache, rule, token, strlen(token), loop_now_ms(k->loop),
				   now_s, out, ret);
	if (answer == JWKS_ASK)
		ask(s, true);
	return answer;
}

void auth_keys_park(struct auth_keys *k, const struct conf_auth *section, struct post_lookup *l)
{
	struct auth_source *s = find(k, section->name);

	assert(s && s->away);
	list_push(&s->parked, &l->letter.node);
}
