/* SPDX-License-Identifier: PostgreSQL
 * base/siphash: vectors of the reference implementation (key 00 01 … 0f, input 00 01 … of that
 * length). */
#include "config.h"
#include "unit.h"

#include "base/siphash.h"

TEST(vectors)
{
	static const uint64_t want[16] = {
		0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
		0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
		0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
		0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
	};
	const struct siphash_key key = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};
	unsigned char input[16];

	for (unsigned i = 0; i < 16; i++)
		input[i] = (unsigned char)i;
	for (size_t len = 0; len < 16; len++)
		assert_int_equal(siphash(&key, input, len), want[len]);
}

TEST(keys_differ)
{
	struct siphash_key a = siphash_key_new(), b = siphash_key_new();

	assert_memory_not_equal(&a, &b, sizeof(a));
	assert_int_not_equal(siphash(&a, "x", 1), siphash(&b, "x", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
		cmocka_unit_test(keys_differ),
	};

	return cmocka_run_group_tests_name("siphash", tests, NULL, NULL);
}
