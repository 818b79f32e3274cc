/* SPDX-License-Identifier: PostgreSQL
 * web/tally: a line when it begins, a line with the number when it has ended, and none between. */
#include "config.h"
#include "unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "web/tally.h"

#define LOG_FILE "test_tally.err"

static char text[10000];

/* What has been logged since the last time. */
static const char *logged(void)
{
	static off_t from;
	int fd = open(LOG_FILE, O_RDONLY);
	ssize_t n = pread(fd, text, sizeof(text) - 1, from);

	close(fd);
	text[n > 0 ? n : 0] = '\0';
	from += n > 0 ? n : 0;
	return text;
}

TEST(begin_and_end)
{
	struct tally t;

	log_setup(LOG_L_INFO, LOG_F_TEXT);
	logged();
	tally_init(&t);
	tally_tick(&t, 1000);
	assert_string_equal(logged(), "");
	tally_note(&t, TALLY_HEADS, 1000, "192.0.2.1:1", "no Host");
	assert_non_null(strstr(logged(), "warning requests are refused that HTTP does not allow "
					 "peer=192.0.2.1:1 what=\"no Host\"\n"));
	for (uint64_t now = 1001; now < 5000; now++) {
		tally_note(&t, TALLY_HEADS, now, "192.0.2.2:2", "another");
		tally_tick(&t, now);
	}
	tally_note(&t, TALLY_SLOW, 5000, NULL, NULL); /* another matter */
	assert_non_null(strstr(logged(), "within request_timeout\n"));
	tally_tick(&t, 4999 + TALLY_QUIET_MS - 1);
	assert_string_equal(logged(), "");
	tally_tick(&t, 4999 + TALLY_QUIET_MS);
	assert_non_null(strstr(logged(), "info    no more requests that HTTP does not allow "
					 "clients=4000 seconds=4\n"));
	tally_tick(&t, 5000 + TALLY_QUIET_MS);
	assert_non_null(strstr(logged(), "complete in time again clients=1 seconds=0\n"));
	tally_tick(&t, 90000);
	assert_string_equal(logged(), "");
	tally_note(&t, TALLY_HEADS, 95000, NULL, NULL); /* and again */
	assert_non_null(strstr(logged(), "warning"));
	assert_int_equal(t.items[TALLY_HEADS].total, 4001);
	assert_int_equal(t.items[TALLY_SLOW].total, 1);
	tally_free(&t);
}

TEST(every_reason_has_words)
{
	struct tally t;

	tally_init(&t);
	for (int r = 0; r < N_TALLIES; r++) {
		logged();
		tally_note(&t, (enum tally_reason)r, 0, NULL, NULL);
		assert_null(strstr(logged(), "null"));
		assert_true(strlen(text) > 50);
		tally_tick(&t, TALLY_QUIET_MS);
		assert_non_null(strstr(logged(), " clients=1 seconds=0\n"));
	}
	tally_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(begin_and_end),
		cmocka_unit_test(every_reason_has_words),
	};
	int fd = open(LOG_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);

	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
		return 99;
	close(fd);
	return cmocka_run_group_tests_name("tally", tests, NULL, NULL); /* its words too */
}
