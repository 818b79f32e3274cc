/* SPDX-License-Identifier: PostgreSQL
 * web/tickets: so many that nobody has come for, in all, of a user, from an address. */
#include "config.h"
#include "unit.h"

#include <stdio.h>

#include "auth/ticket.h"
#include "conf.h"
#include "web/tickets.h"

static struct tickets tickets;
static struct conf conf;

static enum tally_reason give(unsigned number, const char *user, const char *from, uint64_t now_ms)
{
	char name[TICKET_NAME + 1];
	struct address a;

	snprintf(name, sizeof(name), "%064x", number);
	assert_true(address_parse(&a, from, strlen(from)));
	return tickets_give(&tickets, &conf, name, user, &a, now_ms);
}

static void forget(unsigned number)
{
	char name[TICKET_NAME + 1];

	snprintf(name, sizeof(name), "%064x", number);
	tickets_forget(&tickets, name);
}

TEST(each_limit)
{
	tickets_init(&tickets);
	conf = (struct conf){
		.max_tickets = 4, .max_tickets_per_user = 2, .max_tickets_per_address = 3};
	assert_int_equal(give(1, "a", "192.0.2.1", 0), N_TALLIES);
	assert_int_equal(give(2, "a", "192.0.2.2", 0), N_TALLIES);
	assert_int_equal(give(3, "a", "192.0.2.3", 0), TALLY_USER_TICKETS);
	assert_int_equal(give(4, "192.0.2.1", "192.0.2.1", 0), N_TALLIES);
	assert_int_equal(give(5, "c", "192.0.2.1", 0), N_TALLIES);
	assert_int_equal(give(6, "d", "192.0.2.1", 0), TALLY_ADDRESS_TICKETS);
	assert_int_equal(give(7, "d", "192.0.2.9", 0), TALLY_TICKETS);
	assert_int_equal(tickets.n, 4); /* who is refused holds none */
	forget(2);
	forget(2);
	forget(99);
	assert_int_equal(give(8, "a", "192.0.2.9", 0), N_TALLIES);
	tickets_free(&tickets);
}

TEST(they_end)
{
	tickets_init(&tickets);
	conf = (struct conf){.max_tickets_per_user = 1};
	assert_int_equal(give(1, "a", "192.0.2.1", 1000), N_TALLIES);
	assert_int_equal(give(2, "a", "192.0.2.1", 30999), TALLY_USER_TICKETS);
	assert_int_equal(give(3, "a", "192.0.2.1", 31000), N_TALLIES);
	assert_int_equal(tickets.n, 1);
	conf.max_tickets_per_user = 0; /* any number */
	for (unsigned i = 4; i < 10000; i++)
		assert_int_equal(give(i, "a", "192.0.2.1", 31000), N_TALLIES);
	assert_int_equal(give(10000, "a", "192.0.2.1", 61000), N_TALLIES);
	assert_int_equal(tickets.n, 1);
	tickets_free(&tickets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_limit),
		cmocka_unit_test(they_end),
	};

	return cmocka_run_group_tests_name("tickets", tests, NULL, NULL);
}
