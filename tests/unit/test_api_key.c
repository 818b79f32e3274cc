/* SPDX-License-Identifier: PostgreSQL
 * auth/api_key: lines of a file, keys that are theirs, times; auth/place: where a door looks. */
#include "config.h"
#include "unit.h"

#include <stdlib.h>

#include "auth/api_key.h"
#include "auth/place.h"

/* SHA-256 of "0123456789abcdefghijklmnop". */
#define HASH "fb4e73c60c19dce8fa5f5a2d9b8e2af8ec7ba2ea5ae3bb01c1f8a48e36b56a3f"

static struct api_keys *parse(const char *text, struct buf *error)
{
	buf_clear(error);
	return api_keys_parse(text, strlen(text), error);
}

TEST(keys_of_ones_own)
{
	char key[API_KEY_SIZE + 1], other[API_KEY_SIZE + 1];
	autobuf line = {.max = 4096}, error = {.max = 4096};
	const struct api_key *found;
	struct api_keys *k;

	assert_true(api_key_make(key));
	assert_true(api_key_make(other));
	assert_int_equal(strlen(key), API_KEY_SIZE);
	assert_string_not_equal(key, other);
	assert_memory_equal(key, "pgh_", 4);
	assert_true(api_key_line(&line, key, "7", "manager", 1801353600, "a,b.*",
				 "the nightly import"));
	assert_null(strstr(buf_cstr(&line), key + 13)); /* the secret is not in it */
	k = parse(buf_cstr(&line), &error);
	assert_non_null(k);
	assert_int_equal(k->n, 1);
	found = api_keys_find(k, key);
	assert_non_null(found);
	assert_string_equal(found->user, "7");
	assert_string_equal(found->role, "manager");
	assert_int_equal(found->expires_s, 1801353600);
	assert_string_equal(found->channels, "a,b.*");
	assert_int_equal(strlen(found->prefix), 12);
	assert_null(api_keys_find(k, other));
	assert_true(api_keys_may_have(k, key));
	assert_false(api_keys_may_have(k, other));
	key[API_KEY_SIZE - 1] ^= 1; /* the same prefix */
	assert_true(api_keys_may_have(k, key));
	assert_null(api_keys_find(k, key));
	assert_null(api_keys_find(k, ""));
	api_keys_free(k);
}

TEST(foreign_keys)
{
	static const char key[] = "0123456789abcdefghijklmnop";
	autobuf line = {.max = 4096}, error = {.max = 4096};
	struct api_keys *k;

	assert_true(api_key_line(&line, key, "u", NULL, 0, NULL, NULL));
	assert_memory_equal(buf_cstr(&line), "012345 ", 7);
	assert_non_null(strstr(buf_cstr(&line), " u - -"));
	k = parse(buf_cstr(&line), &error);
	assert_non_null(api_keys_find(k, key));
	assert_null(api_keys_find(k, key)->role);
	assert_null(api_keys_find(k, key)->channels);
	api_keys_free(k);
}

TEST(files)
{
	static const struct {
		const char *text, *why; /* NULL: it is one */
	} cases[] = {
		{"", NULL},
		{"# nothing\n\n  \t\n\r\n", NULL},
		{"pgh_1 " HASH " u - -\r\n", NULL},
		{"pgh_1\t" HASH "  u\tr 2027-01-31 what it is for - really\n", NULL},
		{"pgh_1 " HASH " u -", "line 1 is not PREFIX"},
		{"\npgh_1 " HASH "0 u - -", "line 2 has no SHA-256"},
		{"pgh_1 FB4E u - -", "has no SHA-256"},
		{"pgh_1 " HASH " - r -", "has no user"},
		{"pgh_1 " HASH " u r tomorrow", "has no time"},
		{"0123456789abcdefg " HASH " u r -", "prefix of more than 16"},
		{"pgh_\xc3\xa9 " HASH " u r -", "visible ASCII"},
		{"pgh_1 " HASH " u - -\npgh_2 " HASH " v - -\n", "line 2 has the hash of another"},
	};
	autobuf error = {.max = 4096};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct api_keys *k = parse(cases[i].text, &error);

		if (cases[i].why) {
			assert_null(k);
			assert_non_null(strstr(buf_cstr(&error), cases[i].why));
		} else {
			assert_non_null(k);
		}
		api_keys_free(k);
	}
	buf_clear(&error);
	assert_null(api_keys_parse("pgh_1 \0", 7, &error));
	assert_non_null(strstr(buf_cstr(&error), "NUL"));
}

