/* SPDX-License-Identifier: PostgreSQL
 * auth/jwt and auth/jwk: tokens that other software signed are read, and no variant of one is. */
#include "config.h"
#include "unit.h"

#include <json-c/json.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "auth/base64url.h"
#include "auth/jwt.h"
#include "jwt_tokens.h"

#define NOW ((int64_t)1800000000)
#define EXP ((int64_t)2000000000)
#define NBF ((int64_t)1700000000)

static const struct jwt_rule any_rule = {0};

static struct jwks *set_of(const char *text, const char *rsa)
{
	autobuf error = {0};
	struct jwks *s;

	buf_init(&error, 1000);
	s = jwks_parse(text, strlen(text), rsa, &error);
	if (!s)
		fail_msg("%s", buf_cstr(&error));
	return s;
}

static struct jwks *secret_of(const char *alg)
{
	autobuf error = {0};
	struct jwks *s;

	buf_init(&error, 1000);
	s = jwks_from_secret(TOKEN_SECRET, strlen(TOKEN_SECRET), alg, &error);
	if (!s)
		fail_msg("%s", buf_cstr(&error));
	return s;
}

static const char *token_of(const char *alg)
{
	for (size_t i = 0; i < N_TOKENS; i++)
		if (!strcmp(tokens[i].alg, alg))
			return tokens[i].token;
	fail_msg("no token of %s", alg);
	return NULL;
}

/* Verifies a copy that ends where the memory does: a sanitizer sees one byte too far. */
static enum jwt_verdict verdict_of(const struct jwks *keys, const struct jwt_rule *rule,
				   const char *token, size_t len, int64_t now)
{
	char *exact = xcalloc(1, len ? len : 1);
	struct jwt t = {0};
	enum jwt_verdict v;

	memcpy(exact, token, len);
	v = jwt_verify(keys, rule, exact, len, now, &t);
	free(exact);
	assert_true((v == JWT_OK) == (t.payload != NULL));
	jwt_clear(&t);
	return v;
}

static void expect(const struct jwks *keys, const struct jwt_rule *rule, const char *token,
		   int64_t now, enum jwt_verdict want)
{
	enum jwt_verdict v = verdict_of(keys, rule, token, strlen(token), now);

	if (v != want)
		fail_msg("%.60s... is %s and not %s", token, jwt_verdict_name(v),
			 jwt_verdict_name(want));
}

static struct jwks *keys_for(const char *alg)
{
	return *alg == 'H' ? secret_of(alg) : set_of(jwks_text, alg);
}

TEST(every_algorithm)
{
	for (size_t i = 0; i < N_TOKENS; i++) {
		struct jwks *keys = keys_for(*tokens[i].alg == 'E' ? "RS256" : tokens[i].alg);

		expect(keys, &any_rule, tokens[i].token, NOW, JWT_OK);
		jwks_free(keys);
	}
}

/* The algorithm belongs to the key: RFC 8725 section 3.1. */
TEST(no_key_serves_another_algorithm)
{
	for (size_t i = 0; i < N_TOKENS; i++)
		for (size_t k = 0; k < N_TOKENS; k++) {
			bool curves = *tokens[i].alg == 'E' && *tokens[k].alg != 'H';
			struct jwks *keys;
			enum jwt_verdict v;

			if (i == k || curves || *tokens[k].alg == 'E')
				continue; /* the set has all curves */
			keys = keys_for(tokens[k].alg);
			v = verdict_of(keys, &any_rule, tokens[i].token, strlen(tokens[i].token),
				       NOW);
			assert_true(v == JWT_ALGORITHM || v == JWT_KEY);
			jwks_free(keys);
		}
}

