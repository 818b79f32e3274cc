/* SPDX-License-Identifier: PostgreSQL
 * auth/handshake: RFC 6455's own example, and keys that are none. */
#include "config.h"
#include "unit.h"

#include "auth/handshake.h"

TEST(keys)
{
	static const char *const bad[] = {
		"",
		"dGhlIHNhbXBsZSBub25jZQ",
		"dGhlIHNhbXBsZSBub25jZQ=",
		"dGhlIHNhbXBsZSBub25jZQ===",
		"dGhlIHNhbXBsZSBub25jZQ==,dGhlIHNhbXBsZSBub25jZQ==",
		"dGhlIHNhbXBsZSBub25jZ===",
		"dGhlIHNhbXBsZSBub25jZ_==",
		"dGhlIHNhbXBsZSBub25jZSB=",
		"========================",
	};
	char out[HANDSHAKE_ACCEPT_MAX];

	assert_true(handshake_accept("dGhlIHNhbXBsZSBub25jZQ==", out));
	assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(handshake_accept(bad[i], out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(keys)};

	return cmocka_run_group_tests_name("handshake", tests, NULL, NULL);
}
