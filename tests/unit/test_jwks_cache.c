/* SPDX-License-Identifier: PostgreSQL
 * auth/jwks_cache: when an issuer is asked, and which keys count. And what net/download takes for a
 * URL and for an age. */
#include "config.h"
#include "unit.h"

#include "auth/jwks_cache.h"
#include "jwt_tokens.h"
#include "net/download.h"

#define NOW_S ((int64_t)1800000000)
#define SYMMETRIC                                                                                  \
	"{\"keys\": [{\"kty\": \"oct\", \"k\": "                                                   \
	"\"YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWZn\"}]}"

static const struct jwt_rule any_rule = {0};

static const char *token_of(const char *alg)
{
	for (size_t i = 0; i < N_TOKENS; i++)
		if (!strcmp(tokens[i].alg, alg))
			return tokens[i].token;
	fail_msg("no token of %s", alg);
	return NULL;
}

static struct jwks *set_of(const char *text)
{
	autobuf error = {.max = 1000};
	struct jwks *s = jwks_parse_public(text, strlen(text), NULL, &error);

	if (!s)
		fail_msg("%s", buf_cstr(&error));
	return s;
}

/* The first key only, which is RSA; or all. */
static struct jwks *rsa_only(void)
{
	const char *end = strstr(jwks_text, "},{");
	autofree char *text = xasprintf("%.*s}]}", (int)(end - jwks_text), jwks_text);

	return set_of(text);
}

static struct jwks *whole(void)
{
	return set_of(jwks_text);
}

static enum jwks_answer ask(struct jwks_cache *c, const char *alg, uint64_t now_ms,
			    enum jwt_verdict *ret)
{
	struct jwt t = {0};
	const char *token = token_of(alg);
	enum jwks_answer a =
		jwks_cache_verify(c, &any_rule, token, strlen(token), now_ms, NOW_S, &t, ret);

	jwt_clear(&t);
	return a;
}

static struct jwks_cache cache(void)
{
	return (struct jwks_cache){.pause_ms = 10000, .refresh_ms = 3600000};
}

TEST(before_the_first)
{
	struct jwks_cache c = cache();
	enum jwt_verdict v;

	assert_int_equal(ask(&c, "ES256", 1, &v), JWKS_AWAY);
	jwks_cache_asked(&c, false, 1);
	assert_int_equal(ask(&c, "ES256", 2, &v), JWKS_WAIT);
	jwks_cache_failed(&c, 3);
	assert_int_equal(ask(&c, "ES256", 4, &v), JWKS_AWAY);
	assert_int_equal(jwks_cache_next_ms(&c), 10003);
	/* Twice as long each time, up to five minutes. */
	for (uint64_t ms = 20000; ms <= 640000; ms *= 2) {
		jwks_cache_asked(&c, false, 0);
		jwks_cache_failed(&c, 0);
		assert_int_equal(jwks_cache_next_ms(&c), ms < 300000 ? ms : 300000);
	}
	jwks_cache_clear(&c);
}

TEST(unknown_key)
{
	struct jwks_cache c = cache();
	enum jwt_verdict v;

	jwks_cache_asked(&c, false, 1000);
	assert_false(jwks_cache_answered(&c, rsa_only(), -1, 1000));
	assert_int_equal(jwks_cache_next_ms(&c), 3601000);
	/* The first one asks, whoever comes meanwhile waits. */
	assert_int_equal(ask(&c, "ES256", 1001, &v), JWKS_ASK);
	jwks_cache_asked(&c, true, 1001);
	assert_int_equal(ask(&c, "ES256", 1002, &v), JWKS_WAIT);
	assert_false(jwks_cache_answered(&c, NULL, -1, 3000));
	/* It is not there either: refused, and nobody asks again for ten seconds. */
	assert_int_equal(ask(&c, "ES256", 3001, &v), JWKS_VERDICT);
	assert_int_equal(v, JWT_KEY);
	assert_int_equal(ask(&c, "ES256", 12999, &v), JWKS_VERDICT);
	assert_int_equal(ask(&c, "ES256", 13000, &v), JWKS_ASK);
	/* The issuer is away: nobody knows whether the token is good. */
	jwks_cache_asked(&c, true, 13000);
	jwks_cache_failed(&c, 13001);
	assert_int_equal(ask(&c, "ES256", 13002, &v), JWKS_AWAY);
	jwks_cache_clear(&c);
}

TEST(key_that_goes)
{
	struct jwks_cache c = cache();
	enum jwt_verdict v;

	c.grace_ms = 5000;
	assert_false(jwks_cache_answered(&c, whole(), -1, 0));
	assert_int_equal(ask(&c, "ES256", 1, &v), JWKS_VERDICT);
	assert_int_equal(v, JWT_OK);
	assert_false(jwks_cache_answered(&c, rsa_only(), -1, 1000));
	assert_int_equal(jwks_cache_next_ms(&c), 6000);
	assert_int_equal(ask(&c, "ES256", 5999, &v), JWKS_VERDICT);
	assert_int_equal(v, JWT_OK);
	assert_false(jwks_cache_forget(&c, 5999));
	assert_int_equal(ask(&c, "ES256", 6000, &v), JWKS_ASK);
	assert_true(jwks_cache_forget(&c, 6000));
	assert_false(jwks_cache_forget(&c, 6000));
	/* Without a grace it is gone at once; one that comes besides ends nothing. */
	c.grace_ms = 0;
	assert_true(jwks_cache_answered(&c, set_of("{\"keys\": []}"), -1, 7000));
	assert_int_equal(ask(&c, "RS256", 7001, &v), JWKS_ASK);
	assert_false(jwks_cache_answered(&c, whole(), -1, 8000));
	jwks_cache_clear(&c);
}

