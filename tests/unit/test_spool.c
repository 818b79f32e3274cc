/* SPDX-License-Identifier: PostgreSQL
 * base/spool: lines come out whole and in order; a reader that stops stops nobody. */
#include "config.h"
#include "unit.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/spool.h"

#define PATIENCE_MS 60000

static void lost(struct buf *line, uint64_t n)
{
	buf_printf(line, "lost %" PRIu64 "\n", n);
}

static void add(struct spool *s, const char *text)
{
	spool_add(s, text, strlen(text));
}

/* Reads until there are so many bytes; what came. */
static const char *read_bytes(int fd, size_t want)
{
	static char text[1 << 20];
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t len = 0;

	assert_true(want < sizeof(text));
	while (len < want) {
		ssize_t n;

		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		n = read(fd, text + len, want - len);
		assert_true(n > 0);
		len += (size_t)n;
	}
	text[len] = '\0';
	return text;
}

/* Until the pipe takes no more. */
static void wait_full(int fd)
{
	for (int n = 0; n < 4096;) {
		assert_int_equal(ioctl(fd, FIONREAD, &n), 0);
		sched_yield();
	}
}

static void small_pipe(int fds[2])
{
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(fcntl(fds[1], F_SETPIPE_SZ, 4096), 4096);
}

TEST(lines_come_out_in_order)
{
	struct spool *s;
	struct buf want;
	char line[40];
	int fds[2];

	buf_init(&want, 4000);
	small_pipe(fds);
	s = spool_start(fds[1], 200, lost);
	assert_non_null(s);
	for (int i = 0; i < 100; i++) { /* many times around */
		snprintf(line, sizeof(line), "line %d\n", i);
		buf_str(&want, line);
		add(s, line);
		assert_true(spool_flush(s, PATIENCE_MS));
	}
	assert_string_equal(read_bytes(fds[0], want.len), buf_cstr(&want));
	buf_free(&want);
	assert_false(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
	close(fds[0]);
}

TEST(a_reader_that_stops_loses_lines_and_is_told)
{
	static char big[SPOOL_LINE_MAX + 1];
	struct spool *s;
	const char *got;
	int fds[2];

	memset(big, 'x', sizeof(big) - 2);
	big[sizeof(big) - 2] = '\n';
	small_pipe(fds);
	s = spool_start(fds[1], 20000, lost);
	assert_non_null(s);
	add(s, "first\n");
	assert_string_equal(read_bytes(fds[0], 6), "first\n");
	add(s, big); /* more than the pipe takes: the thread stands in write(2) */
	wait_full(fds[0]);
	add(s, big);
	add(s, big);
	add(s, "fits\n");
	add(s, big);	      /* lost */
	add(s, "lost too\n"); /* though there is room: what came before it is missing */
	add(s, "and this\n");
	assert_false(spool_flush(s, 1));
	got = read_bytes(fds[0], 3 * SPOOL_LINE_MAX + 12);
	for (int i = 0; i < 3; i++, got += SPOOL_LINE_MAX)
		assert_memory_equal(got, big, SPOOL_LINE_MAX);
	assert_string_equal(got, "fits\nlost 3\n");
	assert_true(spool_flush(s, PATIENCE_MS));
	add(s, "on again\n");
	assert_true(spool_flush(s, PATIENCE_MS));
	assert_string_equal(read_bytes(fds[0], 9), "on again\n");
	close(fds[0]);
}

static void *add_many(void *arg)
{
	struct spool *s = arg;
	char line[40];

	for (int i = 0; i < 2000; i++) {
		snprintf(line, sizeof(line), "%d\n", i);
		add(s, line);
	}
	return NULL;
}

TEST(lines_of_threads_do_not_mix)
{
	struct spool *s;
	pthread_t threads[4];
	unsigned next[4] = {0}, n = 0;
	const char *p;
	int fds[2];

	small_pipe(fds);
	s = spool_start(fds[1], 1 << 20, lost);
	assert_non_null(s);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, s), 0);
	p = read_bytes(fds[0], (size_t)4 * (10 * 2 + 90 * 3 + 900 * 4 + 1000 * 5));
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	while (*p) { /* each number four times, and each thread's in order */
		uint64_t i = UINT64_MAX;
		size_t len = strcspn(p, "\n");
		int k = 0;

		assert_true(num_u64(p, len, &i));
		while (k < 4 && next[k] != i)
			k++;
		assert_in_range(k, 0, 3);
		next[k]++;
		n++;
		p += len + 1;
	}
	assert_int_equal(n, 4 * 2000);
	close(fds[0]);
}

TEST(an_end_that_is_closed_stops_nothing)
{
	struct spool *s;
	int fds[2];

	signal(SIGPIPE, SIG_IGN);
	small_pipe(fds);
	s = spool_start(fds[1], 100, lost);
	assert_non_null(s);
	close(fds[0]);
	for (int i = 0; i < 100; i++)
		add(s, "into the void\n");
	assert_true(spool_flush(s, PATIENCE_MS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_come_out_in_order),
		cmocka_unit_test(a_reader_that_stops_loses_lines_and_is_told),
		cmocka_unit_test(lines_of_threads_do_not_mix),
		cmocka_unit_test(an_end_that_is_closed_stops_nothing),
	};

	return cmocka_run_group_tests_name("spool", tests, NULL, NULL);
}