TEST(as_many_as_a_file_may_have)
{
	autobuf text = {.max = (size_t)1 << 21}, error = {.max = 4096};
	struct api_keys *k;

	for (unsigned i = 0; i <= API_KEYS_MAX; i++)
		buf_printf(&text, "k%u %064x u - -\n", i, i);
	k = api_keys_parse(buf_cstr(&text), text.len, &error);
	assert_null(k);
	assert_non_null(strstr(buf_cstr(&error), "4096"));
	k = api_keys_parse(buf_cstr(&text), text.len / 2, &error);
	assert_null(k); /* half a line at its end */
}

TEST(times)
{
	static const struct {
		const char *text;
		int64_t s; /* 0: none */
		const char *long_form;
	} cases[] = {
		{"2027-01-31", 1801353600, "2027-01-31T00:00:00Z"},
		{"2027-01-31T18:30:05Z", 1801420205, "2027-01-31T18:30:05Z"},
		{"2028-02-29", 1835395200, "2028-02-29T00:00:00Z"},
		{"2000-02-29", 951782400, "2000-02-29T00:00:00Z"},
		{"9999-12-31T23:59:59Z", 253402300799, "9999-12-31T23:59:59Z"},
		{"1970-01-02", 86400, "1970-01-02T00:00:00Z"},
		{"2027-02-29", 0, NULL},
		{"2100-02-29", 0, NULL},
		{"2027-13-01", 0, NULL},
		{"2027-00-01", 0, NULL},
		{"2027-01-00", 0, NULL},
		{"2027-04-31", 0, NULL},
		{"1969-12-31", 0, NULL},
		{"2027-01-31T24:00:00Z", 0, NULL},
		{"2027-01-31T18:30:05", 0, NULL},
		{"2027-01-31 18:30:05Z", 0, NULL},
		{"2027-1-31", 0, NULL},
		{"+027-01-31", 0, NULL},
		{"", 0, NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		autobuf text = {.max = 100};
		int64_t s = 0;

		assert_int_equal(api_key_time(cases[i].text, &s), cases[i].s != 0);
		if (!cases[i].s)
			continue;
		assert_int_equal(s, cases[i].s);
		api_key_add_time(&text, s);
		assert_string_equal(buf_cstr(&text), cases[i].long_form);
	}
}

TEST(places)
{
	static const struct {
		const char *text;
		enum place_kind kind;
		const char *name;
	} good[] = {
		{"authorization", PLACE_AUTHORIZATION, NULL},
		{"protocol", PLACE_PROTOCOL, NULL},
		{"query", PLACE_QUERY, "token"},
		{"query:api_key", PLACE_QUERY, "api_key"},
		{"cookie:access", PLACE_COOKIE, "access"},
		{"header:X-API-Key", PLACE_HEADER, "X-API-Key"},
	};
	static const char *const bad[] = {
		"",	  "Authorization",   "cookie",	   "header:",	 "header",
		"query:", "authorization:x", "protocol:x", "cookie:a b", "header:a:b",
		"quer",	  "queryx"};
	struct place a, b;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_true(place_parse(good[i].text, &a));
		assert_int_equal(a.kind, good[i].kind);
		assert_true(good[i].name ? !strcmp(a.name, good[i].name) : !a.name);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(place_parse(bad[i], &a));
	assert_true(place_parse("header:x-api-key", &a));
	assert_true(place_parse("header:X-API-KEY", &b));
	assert_true(place_same(&a, &b));
	assert_true(place_parse("cookie:a", &a));
	assert_true(place_parse("cookie:A", &b));
	assert_false(place_same(&a, &b));
	assert_true(place_parse("query:a", &b));
	assert_false(place_same(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_of_ones_own),
		cmocka_unit_test(foreign_keys),
		cmocka_unit_test(files),
		cmocka_unit_test(as_many_as_a_file_may_have),
		cmocka_unit_test(times),
		cmocka_unit_test(places),
	};

	return cmocka_run_group_tests_name("api_key", tests, NULL, NULL);
}
