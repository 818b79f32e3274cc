/* SPDX-License-Identifier: PostgreSQL
 * web/listen: addresses, one port shared by several sockets, Unix sockets, and what is said about
 * errors. */
#include "config.h"
#include "unit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "web/listen.h"

/* Sockets for so many workers on that list; `error` must be empty. */
static struct listen_set opened(char *const *names, size_t n, size_t n_workers)
{
	struct listen_set set = {0};
	struct buf error;

	buf_init(&error, 400);
	if (!listen_resolve(&set, names, n, &error) || !listen_open(&set, n_workers, 0600, &error))
		fail_msg("%s", buf_cstr(&error));
	buf_free(&error);
	return set;
}

static void closed(struct listen_set *set, size_t n_workers)
{
	for (size_t i = 0; i < n_workers * set->n; i++)
		close(set->fds[i]);
	listen_free(set);
}

static unsigned port_of(int fd)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	return ntohs(sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&sa)->sin6_port
					      : ((struct sockaddr_in *)(void *)&sa)->sin_port);
}

TEST(port_0_is_the_same_for_all)
{
	char name[] = "127.0.0.1:0", *names[] = {name};
	struct listen_set set = opened(names, 1, 4);
	struct buf text;
	char want[32];

	buf_init(&text, 100);
	assert_int_equal(set.n, 1);
	listen_text(&set.items[0], &text);
	snprintf(want, sizeof(want), "127.0.0.1:%u", port_of(set.fds[0]));
	assert_string_equal(buf_cstr(&text), want);
	for (int i = 0; i < 4; i++) {
		int on = 0;
		socklen_t len = sizeof(on);

		assert_int_equal(port_of(set.fds[i]), port_of(set.fds[0]));
		assert_int_equal(getsockopt(set.fds[i], SOL_SOCKET, SO_ACCEPTCONN, &on, &len), 0);
		assert_int_equal(on, 1);
		assert_true(fcntl(set.fds[i], F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(set.fds[i], F_GETFD) & FD_CLOEXEC);
	}
	buf_free(&text);
	closed(&set, 4);
}

/* What a client's socket may have under way holds several segments, also on loopback, where one has
 * 64 KiB otherwise: the kernel answers at once from the second on. */
TEST(segments_are_short)
{
	char name[] = "127.0.0.1:0", *names[] = {name};
	struct listen_set set = opened(names, 1, 2);

	for (int i = 0; i < 2; i++) {
		struct sockaddr_storage sa;
		socklen_t len = sizeof(sa);
		int client = socket(AF_INET, SOCK_STREAM, 0), served, segment = 0;

		assert_int_equal(getsockname(set.fds[i], (struct sockaddr *)&sa, &len), 0);
		assert_int_equal(connect(client, (struct sockaddr *)&sa, len), 0);
		for (int k = 0; (served = accept(set.fds[k % 2], NULL, NULL)) < 0; k++)
			assert_in_range(k, 0, 1000000); /* the kernel chose which of the two */
		len = sizeof(segment);
		assert_int_equal(getsockopt(served, IPPROTO_TCP, TCP_MAXSEG, &segment, &len), 0);
		assert_in_range(segment, 500, 16384);
		close(served);
		close(client);
	}
	closed(&set, 2);
}

/* How many addresses this machine has for everybody, or with 0 for itself. */
static size_t addresses(int flags)
{
	const struct addrinfo hints = {.ai_flags = flags, .ai_socktype = SOCK_STREAM};
	struct addrinfo *all;
	size_t n = 0;

	assert_int_equal(getaddrinfo(NULL, "0", &hints, &all), 0);
	for (const struct addrinfo *ai = all; ai; ai = ai->ai_next) {
		int fd = socket(ai->ai_family, SOCK_STREAM, 0);

		n += fd >= 0 && !bind(fd, ai->ai_addr, ai->ai_addrlen);
		close(fd);
	}
	freeaddrinfo(all);
	return n;
}

/* A browser takes whichever of the two its resolver has first. */
TEST(all_addresses_of_a_name)
{
	char name[] = "localhost:0", all[] = ":0", *names[] = {name, all};

	for (int i = 0; i < 2; i++) {
		struct listen_set set = opened(names + i, 1, 2);

		assert_int_equal(set.n, addresses(i ? AI_PASSIVE : 0));
		for (size_t k = 1; k < 2 * set.n; k++)
			assert_int_equal(port_of(set.fds[k]), port_of(set.fds[0]));
		closed(&set, 2);
	}
}

/* Whether it can be resolved (which is what -t says), and what opening it says. */
static void expect_error(const char *list, bool resolves, const char *want)
{
	char copy[300], *names[8];
	struct listen_set set = {0};
	struct buf error;
	size_t n = 0;

	snprintf(copy, sizeof(copy), "%s", list);
	for (char *p = copy, *item; (item = strsep(&p, " "));)
		names[n++] = item;
	buf_init(&error, 400);
	assert_int_equal(listen_resolve(&set, names, n, &error), resolves);
	if (resolves)
		assert_false(listen_open(&set, 2, 0600, &error));
	if (!strstr(buf_cstr(&error), want))
		fail_msg("%s: %s", list, buf_cstr(&error));
	listen_free(&set);
	buf_free(&error);
}

TEST(errors)
{
	expect_error("127.0.0.1", false, "must be HOST:PORT");
	expect_error("", false, "must be HOST:PORT");
	expect_error("127.0.0.1:", false, "must be HOST:PORT");
	expect_error("127.0.0.1:http", false, "must be HOST:PORT");
	expect_error("127.0.0.1:65536", false, "must be HOST:PORT");
	expect_error("127.0.0.1:-1", false, "must be HOST:PORT");
	expect_error("no.such.host.invalid:80", false,
		     "listen address \"no.such.host.invalid:80\": ");
	expect_error("192.0.2.1:8080", false,
		     "cannot listen on 192.0.2.1:8080: this machine has no such address");
	expect_error("127.0.0.1:8080 127.0.0.1:8080", false,
		     "127.0.0.1:8080 and 127.0.0.1:8080 are in each other's way");
	expect_error("127.0.0.1:8080 0.0.0.0:8080", false, "are in each other's way");
	expect_error("localhost:8080 127.0.0.1:8080", false, "are in each other's way");
	expect_error("unix:relative", false, "must begin with /");
	expect_error("unix:", false, "must begin with /");
	expect_error("unix:/a unix:/a", false, "are in each other's way");
	expect_error("unix:/nowhere/at/all.sock", true,
		     "cannot listen on unix:/nowhere/at/all.sock: No such file or directory");
	expect_error("unix:/dev/null", true, "there is something else");
}

TEST(a_long_path)
{
	char name[6 + 108 + 1] = "unix:/", *names[] = {name};
	struct listen_set set = {0};
	struct buf error;

	buf_init(&error, 400);
	memset(name + 6, 'x', 106);
	assert_true(listen_resolve(&set, names, 1, &error)); /* 107 bytes, and the NUL */
	listen_free(&set);
	name[6 + 106] = 'x';
	assert_false(listen_resolve(&set, names, 1, &error));
	assert_non_null(strstr(buf_cstr(&error), "at most 107 bytes"));
	buf_free(&error);
}

/* Not even of the same user, with whom the port could be shared; and nothing stays open. */
TEST(a_second_daemon_does_not_start)
{
	char name[] = "127.0.0.1:0", *names[] = {name}, address[32];
	struct listen_set first = opened(names, 1, 3);
	int next = dup(first.fds[0]);

	close(next);
	snprintf(address, sizeof(address), "127.0.0.1:%u", port_of(first.fds[0]));
	expect_error(address, true, "Address already in use");
	snprintf(address, sizeof(address), "0.0.0.0:%u", port_of(first.fds[0]));
	expect_error(address, true, "Address already in use");
	assert_int_equal(dup(first.fds[0]), next); /* the lowest free number is still the same */
	close(next);
	closed(&first, 3);
}

/* The daemon before has stopped listening; its streams live on, or wait in TIME_WAIT. */
TEST(the_next_daemon_starts_at_once)
{
	char name[] = "127.0.0.1:0", *names[] = {name}, address[32], *again[] = {address};
	struct listen_set first = opened(names, 1, 1), second;
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);
	int client = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0),
	    stream, ended;

	snprintf(address, sizeof(address), "127.0.0.1:%u", port_of(first.fds[0]));
	assert_int_equal(getsockname(first.fds[0], (struct sockaddr *)&sa, &len), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&sa, len), 0);
	stream = accept(first.fds[0], NULL, NULL);
	assert_int_equal(connect(other, (struct sockaddr *)&sa, len), 0);
	ended = accept(first.fds[0], NULL, NULL);
	assert_true(stream >= 0 && ended >= 0);
	for (int i = 0; i < 2; i++) {
		int on = 0;
		socklen_t size = sizeof(on);

		assert_int_equal(getsockopt(stream, i ? SOL_SOCKET : IPPROTO_TCP,
					    i ? SO_KEEPALIVE : TCP_NODELAY, &on, &size),
				 0);
		assert_true(on); /* inherited from the listening socket */
	}
	close(ended); /* our side first: TIME_WAIT is ours */
	close(other);
	closed(&first, 1);
	second = opened(again, 1, 2);
	closed(&second, 2);
	close(stream);
	close(client);
}

