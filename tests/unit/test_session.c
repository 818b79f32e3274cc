/* SPDX-License-Identifier: PostgreSQL
 * auth/session: rows of django_session as Django 3.2 wrote them, and what must not be taken for
 * one. */
#include "config.h"
#include "unit.h"

#include <zlib.h>

#include "auth/session.h"
#include "sign.h"

#define SALT "django.contrib.sessions.SessionStore"
#define KEY  "pgherald-test-secret"
#define HASH "a82ad04e0446fb61e8b8cdf4bcc50b4889fe8a32751aee4f7d078e89b1c6533c"

/* Written by Django: user 42 under KEY, deflated and not, then other keys, stores and formats. */
static const char deflated[] =
	".eJxVjEEOgjAQRe_StWkKDHRw6d4zNDPTqUVNSSisjHdXEha6_e-9_zKBtjWHreoSpmjOBlpz-h2Z5KFlJ_"
	"FO5TZbmcu6"
	"TGx3xR602usc9Xk53L-DTDV_a8KWogN1AEPioVFklJiARXrHgDgmRepa3zekCslH51Fx5EaGvuvEvD8jqjih:"
	"1r31eq:"
	"AgAllKXHzckmaFp11n60ZGEzLYxK-gOU6au8wXnTmTs";
#define PLAIN                                                                                      \
	"eyJfYXV0aF91c2VyX2lkIjoiNDIiLCJfYXV0aF91c2VyX2JhY2tlbmQiOiJiIiwiX2F1dGhfdXNlcl9oYXNoIjoi" \
	"YTgyYWQwNGUwNDQ2ZmI2MWU4YjhjZGY0YmNjNTBiNDg4OWZlOGEzMjc1MWFlZTRmN2QwNzhlODliMWM2NTMzYyJ9" \
	":1r31eq:"
static const char plain[] = PLAIN "AcXLlG36ooVR5kmyRNO48batKitA8zlMjFVJeKRvtps";
static const char old_key[] = PLAIN "aqB4I9K5KTmAOmruHV-vGYg_ZnR5Ii7PvCaJ-N6cVe0";
static const char other_store[] = PLAIN "xdGLgSWdKFbb8VzAzmnAVhoWPfXTEveFRIE2hKem0ic";
static const char anonymous[] =
	"eyJfYXV0aF91c2VyX2lkIjoiNDIifQ:1r31eq:F8cMUDKAxTPWsrYu86w8ZLx7znzbUKkC3CgjxeE2diU";
static const char before_3_1[] = "Yjk0YmJjNTdiZDgxOTliNTgyN2MzOGZiYWZiOTI1NWMzNzcwOWI1MTp7Il9hdXRoX"
				 "3VzZXJfaWQiOiI0MiIsIl9hdXRo"
				 "X3VzZXJfYmFja2VuZCI6ImRqYW5nby5jb250cmliLmF1dGguYmFja2VuZHMuTW9kZ"
				 "WxCYWNrZW5kIiwiX2F1dGhfdXNl"
				 "cl9oYXNoIjoiYTgyYWQwNGUwNDQ2ZmI2MWU4YjhjZGY0YmNjNTBiNDg4OWZlOGEzM"
				 "jc1MWFlZTRmN2QwNzhlODliMWM2"
				 "NTMzYyJ9";

static struct secrets *keys(const char *text, const char *salt)
{
	autobuf error = {0};
	struct secrets *s;

	buf_init(&error, 1000);
	s = secrets_parse(text, strlen(text), salt, &error);
	assert_non_null(s);
	return s;
}

static void expect(const struct secrets *s, const char *data, size_t len, enum session_verdict want)
{
	struct session out = {0};
	char *exact = xcalloc(1, len ? len : 1); /* a sanitizer sees one byte too far */

	memcpy(exact, data, len);
	assert_int_equal(session_read(s, exact, len, &out), want);
	free(exact);
	if (want == SESSION_OK) {
		assert_string_equal(out.user_id, "42");
		assert_true(session_hash_is(&out, HASH));
	} else {
		assert_null(out.user_id);
		assert_null(out.auth_hash);
	}
	session_clear(&out);
}

