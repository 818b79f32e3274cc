/* SPDX-License-Identifier: PostgreSQL
 * wire/dialect: the exact bytes that existing clients were written against. */
#include "config.h"
#include "unit.h"

#include "wire/dialect.h"

TEST(django)
{
	const struct dialect *d = &dialect_django;
	struct buf b;

	buf_init(&b, 1000);
	assert_string_equal(d->name, "django");
	d->hello(&b, NULL, 0);
	assert_string_equal(buf_cstr(&b), "{\"event\": \"connected\", \"message\": "
					  "\"SSE connection established\"}");
	buf_clear(&b);
	d->hello(&b, "a\"b", 30);
	assert_string_equal(buf_cstr(&b), "{\"event\": \"connected\", \"message\": "
					  "\"SSE connection established\", \"keepalive\": 30, "
					  "\"user\": \"a\\\"b\"}");
	buf_clear(&b);
	d->hello(&b, NULL, 1);
	assert_string_equal(buf_cstr(&b), "{\"event\": \"connected\", \"message\": "
					  "\"SSE connection established\", \"keepalive\": 1}");
	buf_clear(&b);
	d->event(&b, "estimate.updated", "{\"estimate_id\":7}", NULL, 1700000000);
	assert_string_equal(buf_cstr(&b), "{\"event\": \"estimate.updated\", \"data\": "
					  "{\"estimate_id\":7}, \"timestamp\": 1700000000}");
	buf_clear(&b);
	d->event(&b, "estimate.updated", "{}", "enter", 0);
	assert_string_equal(buf_cstr(&b), "{\"event\": \"estimate.updated\", \"data\": {}, "
					  "\"scope\": \"enter\", \"timestamp\": 0}");
	buf_clear(&b);
	d->event(&b, "a\"b.deleted", "null", "leave", -1);
	assert_string_equal(buf_cstr(&b), "{\"event\": \"a\\\"b.deleted\", \"data\": null, "
					  "\"scope\": \"leave\", \"timestamp\": -1}");
	buf_clear(&b);
	d->keepalive(&b, 4102444800);
	assert_string_equal(buf_cstr(&b), "{\"event\": \"keepalive\", \"timestamp\": 4102444800}");
	buf_clear(&b);
	d->resync(&b, "storm", "[\"estimate\"]", 5);
	assert_string_equal(buf_cstr(&b),
			    "{\"event\": \"system.resync\", \"data\": {\"reason\": \"storm\", "
			    "\"topics\": [\"estimate\"]}, \"timestamp\": 5}");
	assert_true(buf_ok(&b));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(django),
	};

	return cmocka_run_group_tests_name("dialect", tests, NULL, NULL);
}