TEST(one_bit)
{
	struct rng rng = rng_new();

	for (size_t i = 0; i < N_TOKENS; i++) {
		struct jwks *keys = keys_for(*tokens[i].alg == 'E' ? "RS256" : tokens[i].alg);
		size_t len = strlen(tokens[i].token);
		autofree char *copy = xstrdup(tokens[i].token);

		for (size_t n = 0; n < 300; n++) {
			size_t at = rng_below(&rng, len);
			char was = copy[at];

			copy[at] = (char)(was ^ (1 << rng_below(&rng, 8)));
			assert_int_not_equal(verdict_of(keys, &any_rule, copy, len, NOW), JWT_OK);
			copy[at] = was;
		}
		for (size_t cut = 0; cut < len; cut++)
			assert_int_not_equal(verdict_of(keys, &any_rule, copy, cut, NOW), JWT_OK);
		jwks_free(keys);
	}
}

/* HEAD.PAYLOAD with whatever signature. */
static char *forge(const char *head, const char *payload, const char *signature)
{
	autofree char *h = xcalloc(1, BASE64URL_DIGITS(strlen(head)) + 1);
	autofree char *p = xcalloc(1, BASE64URL_DIGITS(strlen(payload)) + 1);

	base64url_encode(h, (const unsigned char *)head, strlen(head));
	base64url_encode(p, (const unsigned char *)payload, strlen(payload));
	return xasprintf("%s.%s.%s", h, p, signature);
}

TEST(forgeries)
{
	static const struct {
		const char *head, *signature;
		enum jwt_verdict want;
	} cases[] = {
		{"{\"alg\":\"none\"}", "", JWT_ALGORITHM},
		{"{\"alg\":\"None\"}", "", JWT_ALGORITHM},
		{"{\"alg\":\"none\",\"kid\":\"rsa\"}", "", JWT_ALGORITHM},
		{"{\"alg\":\"hs256\"}", "AA", JWT_ALGORITHM},
		{"{\"alg\":\"HS256\"}", "", JWT_SIGNATURE},
		{"{\"alg\":\"HS256\"}", "=", JWT_SIGNATURE},
		{"{\"alg\":\"RS256\"}", "", JWT_SIGNATURE},
		{"{\"alg\":\"ES256\"}", "AA", JWT_SIGNATURE},
		/* r = s = 0: CVE-2022-21449 */
		{"{\"alg\":\"ES256\"}",
		 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		 "AA"
		 "AAA",
		 JWT_SIGNATURE},
		{"{\"alg\":\"ES256\",\"kid\":\"new\"}", "AA", JWT_KEY},
		{"{\"alg\":\"RS256\",\"crit\":[\"b64\"],\"b64\":false}", "AA", JWT_MALFORMED},
		{"{\"alg\":\"RS256\",\"crit\":[]}", "AA", JWT_MALFORMED},
		{"{\"alg\":256}", "AA", JWT_MALFORMED},
		{"{\"alg\":\"RS256\",\"kid\":7}", "AA", JWT_MALFORMED},
		{"{}", "AA", JWT_MALFORMED},
		{"[]", "AA", JWT_MALFORMED},
		{"\"RS256\"", "AA", JWT_MALFORMED},
		{"{\"alg\":\"RS256\"", "AA", JWT_MALFORMED},
	};
	struct jwks *set = set_of(jwks_text, NULL), *secret = secret_of("HS256");

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		autofree char *token = forge(cases[i].head, "{\"sub\":\"1\",\"exp\":2000000000}",
					     cases[i].signature);
		bool mac = strstr(cases[i].head, "HS256") != NULL;

		expect(mac ? secret : set, &any_rule, token, NOW, cases[i].want);
	}
	/* A public key as a secret, the oldest of them all. */
	expect(set, &any_rule, token_of("HS256"), NOW, JWT_KEY);
	expect(set, &any_rule, "..", NOW, JWT_MALFORMED);
	expect(set, &any_rule, "", NOW, JWT_MALFORMED);
	expect(set, &any_rule, "a.b", NOW, JWT_MALFORMED);
	expect(set, &any_rule, "a.b.c.d.e", NOW, JWT_MALFORMED);
	jwks_free(set);
	jwks_free(secret);
}