static void expect_text(const struct secrets *s, const char *data, enum session_verdict want)
{
	expect(s, data, strlen(data), want);
}

TEST(what_django_wrote)
{
	struct secrets *s = keys(KEY, SALT);

	expect_text(s, deflated, SESSION_OK);
	expect_text(s, plain, SESSION_OK);
	expect_text(s, anonymous, SESSION_ANONYMOUS);
	expect_text(s, old_key, SESSION_FOREIGN);
	expect_text(s, other_store, SESSION_FOREIGN);
	expect_text(s, before_3_1, SESSION_FOREIGN);
	secrets_free(s);
	s = keys(KEY, "shop.sessions.Store");
	expect_text(s, other_store, SESSION_OK);
	expect_text(s, plain, SESSION_FOREIGN);
	secrets_free(s);
	s = keys("the new one\n" KEY "\n old #key \n", SALT);
	expect_text(s, plain, SESSION_OK);
	expect_text(s, old_key, SESSION_OK);
	secrets_free(s);
	s = keys("the new one\nanother\n", SALT);
	expect_text(s, plain, SESSION_FOREIGN);
	secrets_free(s);
}

TEST(every_changed_byte_is_noticed)
{
	struct secrets *s = keys(KEY, SALT);
	char text[sizeof(deflated)];

	for (size_t i = 0; i < sizeof(deflated) - 1; i++) {
		memcpy(text, deflated, sizeof(text));
		text[i] ^= 1;
		expect_text(s, text, SESSION_FOREIGN);
		text[i] = '\0';
		expect(s, text, sizeof(text) - 1, SESSION_FOREIGN);
		expect(s, deflated, i, SESSION_FOREIGN); /* cut off */
	}
	expect(s, deflated, sizeof(deflated), SESSION_FOREIGN); /* the NUL too */
	secrets_free(s);
}

/* Signs "PAYLOAD:TIME" as it stands. */
static void expect_signed(const struct secrets *s, const char *text, enum session_verdict want)
{
	autofree char *data = sign_text(s, text, strlen(text));

	expect_text(s, data, want);
}

TEST(signed_rubbish)
{
	struct secrets *s = keys(KEY, SALT);

	expect_signed(s, "", SESSION_BROKEN);
	expect_signed(s, ":", SESSION_BROKEN);
	expect_signed(s, "e30", SESSION_BROKEN);
	expect_signed(s, "e30:", SESSION_BROKEN);
	expect_signed(s, "e30:1_", SESSION_BROKEN);
	expect_signed(s, "e30:1", SESSION_ANONYMOUS); /* {} */
	expect_signed(s, "e:1", SESSION_BROKEN);
	expect_signed(s, "e30=:1", SESSION_BROKEN);
	expect_signed(s, "e3+0:1", SESSION_BROKEN);
	expect_signed(s, "W10:1", SESSION_BROKEN);  /* [] */
	expect_signed(s, "ew:1", SESSION_BROKEN);   /* { */
	expect_signed(s, "gASV:1", SESSION_BROKEN); /* pickle */
	expect_signed(s, ".:1", SESSION_BROKEN);
	expect_signed(s, ".e30:1", SESSION_BROKEN);
	secrets_free(s);
}

static void expect_json(const struct secrets *s, const char *json, size_t len, bool deflate_it,
			enum session_verdict want)
{
	autofree unsigned char *z = xcalloc(1, len + 1000);
	uLongf n = (uLongf)len + 1000;
	autofree char *data = NULL;
	autobuf text = {0};

	buf_init(&text, 1 << 24);
	if (deflate_it) {
		assert_int_equal(compress(z, &n, (const unsigned char *)json, (uLong)len), Z_OK);
		buf_char(&text, '.');
		sign_base64(&text, z, n);
	} else {
		sign_base64(&text, json, len);
	}
	buf_str(&text, ":1r31eq");
	data = sign_text(s, buf_cstr(&text), text.len);
	expect_text(s, data, want);
}

