/* SPDX-License-Identifier: PostgreSQL
 * What the server of a jwks_url may send: a set, of which nothing but strong public keys comes out,
 * and a header with an age. And URLs: what is taken leads to the host that stands in it. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "auth/jwks_cache.h"
#include "net/download.h"
#include "target.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static void look_at(const struct jwks *s)
{
	assert(s->n <= JWKS_MAX_KEYS);
	for (size_t i = 0; i < s->n; i++) {
		const struct jwk *k = &s->keys[i];

		assert(k->alg && k->pkey && !k->secret);
	}
	assert(jwks_covers(s, s));
}

static void keep(const char *text, size_t len)
{
	struct jwks_cache c = {
		.pause_ms = 1000, .refresh_ms = 60000, .grace_ms = len % 2 ? 5000 : 0};
	const struct jwt_rule rule = {.endless = true};
	enum jwt_verdict v;
	struct jwt t = {0};

	for (size_t round = 0; round < 3; round++) {
		autobuf why = {.max = 300};
		struct jwks *s = jwks_parse_public(text, len >> round, NULL, &why);

		assert(s || why.len);
		jwks_cache_asked(&c, round == 1, round * 1000);
		if (s) {
			look_at(s);
			(void)!jwks_cache_answered(&c, s, (int64_t)(len % 7) - 1, round * 1000);
		} else {
			jwks_cache_failed(&c, round * 1000);
		}
		assert(!c.asking && jwks_cache_next_ms(&c) >= round * 1000 + 1000);
		if (jwks_cache_verify(&c, &rule, "e30.e30.AA", 10, round * 1000, 1, &t, &v) ==
		    JWKS_VERDICT)
			assert(v != JWT_OK);
	}
	(void)!jwks_cache_forget(&c, 1000000);
	jwks_cache_clear(&c);
}

static void follow(const char *url)
{
	const char *host = strstr(url, "://"), *end;
	size_t len;

	if (!download_url_valid(url))
		return;
	assert(host && (!strncmp(url, "https:", 6) || !strncmp(url, "http:", 5)));
	host += 3;
	len = strcspn(host, "/");
	end = host + len;
	assert(len && !memchr(host, '@', len) && !memchr(host, '\\', len) &&
	       !memchr(host, '?', len));
	if (url[4] == ':')
		assert(!strncmp(host, "127.0.0.1", 9) || !strncmp(host, "[::1]", 5) ||
		       !strncmp(host, "localhost", 9));
	for (; *end; end++)
		assert(*end > ' ' && *end <= '~' && *end != '#');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *text = xstrndup((const char *)data, size);
	int64_t age = download_max_age((const char *)data, size);

	assert(age >= -1 && age <= INT32_MAX);
	follow(text);
	keep((const char *)data, size);
	return 0;
}
