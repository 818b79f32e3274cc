/* SPDX-License-Identifier: PostgreSQL
 * base/sd: what reaches the notify socket, by path and by abstract name. */
#include "config.h"
#include "unit.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/sd.h"

/* A datagram socket bound to `name`; '@' stands for the abstract name space. */
static int bound(const char *name)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0 && strlen(name) < sizeof(sa.sun_path));
	memcpy(sa.sun_path, name, strlen(name));
	if (*name == '@')
		sa.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&sa,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
			 0);
	return fd;
}

static void expect_text(int fd, const char *want)
{
	char got[200];
	ssize_t n = recv(fd, got, sizeof(got) - 1, 0);

	assert_int_equal(n, strlen(want));
	got[n] = '\0';
	assert_string_equal(got, want);
}

static void expect_passed(const char *pid, const char *n, const char *names, size_t want)
{
	struct sd_fd *fds;

	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", n, 1);
	setenv("LISTEN_FDNAMES", names, 1);
	assert_int_equal(sd_passed(&fds), want);
	assert_null(getenv("LISTEN_PID")); /* a child must not take them for its own */
	free(fds);
}

TEST(descriptors_that_were_passed)
{
	char self[24], other[24], name[300];
	struct sd_fd *fds;

	snprintf(self, sizeof(self), "%ld", (long)getpid());
	snprintf(other, sizeof(other), "%ld", (long)getppid());
	setenv("LISTEN_PID", self, 1);
	setenv("LISTEN_FDS", "3", 1);
	setenv("LISTEN_FDNAMES", "web::stored", 1);
	assert_int_equal(sd_passed(&fds), 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(fds[i].fd, 3 + i);
	assert_string_equal(fds[0].name, "web");
	assert_string_equal(fds[1].name, "");
	assert_string_equal(fds[2].name, "stored");
	free(fds);
	assert_int_equal(sd_passed(&fds), 0); /* once */
	assert_null(fds);

	expect_passed(other, "1", "web", 0);
	expect_passed("", "1", "web", 0);
	expect_passed(self, "-1", "web", 0);
	expect_passed(self, "1000000000000", "web", 0);
	expect_passed(self, "2", "only", 2); /* fewer names than descriptors */
	memset(name, 'x', sizeof(name) - 1); /* too long a name is none */
	name[sizeof(name) - 1] = '\0';
	expect_passed(self, "1", name, 1);
}

TEST(lines_reach_the_socket)
{
	char dir[] = "/tmp/pgherald-sd-XXXXXX", path[64], name[64];
	int fd;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/notify", dir);
	fd = bound(path);
	setenv("NOTIFY_SOCKET", path, 1);
	sd_notify_text("READY=1\nSTATUS=serving");
	expect_text(fd, "READY=1\nSTATUS=serving");
	close(fd);
	unlink(path);
	sd_notify_text("STOPPING=1"); /* nobody listens any more: no harm */
	rmdir(dir);

	snprintf(name, sizeof(name), "@pgherald-test-%ld", (long)getpid());
	fd = bound(name);
	setenv("NOTIFY_SOCKET", name, 1);
	sd_notify_text("WATCHDOG=1");
	expect_text(fd, "WATCHDOG=1");
	close(fd);
}

/* What the socket gets, and the descriptor that came along, or -1. */
static int received(int fd, const char *want)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char got[200];
	struct iovec text = {got, sizeof(got) - 1};
	struct msghdr msg = {.msg_iov = &text,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	ssize_t n = recvmsg(fd, &msg, 0);
	int passed = -1;

	assert_true(n >= 0);
	got[n] = '\0';
	assert_string_equal(got, want);
	if (CMSG_FIRSTHDR(&msg))
		memcpy(&passed, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(passed));
	return passed;
}

TEST(descriptors_are_stored)
{
	struct stat a, b;
	char name[64];
	int fd, passed;

	snprintf(name, sizeof(name), "@pgherald-store-%ld", (long)getpid());
	fd = bound(name);
	setenv("NOTIFY_SOCKET", name, 1);
	assert_true(sd_store(fd, "thing"));
	passed = received(fd, "FDSTORE=1\nFDPOLL=0\nFDNAME=thing");
	assert_true(passed >= 0 && !fstat(fd, &a) && !fstat(passed, &b) && a.st_ino == b.st_ino);
	close(passed);
	sd_unstore("thing");
	assert_int_equal(received(fd, "FDSTOREREMOVE=1\nFDNAME=thing"), -1);
	assert_false(sd_barrier(10)); /* nobody reads */
	close(received(fd, "BARRIER=1"));
	setenv("FDSTORE", "17", 1);
	assert_int_equal(sd_store_max(), 17);
	setenv("FDSTORE", "many", 1);
	assert_int_equal(sd_store_max(), 0);
	unsetenv("FDSTORE");
	assert_int_equal(sd_store_max(), 0);
	unsetenv("NOTIFY_SOCKET");
	assert_false(sd_store(fd, "thing"));
	assert_false(sd_barrier(10));
	close(fd);
}

TEST(odd_socket_names_do_nothing)
{
	char longer[300];

	memset(longer, 'x', sizeof(longer) - 1);
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	setenv("NOTIFY_SOCKET", longer, 1);
	sd_notify_text("READY=1");
	setenv("NOTIFY_SOCKET", "", 1);
	sd_notify_text("READY=1");
	setenv("NOTIFY_SOCKET", "vsock:2:1", 1);
	sd_notify_text("READY=1");
	unsetenv("NOTIFY_SOCKET");
	sd_notify_text("READY=1");
}

TEST(the_watchdog_is_fed_at_half_time)
{
	unsetenv("WATCHDOG_USEC");
	assert_int_equal(sd_watchdog_ms(), 0);
	setenv("WATCHDOG_USEC", "30000000", 1);
	assert_int_equal(sd_watchdog_ms(), 15000);
	setenv("WATCHDOG_USEC", "soon", 1);
	assert_int_equal(sd_watchdog_ms(), 0);
	setenv("WATCHDOG_USEC", "", 1);
	assert_int_equal(sd_watchdog_ms(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(descriptors_that_were_passed),
		cmocka_unit_test(lines_reach_the_socket),
		cmocka_unit_test(descriptors_are_stored),
		cmocka_unit_test(odd_socket_names_do_nothing),
		cmocka_unit_test(the_watchdog_is_fed_at_half_time),
	};

	return cmocka_run_group_tests_name("sd", tests, NULL, NULL);
}
