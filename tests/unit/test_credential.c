/* SPDX-License-Identifier: PostgreSQL
 * auth/credential: what counts as a token. */
#include "config.h"
#include "unit.h"

#include "auth/credential.h"

TEST(headers)
{
	static const struct {
		const char *header, *token;
	} cases[] = {
		{"Token abc", "abc"},	   {"token abc", "abc"},
		{"TOKEN abc", "abc"},	   {"Bearer abc", "abc"},
		{"bearer  abc", "abc"},	   {"Token ", ""},
		{"Token    ", ""},	   {"Token a b", "a b"},
		{"Token", NULL},	   {"Tokenabc", NULL},
		{"Token\tabc", NULL},	   {"Basic abc", NULL},
		{" Token abc", NULL},	   {"", NULL},
		{"Bearer", NULL},	   {"Token=abc", NULL},
		{"BearerToken abc", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *token = credential_from_header(cases[i].header);

		if (!cases[i].token)
			assert_null(token);
		else {
			assert_non_null(token);
			assert_string_equal(token, cases[i].token);
		}
	}
}

TEST(plausible_tokens)
{
	char longest[TOKEN_MAX + 2];

	memset(longest, 'x', sizeof(longest));
	longest[TOKEN_MAX] = '\0';
	assert_true(credential_plausible(longest));
	longest[TOKEN_MAX] = 'x';
	longest[TOKEN_MAX + 1] = '\0';
	assert_false(credential_plausible(longest));
	assert_false(credential_plausible(""));
	for (int c = 1; c < 256; c++) { /* every byte there is */
		char token[] = {'a', (char)c, 'b', '\0'};

		assert_int_equal(credential_plausible(token), c > ' ' && c < 0x7f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers),
		cmocka_unit_test(plausible_tokens),
	};

	return cmocka_run_group_tests_name("credential", tests, NULL, NULL);
}