static char directory[] = "/tmp/test_listen.XXXXXX";
static char unix_name[64], *unix_names[] = {unix_name};

static int connect_unix(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), r;

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", unix_name + 5);
	r = connect(fd, (struct sockaddr *)&sa, sizeof(sa));
	close(fd);
	return r;
}

TEST(a_unix_socket)
{
	struct listen_set set = opened(unix_names, 1, 3);
	struct buf text;
	struct stat st;
	int fd;

	buf_init(&text, 200);
	listen_text(&set.items[0], &text);
	assert_string_equal(buf_cstr(&text), unix_name);
	assert_int_equal(stat(unix_name + 5, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(connect_unix(), 0); /* one client, whom any worker may take */
	fd = accept(set.fds[2], NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(accept(set.fds[0], NULL, NULL), -1);
	close(fd);
	expect_error(unix_name, true, "Address already in use");
	assert_int_equal(connect_unix(), 0); /* it was left alone */
	buf_free(&text);
	closed(&set, 3);
	assert_int_equal(stat(unix_name + 5, &st), -1);
}

TEST(a_stale_unix_socket_is_replaced)
{
	struct listen_set dead = opened(unix_names, 1, 1), next;

	close(dead.fds[0]); /* killed: its file stays */
	assert_int_equal(connect_unix(), -1);
	next = opened(unix_names, 1, 1);
	assert_int_equal(connect_unix(), 0);
	listen_free(&dead); /* not its own any more */
	assert_int_equal(connect_unix(), 0);
	closed(&next, 1);
}

/* Whoever may read the directory may lock it, and must not stop us with that. */
TEST(a_lock_on_the_directory_is_not_waited_for)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY);
	struct listen_set set;

	assert_int_equal(flock(fd, LOCK_EX), 0);
	set = opened(unix_names, 1, 1);
	assert_int_equal(connect_unix(), 0);
	closed(&set, 1);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(port_0_is_the_same_for_all),
		cmocka_unit_test(segments_are_short),
		cmocka_unit_test(all_addresses_of_a_name),
		cmocka_unit_test(errors),
		cmocka_unit_test(a_long_path),
		cmocka_unit_test(a_second_daemon_does_not_start),
		cmocka_unit_test(the_next_daemon_starts_at_once),
		cmocka_unit_test(a_unix_socket),
		cmocka_unit_test(a_stale_unix_socket_is_replaced),
		cmocka_unit_test(a_lock_on_the_directory_is_not_waited_for),
	};
	int failed;

	if (!mkdtemp(directory))
		return 99;
	snprintf(unix_name, sizeof(unix_name), "unix:%s/http.sock", directory);
	failed = cmocka_run_group_tests_name("listen", tests, NULL, NULL);
	(void)rmdir(directory);
	return failed;
}
