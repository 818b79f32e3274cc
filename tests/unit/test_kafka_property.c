/* SPDX-License-Identifier: PostgreSQL
 * wire/kafka_property: the lines of a file, and which properties may stand there. */
#include "config.h"
#include "unit.h"

#include <string.h>

#include "wire/kafka_property.h"

static void expect(const char *text, const char *name, const char *value)
{
	struct kafka_property p;
	const char *why = NULL;

	assert_int_equal(kafka_property_next(&text, &p, &why), name != NULL);
	if (!name) {
		assert_non_null(why);
		return;
	}
	assert_string_equal(p.name, name);
	assert_string_equal(p.value, value);
	assert_false(kafka_property_next(&text, &p, &why));
	assert_null(why);
}

TEST(what_is_one)
{
	expect("client.id=a", "client.id", "a");
	expect("# x\n\n \t\n  client.id \t=  a = b \r\n#y", "client.id", "a = b");
	expect("sasl.password = #1\n", "sasl.password", "#1");
}

TEST(what_is_none)
{
	char large[3000] = "client.id = ";

	expect("client.id", NULL, NULL);
	expect("client.id =", NULL, NULL);
	expect("= a", NULL, NULL);
	expect("plugin.library.paths = a", NULL, NULL);
	expect("sasl.kerberos.kinit.cmd = a", NULL, NULL);
	expect("enable.auto.commit = true", NULL, NULL);
	expect("group.id = a", NULL, NULL);
	expect("Client.id = a", NULL, NULL);
	memset(large + 12, 'a', 2048);
	expect(large, NULL, NULL);
	large[12 + 2047] = '\0';
	expect(large, "client.id", large + 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_one),
		cmocka_unit_test(what_is_none),
	};

	return cmocka_run_group_tests_name("kafka_property", tests, NULL, NULL);
}
