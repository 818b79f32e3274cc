/* SPDX-License-Identifier: PostgreSQL
 * web/listen: addresses, one port shared by several sockets, and what is said about errors. */
#include "config.h"
#include "unit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "web/listen.h"

static unsigned port_of(int fd)
{
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	return ntohs(sa.sin_port);
}

TEST(port_0_is_the_same_for_all)
{
	struct buf bound, error;
	char want[32];
	int fds[4];

	buf_init(&bound, 100);
	buf_init(&error, 200);
	assert_true(listen_open("127.0.0.1:0", fds, 4, &bound, &error));
	assert_string_equal(buf_cstr(&error), "");
	snprintf(want, sizeof(want), "127.0.0.1:%u", port_of(fds[0]));
	assert_string_equal(buf_cstr(&bound), want);
	for (int i = 0; i < 4; i++) {
		int on = 0;
		socklen_t len = sizeof(on);

		assert_int_equal(port_of(fds[i]), port_of(fds[0]));
		assert_int_equal(getsockopt(fds[i], SOL_SOCKET, SO_ACCEPTCONN, &on, &len), 0);
		assert_int_equal(on, 1);
		assert_true(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
	}
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	buf_free(&bound);
	buf_free(&error);
}

static void expect_error(const char *address, const char *want)
{
	struct buf bound, error;
	int fds[2];

	buf_init(&bound, 100);
	buf_init(&error, 200);
	assert_false(listen_open(address, fds, 2, &bound, &error));
	if (!strstr(buf_cstr(&error), want))
		fail_msg("%s: %s", address, buf_cstr(&error));
	buf_free(&bound);
	buf_free(&error);
}

TEST(errors)
{
	expect_error("127.0.0.1", "must be HOST:PORT");
	expect_error("", "must be HOST:PORT");
	expect_error("127.0.0.1:", "must be HOST:PORT");
	expect_error("127.0.0.1:http", "must be HOST:PORT");
	expect_error("127.0.0.1:65536", "must be HOST:PORT");
	expect_error("127.0.0.1:-1", "must be HOST:PORT");
	expect_error("192.0.2.1:8080", "cannot listen on 192.0.2.1:8080"); /* not our address */
}

TEST(a_taken_port_leaves_nothing_open)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int taken = socket(AF_INET, SOCK_STREAM, 0), next;
	char address[32];

	assert_int_equal(bind(taken, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(taken, 1), 0);
	snprintf(address, sizeof(address), "127.0.0.1:%u", port_of(taken));
	next = dup(taken);
	close(next);
	expect_error(address, "Address already in use");
	assert_int_equal(dup(taken), next); /* the lowest free number is still the same */
	close(next);
	close(taken);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(port_0_is_the_same_for_all),
		cmocka_unit_test(errors),
		cmocka_unit_test(a_taken_port_leaves_nothing_open),
	};

	return cmocka_run_group_tests_name("listen", tests, NULL, NULL);
}