TEST(other_spellings_are_no_tokens)
{
	struct jwks *keys = secret_of("HS256");
	const char *token = token_of("HS256");
	autofree char *padded = xasprintf("%s=", token), *twice = xasprintf("%s.", token),
		      *before = xasprintf(" %s", token), *behind = xasprintf("%s\n", token);
	autofree char *long_one = xcalloc(1, JWT_MAX + 2);

	expect(keys, &any_rule, padded, NOW, JWT_SIGNATURE);
	expect(keys, &any_rule, twice, NOW, JWT_MALFORMED);
	expect(keys, &any_rule, before, NOW, JWT_MALFORMED);
	expect(keys, &any_rule, behind, NOW, JWT_SIGNATURE);
	memset(long_one, 'a', JWT_MAX + 1);
	long_one[5] = long_one[9] = '.';
	expect(keys, &any_rule, long_one, NOW, JWT_MALFORMED);
	assert_false(jwt_plausible(long_one));
	long_one[JWT_MAX] = '\0';
	assert_true(jwt_plausible(long_one));
	assert_true(jwt_plausible(token));
	assert_false(jwt_plausible(padded));
	assert_false(jwt_plausible(twice));
	assert_false(jwt_plausible(before));
	assert_false(jwt_plausible(".a.b"));
	assert_false(jwt_plausible("9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b"));
	jwks_free(keys);
}

TEST(times)
{
	struct jwks *keys = secret_of("HS256");
	const char *token = token_of("HS256");
	struct jwt_rule rule = {0};

	expect(keys, &rule, token, EXP - 1, JWT_OK);
	expect(keys, &rule, token, EXP, JWT_EXPIRED); /* "on or after": RFC 7519 section 4.1.4 */
	expect(keys, &rule, token, NBF, JWT_OK);
	expect(keys, &rule, token, NBF - 1, JWT_EARLY);
	rule.leeway_s = 30;
	expect(keys, &rule, token, EXP + 29, JWT_OK);
	expect(keys, &rule, token, EXP + 30, JWT_EXPIRED);
	expect(keys, &rule, token, NBF - 30, JWT_OK);
	expect(keys, &rule, token, NBF - 31, JWT_EARLY);
	jwks_free(keys);
}

TEST(issuer_and_audience)
{
	struct jwks *keys = set_of(jwks_text, NULL);
	const char *token = token_of("ES256");
	struct jwt_rule rule = {.issuer = "https://issuer.example"};

	expect(keys, &rule, token, NOW, JWT_OK);
	rule.issuer = "https://issuer.example/";
	expect(keys, &rule, token, NOW, JWT_ISSUER);
	rule.issuer = NULL;
	rule.audience = "app";
	expect(keys, &rule, token, NOW, JWT_OK);
	rule.audience = "other";
	expect(keys, &rule, token, NOW, JWT_OK);
	rule.audience = "ap";
	expect(keys, &rule, token, NOW, JWT_AUDIENCE);
	jwks_free(keys);
}

