/* SPDX-License-Identifier: PostgreSQL
 * web/lobby: who may come in, and who has to leave for it. */
#include "config.h"
#include "unit.h"

#include <sys/socket.h>
#include <unistd.h>

#include "web/caller.h"
#include "web/lobby.h"

#define N 40

static struct lobby lobby;
static struct guest guests[N];
static int ends[N]; /* the guests' other ends */

static struct address parse(const char *text)
{
	struct address a = {{0}};

	if (*text)
		assert_true(address_parse(&a, text, strlen(text)));
	return a;
}

/* How many had to leave for it. */
static unsigned come(int i, const char *from, uint64_t now)
{
	struct address a = parse(from);
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ends[i] = fds[1];
	return lobby_enter(&lobby, &guests[i], fds[0], &a, now);
}

static void go(int i)
{
	lobby_leave(&lobby, &guests[i]);
	close(guests[i].fd);
	close(ends[i]);
}

/* Its socket is shut down, and nobody else's. */
static bool shown_the_door(int i)
{
	char c;
	bool end = recv(ends[i], &c, 1, MSG_DONTWAIT) == 0;

	assert_int_equal(end, guests[i].evicted);
	return end;
}

static bool ask(int i, const char *as)
{
	struct address a = parse(as);

	return lobby_ask(&lobby, &guests[i], &a);
}

static int start(void **state)
{
	(void)state;
	lobby_init(&lobby);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	lobby_free(&lobby); /* which sees that nobody and nothing is left */
	return 0;
}

TEST(without_limits)
{
	unsigned evicted;

	for (int i = 0; i < N; i++) {
		assert_true(lobby_has_room(&lobby, 5000, &evicted));
		assert_int_equal(evicted, 0);
		assert_int_equal(come(i, "192.0.2.1", 1000), 0);
	}
	assert_int_equal(lobby_trim(&lobby, 9000), 0);
	for (int i = 0; i < N; i++) {
		assert_false(shown_the_door(i));
		go(i);
	}
}

TEST(the_oldest_makes_room)
{
	unsigned evicted;

	lobby_limit(&lobby, 16, 0);
	for (int i = 0; i < 14; i++) {
		assert_true(lobby_has_room(&lobby, 1000, &evicted));
		assert_int_equal(come(i, "", 1000), 0); /* not counted by address */
	}
	/* Within their first moments nobody goes, and the last places are given away. */
	for (int i = 14; i < 16; i++) {
		assert_true(lobby_has_room(&lobby, 1000 + LOBBY_GRACE_MS - 1, &evicted));
		assert_int_equal(evicted, 0);
		assert_int_equal(come(i, "", 1100), 0);
	}
	assert_false(lobby_has_room(&lobby, 1000 + LOBBY_GRACE_MS - 1, &evicted));
	/* Whose request is complete stays. */
	assert_true(lobby_complete(&lobby, &guests[0]));
	assert_false(lobby_has_room(&lobby, 1000 + LOBBY_GRACE_MS, &evicted)); /* not gone yet */
	assert_int_equal(evicted, 3);
	for (int i = 0; i < 16; i++)
		assert_int_equal(shown_the_door(i), i >= 1 && i <= 3);
	assert_false(lobby_complete(&lobby, &guests[1])); /* too late */
	for (int i = 1; i <= 3; i++)
		go(i);
	assert_true(lobby_has_room(&lobby, 1000 + LOBBY_GRACE_MS, &evicted));
	assert_int_equal(evicted, 0);
	for (int i = 0; i < 16; i++)
		if (i < 1 || i > 3)
			go(i);
}

TEST(nobody_who_waits_for_a_verdict_makes_room)
{
	unsigned evicted;

	lobby_limit(&lobby, 8, 0);
	for (int i = 0; i < 8; i++) {
		assert_true(lobby_has_room(&lobby, 1000, &evicted));
		come(i, "192.0.2.1", 1000);
		assert_true(lobby_complete(&lobby, &guests[i]));
		assert_true(ask(i, "192.0.2.1"));
	}
	assert_false(lobby_has_room(&lobby, 900000, &evicted));
	assert_int_equal(evicted, 0);
	for (int i = 0; i < 8; i++) {
		lobby_answered(&lobby, &guests[i]);
		assert_false(shown_the_door(i));
		go(i);
	}
}

TEST(of_one_address)
{
	lobby_limit(&lobby, 1000, 4);
	come(0, "192.0.2.2", 1000);
	come(1, "2001:db8::1", 1000);
	for (int i = 2; i < 12; i++)
		assert_int_equal(come(i, i % 2 ? "192.0.2.1" : "2001:db8::ffff:0:0:1", 1000), 0);
	assert_int_equal(lobby_trim(&lobby, 1000), 0); /* a burst is no attack */
	/* 2001:db8::1 and 2001:db8::ffff:0:0:1 have one network: six of it, five of 192.0.2.1. */
	assert_int_equal(lobby_trim(&lobby, 1000 + LOBBY_GRACE_MS), 2 + 1);
	for (int i = 0; i < 12; i++)
		assert_int_equal(shown_the_door(i), i == 1 || i == 2 || i == 3);
	assert_int_equal(come(12, "192.0.2.1", 2000), 1); /* the next one takes a place */
	assert_true(shown_the_door(5));
	assert_int_equal(come(13, "192.0.2.3", 2000), 0);
	for (int i = 0; i < 14; i++)
		go(i);
}

TEST(verdicts_of_one_address)
{
	lobby_limit(&lobby, 1000, 2);
	for (int i = 0; i < 6; i++) { /* one proxy, which is not counted */
		come(i, "", 1000);
		assert_true(lobby_complete(&lobby, &guests[i]));
	}
	assert_true(ask(0, "192.0.2.1"));
	assert_true(ask(1, "192.0.2.1"));
	assert_false(ask(2, "192.0.2.1"));
	assert_true(ask(3, "192.0.2.2"));
	assert_true(ask(4, "")); /* as nobody */
	assert_true(ask(5, ""));
	lobby_answered(&lobby, &guests[1]);
	lobby_answered(&lobby, &guests[1]); /* harmless */
	assert_true(ask(2, "192.0.2.1"));
	for (int i = 0; i < 6; i++)
		go(i); /* also those without an answer */
}

/* What the log calls a client says where he came from. */
static void addresses_in_names(void **state)
{
	static const struct {
		const char *peer, *address;
	} cases[] = {
		{"192.0.2.1:4711", "192.0.2.1"},
		{"192.0.2.1", "192.0.2.1"},
		{"[192.0.2.1]:4711", "192.0.2.1"},
		{"[2001:db8::1]:4711", "2001:db8::1"},
		{"[::1]:80", "::1"},
		{"2001:db8::1", "2001:db8::1"},
		{"2001:db8::1:80", "2001:db8::1:80"},
		{"unix", ""},
		{"", ""},
		{":", ""},
		{"[:", ""},
		{"[]:1", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct address a = caller_peer_address(cases[i].peer), b = parse(cases[i].address);

		assert_memory_equal(&a, &b, sizeof(a));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_limits, start, stop),
		cmocka_unit_test_setup_teardown(the_oldest_makes_room, start, stop),
		cmocka_unit_test_setup_teardown(nobody_who_waits_for_a_verdict_makes_room, start,
						stop),
		cmocka_unit_test_setup_teardown(of_one_address, start, stop),
		cmocka_unit_test_setup_teardown(verdicts_of_one_address, start, stop),
		cmocka_unit_test(addresses_in_names),
	};

	return cmocka_run_group_tests_name("lobby", tests, NULL, NULL);
}