#define WHO(id)                                                                                    \
	"{\"_auth_user_id\":" id ",\"_auth_user_backend\":\"b\",\"_auth_user_hash\":\"" HASH "\"}"

TEST(members)
{
	static const struct {
		const char *json;
		enum session_verdict want;
	} cases[] = {
		{WHO("\"42\""), SESSION_OK},
		{"{\"cart\":[1,{\"a\":null}],\"_auth_user_id\":\"42\",\"_auth_user_backend\":\"b\","
		 "\"_auth_user_hash\":\"" HASH "\"}",
		 SESSION_OK},
		{WHO("42"), SESSION_ANONYMOUS}, /* Django keeps it as text */
		{WHO("null"), SESSION_ANONYMOUS},
		{WHO("\"\""), SESSION_ANONYMOUS},
		{WHO("\"42\\u0000\""), SESSION_ANONYMOUS},
		{WHO("[\"42\"]"), SESSION_ANONYMOUS},
		{"{\"_auth_user_id\":\"42\",\"_auth_user_hash\":\"" HASH "\"}", SESSION_ANONYMOUS},
		{"{\"_auth_user_id\":\"42\",\"_auth_user_backend\":\"b\"}", SESSION_ANONYMOUS},
		{"{\"_auth_user_backend\":\"b\",\"_auth_user_hash\":\"" HASH "\"}",
		 SESSION_ANONYMOUS},
		{"\"x\"", SESSION_BROKEN},
		{"null", SESSION_BROKEN},
		{"{\"a\":", SESSION_BROKEN},
		{"", SESSION_BROKEN},
	};
	struct secrets *s = keys(KEY, SALT);

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (int z = 0; z < 2; z++)
			expect_json(s, cases[i].json, strlen(cases[i].json), z, cases[i].want);
	secrets_free(s);
}

TEST(sizes)
{
	static const char tail[] = "\",\"_auth_user_id\":\"42\",\"_auth_user_backend\":\"b\","
				   "\"_auth_user_hash\":\"" HASH "\"}";
	struct secrets *s = keys(KEY, SALT);
	size_t big = (size_t)1 << 22;
	char *json = xcalloc(1, big);

	memset(json, 'x', big);
	memcpy(json, "{\"x\":\"", 6);
	memcpy(json + SESSION_JSON_MAX - sizeof(tail) + 1, tail, sizeof(tail) - 1);
	expect_json(s, json, SESSION_JSON_MAX, true, SESSION_OK);
	memset(json + 6, 'x', big - 6);
	memcpy(json + SESSION_JSON_MAX - sizeof(tail) + 2, tail, sizeof(tail) - 1);
	expect_json(s, json, SESSION_JSON_MAX + 1, true, SESSION_BROKEN);
	expect_json(s, json, big, true, SESSION_BROKEN);   /* 4 MB of 4 KB */
	expect_json(s, json, big, false, SESSION_FOREIGN); /* not even looked at */
	memset(json, '[', big);
	expect_json(s, json, SESSION_JSON_MAX, true, SESSION_BROKEN);
	free(json);
	secrets_free(s);
}

TEST(hashes)
{
	char hash[] = HASH, id[] = "42";
	struct session s = {id, hash};

	assert_true(session_hash_is(&s, HASH));
	assert_false(session_hash_is(&s, ""));
	assert_false(session_hash_is(&s, HASH "0"));
	assert_false(session_hash_is(&s, "a"));
	hash[63] = 'd';
	assert_false(session_hash_is(&s, HASH));
	*hash = '\0';
	assert_false(session_hash_is(&s, ""));
}

TEST(names)
{
	char name[SESSION_NAME_SIZE];

	assert_true(session_name(name, "abc"));
	assert_string_equal(name, "session:ba7816bf8f01cfea414140de5dae2223"
				  "b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_django_wrote),
		cmocka_unit_test(every_changed_byte_is_noticed),
		cmocka_unit_test(signed_rubbish),
		cmocka_unit_test(members),
		cmocka_unit_test(sizes),
		cmocka_unit_test(hashes),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