static char *sign(const char *payload)
{
	static const char head[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
	autofree char *open = forge(head, payload, "");
	unsigned char mac[32];
	char digits[BASE64URL_DIGITS(32) + 1];
	unsigned n = 0;

	open[strlen(open) - 1] = '\0';
	assert_non_null(HMAC(EVP_sha256(), TOKEN_SECRET, (int)strlen(TOKEN_SECRET),
			     (const unsigned char *)open, strlen(open), mac, &n));
	base64url_encode(digits, mac, n);
	return xasprintf("%s.%s", open, digits);
}

TEST(signed_and_yet_wrong)
{
	static const struct {
		const char *payload;
		enum jwt_verdict want;
	} cases[] = {
		{"{\"exp\":2000000000}", JWT_OK},
		{"{\"exp\":2000000000.5}", JWT_OK},
		{"{\"exp\":2000000000,\"nbf\":1.5}", JWT_OK},
		{"{}", JWT_EXPIRED}, /* a token without end is one that nobody can end */
		{"{\"exp\":null}", JWT_MALFORMED},
		{"{\"exp\":\"2000000000\"}", JWT_MALFORMED},
		{"{\"exp\":-1}", JWT_MALFORMED},
		{"{\"exp\":1e300}", JWT_MALFORMED},
		{"{\"exp\":99999999999999999999}", JWT_MALFORMED},
		{"{\"exp\":9223372036854775807}", JWT_MALFORMED},
		{"{\"exp\":true}", JWT_MALFORMED},
		{"{\"exp\":2000000000,\"nbf\":\"x\"}", JWT_MALFORMED},
		{"{\"exp\":2000000000,\"nbf\":1.5e30}", JWT_MALFORMED}, /* is not 1 */
		{"{\"exp\":2000000000,\"nbf\":1e0}", JWT_MALFORMED},
		{"{\"exp\":2000000000.5e-9}", JWT_MALFORMED}, /* ended long ago */
		{"{\"exp\":2000000000.5E1}", JWT_MALFORMED},
		{"[2000000000]", JWT_MALFORMED},
		{"2000000000", JWT_MALFORMED},
		{"{\"exp\":2000000000", JWT_MALFORMED},
		{"", JWT_MALFORMED},
	};
	struct jwks *keys = secret_of("HS256");
	struct jwt_rule endless = {.endless = true};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		autofree char *token = sign(cases[i].payload);

		expect(keys, &any_rule, token, NOW, cases[i].want);
	}
	autofree char *token = sign("{}");
	expect(keys, &endless, token, NOW, JWT_OK);
	jwks_free(keys);
}

static void expect_claim(const struct jwt *t, const char *path, const char *want)
{
	autobuf text = {0};

	buf_init(&text, 100);
	if (jwt_claim_text(t, path, &text) != (want != NULL))
		fail_msg("%s", path);
	if (want)
		assert_string_equal(buf_cstr(&text), want);
}

TEST(claims)
{
	struct jwks *keys = secret_of("HS256");
	const char *token = token_of("HS256");
	struct jwt t = {0};
	struct scan value;

	assert_int_equal(jwt_verify(keys, &any_rule, token, strlen(token), NOW, &t), JWT_OK);
	assert_int_equal(t.exp, EXP);
	expect_claim(&t, "sub", "42");
	expect_claim(&t, "user_id", "7");
	expect_claim(&t, "\"https://a.example/role\"", "manager");
	expect_claim(&t, "realm_access.roles", NULL); /* there, but no text */
	assert_true(jwt_claim(&t, "realm_access.roles", &value));
	assert_true(jwt_claim(&t, "\"realm_access\".roles", &value));
	expect_claim(&t, "realm_access.nothing", NULL);
	expect_claim(&t, "sub.x", NULL);
	expect_claim(&t, "", NULL);
	expect_claim(&t, ".sub", NULL);
	expect_claim(&t, "sub.", NULL);
	expect_claim(&t, "\"sub", NULL);
	jwt_clear(&t);
	jwks_free(keys);
}

/* --- keys ---------------------------------------------------------------------------------- */

static void expect_no_set(const char *text, const char *want)
{
	autobuf error = {0};
	struct jwks *s;

	buf_init(&error, 1000);
	s = jwks_parse(text, strlen(text), NULL, &error);
	if (s || !strstr(buf_cstr(&error), want))
		fail_msg("%s\nsaid: %s\nnot:  %s", text, buf_cstr(&error), want);
}

