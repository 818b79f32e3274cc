/* SPDX-License-Identifier: PostgreSQL
 * hub/room: a user has a quarter, all together have it all, and what is half said is in nobody
 * else's way. */
#include "config.h"
#include "unit.h"

#include "hub/room.h"

TEST(a_user_has_a_quarter_and_no_more)
{
	struct room r = {0};
	struct room_part a = {0}, b = {0}, c = {0};

	assert_true(room_take(&r, &a, "1", ROOM_SHARE - 1));
	assert_false(room_take(&r, &b, "1", 2));
	assert_true(room_take(&r, &b, "1", 1));
	assert_false(room_take(&r, &c, "1", 1));
	assert_true(room_take(&r, &c, "", ROOM_SHARE)); /* without a name, too */
	room_give(&r, &a);
	assert_int_equal(r.bytes, ROOM_SHARE + 1);
	assert_true(room_take(&r, &a, "1", ROOM_SHARE - 1));
	room_give(&r, &a);
	room_give(&r, &b);
	room_give(&r, &c);
	room_give(&r, &c); /* of none */
	assert_true(!r.bytes && !r.users);
	assert_false(room_take(&r, &a, "1", ROOM_SHARE + 1));
	assert_false(room_take(&r, &a, "1", SIZE_MAX));
	assert_true(room_take(&r, &a, "1", 0));
	assert_true(!r.bytes && !r.users && !a.user);
}

TEST(all_together_have_it_all)
{
	static const char *const users[] = {"1", "2", "3", "4"};
	struct room r = {0};
	struct room_part parts[4] = {{0}}, more = {0};

	for (size_t i = 0; i < 4; i++)
		assert_true(room_take(&r, &parts[i], users[i], ROOM_SHARE));
	assert_false(room_take(&r, &more, "5", 1));
	assert_true(room_take_half(&r, &more, "5", ROOM_SHARE));
	room_give(&r, &parts[2]);
	assert_false(room_take(&r, &parts[2], "5", 1));
	room_give(&r, &more);
	assert_true(room_take(&r, &more, "5", ROOM_SHARE));
	for (size_t i = 0; i < 4; i++)
		room_give(&r, &parts[i]);
	room_give(&r, &more);
	assert_true(!r.bytes && !r.users);
}

TEST(what_is_half_said_grows_and_ends)
{
	struct room r = {0};
	struct room_part half = {0}, other = {0}, body = {0};

	assert_true(room_take_half(&r, &half, "1", 512));
	assert_true(room_take_half(&r, &half, "1", ROOM_SHARE - 512));
	assert_int_equal(r.bytes, 0);
	assert_true(room_take_half(&r, &other, "1", 512));
	assert_false(room_take(&r, &body, "1", 1));
	assert_false(room_take_half(&r, &other, "1", 513)); /* it has lost what it had */
	assert_true(!other.user && room_take(&r, &body, "1", 512));
	assert_true(room_take_half(&r, &half, "1", 0));
	room_give(&r, &body);
	assert_true(!r.bytes && !r.users);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_user_has_a_quarter_and_no_more),
		cmocka_unit_test(all_together_have_it_all),
		cmocka_unit_test(what_is_half_said_grows_and_ends),
	};

	return cmocka_run_group_tests_name("room", tests, NULL, NULL);
}
