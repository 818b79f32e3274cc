/* SPDX-License-Identifier: PostgreSQL
 * auth/credential: where a token is found, and what counts as one. */
#include "config.h"
#include "unit.h"

#include "auth/credential.h"

TEST(headers)
{
	static const struct {
		const char *header, *token;
	} cases[] = {
		{"Token abc", "abc"},
		{"token abc", "abc"},
		{"TOKEN abc", "abc"},
		{"Bearer abc", "abc"},
		{"bearer  abc", "abc"},
		{"Token ", ""},
		{"Token    ", ""},
		{"Token a b", "a b"},
		{"Token", ""},
		{"Tokenabc", NULL},
		{"Token\tabc", "\tabc"},
		{"Basic abc", NULL},
		{" Token abc", NULL},
		{"", NULL},
		{"Bearer", ""},
		{"Token=abc", NULL},
		{"BearerToken abc", NULL},
		{"API-Key abc", "abc"},
		{"ApiKey abc", NULL},
	};
	enum credential_scheme scheme = SCHEME_TOKEN;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *token = credential_from_header(cases[i].header, &scheme);

		if (!cases[i].token)
			assert_null(token);
		else {
			assert_non_null(token);
			assert_string_equal(token, cases[i].token);
		}
	}
	assert_non_null(credential_from_header("api-key x", &scheme));
	assert_int_equal(scheme, SCHEME_API_KEY);
	assert_non_null(credential_from_header("bearer x", &scheme));
	assert_int_equal(scheme, SCHEME_BEARER);
	assert_non_null(credential_from_header("token x", &scheme));
	assert_int_equal(scheme, SCHEME_TOKEN);
}

TEST(cookies)
{
	static const struct {
		const char *header, *value;
	} cases[] = {
		{"sessionid=abc", "abc"},
		{"csrftoken=x; sessionid=abc; theme=dark", "abc"},
		{"csrftoken=x;sessionid=abc;", "abc"},
		{" \t sessionid=abc \t ", "abc"},
		{"sessionid=\"abc\"", "abc"},
		{"sessionid=\"", "\""},
		{"sessionid=\"\"", ""},
		{"sessionid=", ""},
		{"sessionid=a=b", "a=b"},
		{"sessionid=abc; sessionid=def", "def"}, /* as Django: the last one */
		{"sessionid=a b", "a b"},
		{"sessionid", NULL},
		{"sessionid =abc", NULL},
		{"Sessionid=abc", NULL},
		{"xsessionid=abc", NULL},
		{"sessionidx=abc", NULL},
		{"x=sessionid=abc", NULL},
		{"x=\"; sessionid=abc; \"", "abc"}, /* a quote hides no semicolon */
		{"=sessionid", NULL},
		{";;; ;", NULL},
		{"", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t len = 12345;
		const char *value = credential_from_cookie(cases[i].header, "sessionid", &len);

		if (!cases[i].value) {
			assert_null(value);
			continue;
		}
		assert_non_null(value);
		assert_int_equal(len, strlen(cases[i].value));
		assert_memory_equal(value, cases[i].value, len);
	}
}

TEST(protocols)
{
	static const struct {
		const char *header, *token;
	} cases[] = {
		{"bearer.abc", "abc"},
		{"pgherald, bearer.abc", "abc"},
		{"pgherald,bearer.a.b.c", "a.b.c"},
		{" \tbearer.abc ,pgherald", "abc"},
		{"bearer.", ""},
		{"pgherald, bearer.", ""},
		{"pgherald", NULL},
		{"Bearer.abc", NULL},
		{"xbearer.abc", NULL},
		{",,,", NULL},
		{"", NULL},
		{"bearer., bearer.x", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t len = 12345;
		const char *token = credential_from_protocol(cases[i].header, &len);

		if (!cases[i].token) {
			assert_null(token);
			continue;
		}
		assert_non_null(token);
		assert_int_equal(len, strlen(cases[i].token));
		assert_memory_equal(token, cases[i].token, len);
	}
}

TEST(plausible_tokens)
{
	char longest[TOKEN_MAX + 2];

	memset(longest, 'x', sizeof(longest));
	longest[TOKEN_MAX] = '\0';
	assert_true(credential_plausible(longest, TOKEN_MAX));
	longest[TOKEN_MAX] = 'x';
	longest[TOKEN_MAX + 1] = '\0';
	assert_false(credential_plausible(longest, TOKEN_MAX));
	assert_false(credential_plausible("", TOKEN_MAX));
	for (int c = 1; c < 256; c++) { /* every byte there is */
		char token[] = {'a', (char)c, 'b', '\0'};

		assert_int_equal(credential_plausible(token, TOKEN_MAX), c > ' ' && c < 0x7f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers),
		cmocka_unit_test(cookies),
		cmocka_unit_test(protocols),
		cmocka_unit_test(plausible_tokens),
	};

	return cmocka_run_group_tests_name("credential", tests, NULL, NULL);
}