TEST(sets_that_are_none)
{
	expect_no_set("", "no JSON");
	expect_no_set("{\"keys\":", "no JSON");
	expect_no_set("[]", "broken");
	expect_no_set("{\"keys\":[]}", "no key");
	expect_no_set("{\"keys\":[7]}", "key 1 of the set is broken");
	expect_no_set("{\"kty\":\"new\"}", "no key");
	expect_no_set("{\"kty\":\"oct\",\"k\":\"c2hvcnQ\"}", "32 bytes");
	expect_no_set("{\"kty\":\"RSA\",\"n\":\"zmA8\",\"e\":\"AQAB\"}", "");
	expect_no_set("{\"kty\":\"RSA\",\"n\":\"zmA8\",\"e\":\"AQ\"}", "broken");
	/* a point off its curve */
	expect_no_set("{\"kty\":\"EC\",\"crv\":\"P-256\","
		      "\"x\":\"l7fOXWaVqO-t7kgcRkHQPe9d_iV79UdgCgwrPHV9dzQ\","
		      "\"y\":\"AUAP5t0sNIhXRTNguZVTSxKvpCTQy2PlFLfQGLOOa5s\"}",
		      "broken");
	expect_no_set("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}", "broken");
	/* a key for one algorithm that says another */
	expect_no_set("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"HS256\","
		      "\"x\":\"wtsRIY9wpv-dtgTA4KdzoxeG4mpDxieeuXs3X1uohVI\"}",
		      "broken");
	expect_no_set("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"use\":\"enc\","
		      "\"x\":\"wtsRIY9wpv-dtgTA4KdzoxeG4mpDxieeuXs3X1uohVI\"}",
		      "no key");
}

TEST(keys_of_other_kinds_are_passed_over)
{
	struct jwks *s = set_of("{\"keys\":[{\"kty\":\"new\"},"
				"{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AA\",\"y\":\"AA\"},"
				"{\"kty\":\"RSA\",\"use\":\"enc\"},"
				"{\"kty\":\"RSA\",\"key_ops\":[\"encrypt\"]},"
				"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"key_ops\":[\"verify\"],"
				"\"x\":\"wtsRIY9wpv-dtgTA4KdzoxeG4mpDxieeuXs3X1uohVI\"}]}",
				NULL);

	assert_int_equal(s->n, 1);
	expect(s, &any_rule, token_of("EdDSA"), NOW, JWT_OK); /* without a kid it is any key's */
	jwks_free(s);
}

static void expect_pem(const char *text, const char *alg, const char *token, const char *complaint)
{
	autobuf error = {0};
	struct jwks *s;

	buf_init(&error, 1000);
	s = jwks_from_pem(text, strlen(text), alg, &error);
	if ((s != NULL) != !complaint || (complaint && !strstr(buf_cstr(&error), complaint)))
		fail_msg("%s", buf_cstr(&error));
	if (s)
		expect(s, &any_rule, token, NOW, JWT_OK);
	jwks_free(s);
}

TEST(pem)
{
	expect_pem(rsa_pem, NULL, token_of("RS256"), NULL);
	expect_pem(rsa_pem, "RS512", token_of("RS512"), NULL);
	expect_pem(rsa_pem, "PS256", token_of("PS256"), NULL);
	expect_pem(es256_certificate, NULL, token_of("ES256"), NULL);
	expect_pem(rsa_pem, "HS256", NULL, "not one for HS256");
	expect_pem(rsa_pem, "none", NULL, "not one for none");
	expect_pem(es256_certificate, "ES384", NULL, "not one for ES384");
	expect_pem(weak_pem, NULL, NULL, "2048");
	expect_pem("-----BEGIN PUBLIC KEY-----\n", NULL, NULL, "no public key");
	expect_pem("", NULL, NULL, "no public key");
}

TEST(secrets)
{
	autobuf error = {0};

	buf_init(&error, 1000);
	assert_null(jwks_from_secret(TOKEN_SECRET, 31, "HS256", &error));
	assert_null(jwks_from_secret(TOKEN_SECRET, 63, "HS512", &error));
	assert_null(jwks_from_secret(TOKEN_SECRET, 64, "RS256", &error));
	assert_null(jwks_from_secret(TOKEN_SECRET, 64, "none", &error));
}

/* --- vectors of others --------------------------------------------------------------------- */

static const char *member(struct json_object *o, const char *name)
{
	return json_object_get_string(json_object_object_get(o, name));
}