TEST(how_long_it_is_fresh)
{
	static const struct {
		int64_t max_age_s;
		uint64_t due_ms;
	} cases[] = {{-1, 3600000}, {0, 60000}, {5, 60000}, {600, 600000}, {86400, 3600000}};
	struct jwks_cache c = cache();

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_false(jwks_cache_answered(&c, NULL, cases[i].max_age_s, 0));
		assert_int_equal(jwks_cache_next_ms(&c), cases[i].due_ms);
	}
	c.refresh_ms = 1000; /* somebody wants it so */
	c.pause_ms = 1000;
	assert_false(jwks_cache_answered(&c, NULL, 0, 0));
	assert_int_equal(jwks_cache_next_ms(&c), 1000);
}

TEST(public_sets)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"keys\": {}}",
		"{\"keys\": 1}",
		"{\"keys\": [{}]}",
		"{\"keys\": [1, \"x\", null, []]}",
		SYMMETRIC,
		"{\"keys\": [{\"kty\": \"RSA\", \"n\": \"AQAB\", \"e\": \"AQAB\"}]}",
	};
	static const char *const none[] = {
		"{\"keys\": []}",
		"{\"keys\": [{\"kty\": \"RSA\", \"use\": \"enc\", \"n\": \"AQAB\", \"e\": "
		"\"AQAB\"}]}",
		"{\"keys\": [{\"kty\": \"RSA\", \"alg\": \"RSA-OAEP\", \"n\": \"AQAB\", \"e\": "
		"\"AQAB\"}]}",
		"{\"keys\": [{\"kty\": \"EC\", \"key_ops\": [\"deriveKey\"], \"crv\": \"P-256\"}]}",
		"{\"keys\": [{\"kty\": \"EC\", \"crv\": \"secp256k1\"}, {\"kty\": \"AKP\"}]}",
	};
	struct jwks *s;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		autobuf error = {.max = 1000};

		assert_null(jwks_parse_public(bad[i], strlen(bad[i]), NULL, &error));
		assert_true(error.len > 0);
	}
	/* Its issuer has no key any more by which a token could be good. */
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
		s = set_of(none[i]);
		assert_int_equal(s->n, 0);
		jwks_free(s);
	}
}

TEST(urls)
{
	static const char *const good[] = {
		"https://issuer.example/.well-known/jwks.json",
		"https://issuer.example",
		"https://issuer.example:8443/a?b=c&d=%20",
		"https://[2001:db8::1]:8443/keys",
		"https://10.0.0.7/keys",
		"http://127.0.0.1:8000/keys",
		"http://[::1]/keys",
		"http://localhost/keys",
	};
	static const char *const bad[] = {
		"",
		"https://",
		"https:///keys",
		"HTTPS://issuer.example",
		"ftp://issuer.example",
		"file:///etc/passwd",
		"http://issuer.example/",
		"http://127.0.0.1.example/",
		"http://127.0.0.2/",
		"https://anna@issuer.example/",
		"https://a:b@issuer.example/",
		"http://127.0.0.1@issuer.example/",
		"http://127.0.0.1\\@issuer.example/",
		"http://127.0.0.1:80@issuer.example/",
		"https://issuer.example:0/",
		"https://issuer.example:65536/",
		"https://issuer.example:/",
		"https://[::1/",
		"https://issuer.example/a b",
		"https://issuer.example/#keys",
		"https://issuer.example/\r\nHost: x",
		"https://issuer.example?x",
		"https://issuer.example/{1,2}",
		"https://issuer.example/\x7f",
		" https://x/",
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		if (!download_url_valid(good[i]))
			fail_msg("refused: %s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (download_url_valid(bad[i]))
			fail_msg("taken: %s", bad[i]);
}

TEST(max_age)
{
	static const struct {
		const char *text;
		int64_t s;
	} cases[] = {
		{"", -1},
		{"public", -1},
		{"max-age=300", 300},
		{"public, MAX-AGE = 5", -1},
		{"public, Max-Age=86400, must-revalidate", 86400},
		{"max-age=\"60\"", 60},
		{"no-store", 0},
		{"max-age=300, no-cache", 0},
		{"no-cache=\"x\"", -1},
		{"max-age=", -1},
		{"max-age=-1", -1},
		{"max-age=1e9", -1},
		{"s-maxage=7", -1},
		{"max-age=99999999999", INT32_MAX},
		{"max-age=99999999999999999999999", -1},
		{",,,=,max-age=1,", 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (download_max_age(cases[i].text, strlen(cases[i].text)) != cases[i].s)
			fail_msg("%s", cases[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_the_first), cmocka_unit_test(unknown_key),
		cmocka_unit_test(key_that_goes),    cmocka_unit_test(how_long_it_is_fresh),
		cmocka_unit_test(public_sets),	    cmocka_unit_test(urls),
		cmocka_unit_test(max_age),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
