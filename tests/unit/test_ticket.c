/* SPDX-License-Identifier: PostgreSQL
 * auth/ticket: what is sealed with one is opened with that one and no other. */
#include "config.h"
#include "unit.h"

#include <stdlib.h>

#include "auth/ticket.h"

TEST(names)
{
	char a[TICKET_SIZE + 1], b[TICKET_SIZE + 1], name[TICKET_NAME + 1], other[TICKET_NAME + 1];

	assert_true(ticket_make(a));
	assert_true(ticket_make(b));
	assert_int_equal(strlen(a), TICKET_SIZE);
	assert_string_not_equal(a, b);
	assert_true(ticket_plausible(a));
	assert_true(ticket_name(a, name));
	assert_true(ticket_name(b, other));
	assert_int_equal(strlen(name), TICKET_NAME);
	assert_string_not_equal(name, other);
	assert_false(ticket_plausible(""));
	assert_false(ticket_plausible("pgt_"));
	assert_false(ticket_plausible(name));
	a[0] = 'P';
	assert_false(ticket_plausible(a));
}

TEST(seals)
{
	char ticket[TICKET_SIZE + 1], other[TICKET_SIZE + 1], *door, *token;
	autobuf sealed = {.max = 65536}, again = {.max = 65536};
	autofree char *long_one = NULL;

	assert_true(ticket_make(ticket));
	assert_true(ticket_make(other));
	assert_true(ticket_seal(ticket, "jwt", "a.b.c", &sealed));
	assert_null(strstr(buf_cstr(&sealed), "jwt"));
	assert_true(ticket_open(ticket, buf_cstr(&sealed), &door, &token));
	assert_string_equal(door, "jwt");
	assert_string_equal(token, "a.b.c");
	free(door);
	free(token);
	assert_false(ticket_open(other, buf_cstr(&sealed), &door, &token));
	for (size_t i = 0; i < sealed.len; i++) { /* every change is seen */
		char was = sealed.data[i];

		sealed.data[i] = was == 'A' ? 'B' : 'A';
		assert_false(ticket_open(ticket, sealed.data, &door, &token));
		sealed.data[i] = '\0';
		assert_false(ticket_open(ticket, sealed.data, &door, &token));
		sealed.data[i] = was;
	}
	assert_true(ticket_seal(ticket, "", "", &again));
	assert_true(ticket_open(ticket, buf_cstr(&again), &door, &token));
	assert_string_equal(door, "");
	free(door);
	free(token);
	long_one = xcalloc(1, 16385);
	memset(long_one, 'x', 16384);
	assert_false(ticket_seal(ticket, "d", long_one, &again));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(seals),
	};

	return cmocka_run_group_tests_name("ticket", tests, NULL, NULL);
}