/* Two that are called invalid are byte for byte one that is called valid. */
static bool is_also_valid(struct json_object *tests, const char *jws)
{
	for (size_t i = 0; i < json_object_array_length(tests); i++) {
		struct json_object *t = json_object_array_get_idx(tests, i);

		if (!strcmp(member(t, "jws"), jws) && !strcmp(member(t, "result"), "valid"))
			return true;
	}
	return false;
}

/* Called valid there, and not taken here: a key for one algorithm under another name, and
 * characters that are none of base64url. */
static bool is_too_much(const char *comment)
{
	static const char *const known[] = {"Figure20", "Figure27",
					    "InvalidCharacterInsertedInHeader",
					    "InvalidCharacterInsertedInPayload"};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (!strcmp(comment, known[i]))
			return true;
	return false;
}

/* One group: a key and tokens that are valid under it or not. */
static size_t run_group(struct json_object *group)
{
	struct json_object *tests = json_object_object_get(group, "tests"), *key;
	autobuf error = {0};
	const char *text;
	struct jwks *s;

	if (!json_object_object_get_ex(group, "public", &key) &&
	    !json_object_object_get_ex(group, "private", &key))
		fail_msg("a group without a key");
	buf_init(&error, 1000);
	text = json_object_to_json_string(key);
	s = jwks_parse(text, strlen(text), NULL, &error);
	for (size_t i = 0; i < json_object_array_length(tests); i++) {
		struct json_object *t = json_object_array_get_idx(tests, i);
		const char *jws = member(t, "jws"), *want = member(t, "result");
		autofree char *payload = NULL;
		size_t n;
		enum jwt_verdict v = s ? jws_open(s, jws, strlen(jws), &payload, &n) : JWT_KEY;

		if (!strcmp(want, "invalid") && v == JWT_OK && !is_also_valid(tests, jws))
			fail_msg("taken: %s %s", member(t, "tcId"), member(t, "comment"));
		if (strcmp(want, "invalid") != 0 && v != JWT_OK &&
		    !is_too_much(member(t, "comment")))
			fail_msg("not taken: %s %s, %s (%s; %s)", member(t, "tcId"),
				 member(t, "comment"), want, s ? jwt_verdict_name(v) : "the key",
				 buf_cstr(&error));
	}
	jwks_free(s);
	return json_object_array_length(tests);
}

/* WYCHEPROOF names the directory testvectors_v1 of that project:
 * https://github.com/C2SP/wycheproof. All are tried, and none but those of is_too_much() is read
 * otherwise than there. */
TEST(wycheproof)
{
	static const struct {
		const char *name;
		size_t least; /* vectors in it in August 2026 */
	} files[] = {{"json_web_signature_test.json", 401}, {"json_web_key_test.json", 26}};
	const char *directory = getenv("WYCHEPROOF");

	if (!directory)
		skip();
	for (size_t k = 0; k < sizeof(files) / sizeof(*files); k++) {
		autofree char *path = xasprintf("%s/%s", directory, files[k].name);
		struct json_object *file = json_object_from_file(path), *groups;
		size_t n = 0;

		assert_non_null(file);
		groups = json_object_object_get(file, "testGroups");
		for (size_t i = 0; i < json_object_array_length(groups); i++)
			n += run_group(json_object_array_get_idx(groups, i));
		assert_true(n >= files[k].least);
		json_object_put(file);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_algorithm),
		cmocka_unit_test(no_key_serves_another_algorithm),
		cmocka_unit_test(one_bit),
		cmocka_unit_test(forgeries),
		cmocka_unit_test(other_spellings_are_no_tokens),
		cmocka_unit_test(times),
		cmocka_unit_test(issuer_and_audience),
		cmocka_unit_test(signed_and_yet_wrong),
		cmocka_unit_test(claims),
		cmocka_unit_test(sets_that_are_none),
		cmocka_unit_test(keys_of_other_kinds_are_passed_over),
		cmocka_unit_test(pem),
		cmocka_unit_test(secrets),
		cmocka_unit_test(wycheproof),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
