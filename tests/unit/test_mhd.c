/* SPDX-License-Identifier: PostgreSQL
 * The contract with libmicrohttpd that src/web/http.c rests on, proved on the installed version:
 * in an outer event loop, a stream can take a dup of the socket and MHD lets go of its side. */
#include "config.h"
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "web/mhd.h"

#define HELLO "data: hello\n\n"

struct bench {
	struct MHD_Daemon *mhd;
	int epoll;  /* MHD's */
	int client; /* the other end of the connection */
	bool suspend;
	bool refuse;	/* at the head, after it was suspended there */
	bool at_head;	/* what is wanted is decided there */
	char body[100]; /* as it came */
	size_t body_len;
	struct MHD_Connection *suspended;
	struct MHD_Response *upgrade; /* the answer, when it is set */
	unsigned n_requests, n_reads, n_completed;
	unsigned n_started, n_closed; /* connections */
	int taken;		      /* the dup, once it is taken */
	char seen[2000];	      /* what had reached the client at the reader's second call */
};

static ssize_t peek(int fd, char *out, size_t size)
{
	ssize_t n = recv(fd, out, size - 1, MSG_PEEK | MSG_DONTWAIT);

	out[n > 0 ? n : 0] = '\0';
	return n;
}

static ssize_t read_hello(void *arg, uint64_t pos, char *out, size_t max)
{
	struct bench *b = arg;
	const union MHD_ConnectionInfo *info;

	b->n_reads++;
	if (b->n_reads == 1) {
		assert_int_equal(pos, 0);
		assert_true(max >= strlen(HELLO));
		memcpy(out, HELLO, strlen(HELLO));
		return (ssize_t)strlen(HELLO);
	}
	assert_int_equal(pos, strlen(HELLO));
	peek(b->client, b->seen, sizeof(b->seen));
	info = MHD_get_connection_info(b->suspended, MHD_CONNECTION_INFO_CONNECTION_FD);
	assert_non_null(info);
	b->taken = fcntl(info->connect_fd, F_DUPFD_CLOEXEC, 0);
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

static enum MHD_Result refuse(struct MHD_Connection *c)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	enum MHD_Result result = MHD_queue_response(c, MHD_HTTP_UNAUTHORIZED, r);

	MHD_destroy_response(r);
	return result;
}

/* A request whose body is wanted or not: suspended at the head, as request.c does. */
static enum MHD_Result on_posted(struct bench *b, struct MHD_Connection *c, const char *upload,
				 size_t *upload_size)
{
	if (*upload_size) {
		assert_true(b->n_requests == 2 && !b->refuse);
		assert_true(*upload_size < sizeof(b->body) - b->body_len);
		memcpy(b->body + b->body_len, upload, *upload_size);
		b->body_len += *upload_size;
		*upload_size = 0;
		return MHD_YES;
	}
	b->suspended = c;
	if (b->n_requests++ == 0)
		MHD_suspend_connection(c);
	else if (b->refuse || b->n_requests == 3)
		return refuse(c);
	return MHD_YES;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **req)
{
	struct bench *b = arg;
	struct MHD_Response *r;
	enum MHD_Result result;

	(void)url;
	(void)method;
	(void)version;
	if (b->at_head) {
		*req = b;
		return on_posted(b, c, upload, upload_size);
	}
	if (!*req) {
		*req = b;
		return MHD_YES;
	}
	b->suspended = c;
	assert_ptr_equal(
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context, b);
	if (b->n_requests++ == 0 && b->suspend) {
		MHD_suspend_connection(c);
		return MHD_YES;
	}
	if (b->upgrade)
		return MHD_queue_response(c, MHD_HTTP_SWITCHING_PROTOCOLS, b->upgrade);
	r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1024, read_hello, b, NULL);
	assert_non_null(r);
	MHD_add_response_header(r, "Content-Type", "text/event-stream");
	result = MHD_queue_response(c, MHD_HTTP_OK, r);
	MHD_destroy_response(r);
	return result;
}

static void on_completed(void *arg, struct MHD_Connection *c, void **req,
			 enum MHD_RequestTerminationCode why)
{
	(void)c;
	(void)req;
	(void)why;
	((struct bench *)arg)->n_completed++;
}

static void on_connection(void *arg, struct MHD_Connection *c, void **context,
			  enum MHD_ConnectionNotificationCode what)
{
	struct bench *b = arg;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		b->n_started++;
		*context = b;
		return;
	}
	assert_ptr_equal(*context, b);
	assert_int_equal(b->n_closed++, 0);
	assert_int_equal(b->n_completed, b->n_requests > 0); /* before this */
	if (b->at_head)					     /* and the socket is still there */
		b->taken = fcntl(
			MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
			F_DUPFD_CLOEXEC, 0);
}

/* A daemon as http.c starts it, with one connection that it was given. */
static void bench_start(struct bench *b, bool suspend)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd;
	const union MHD_DaemonInfo *info;

	*b = (struct bench){.suspend = suspend, .taken = -1};
	b->mhd = MHD_start_daemon(MHD_FLAGS, 0, NULL, NULL, on_request, b,
				  MHD_OPTION_NOTIFY_CONNECTION, on_connection, b,
				  MHD_OPTION_NOTIFY_COMPLETED, on_completed, b,
				  MHD_OPTION_CONNECTION_TIMEOUT, 10u, MHD_OPTION_END);
	assert_non_null(b->mhd);
	info = MHD_get_daemon_info(b->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	assert_non_null(info);
	b->epoll = info->epoll_fd;
	assert_int_equal(bind(listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&sa, &len), 0);
	b->client = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(b->client, (struct sockaddr *)&sa, sizeof(sa)), 0);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd >= 0);
	close(listener);
	assert_int_equal(MHD_add_connection(b->mhd, fd, (struct sockaddr *)&sa, len), MHD_YES);
	assert_int_equal(b->n_started, 1); /* before it returned, so that we know whose it is */
}

/* One turn of an outer loop: waits for MHD's descriptor as long as MHD says, then runs it. */
static void turn(struct bench *b)
{
	struct epoll_event ev = {.events = EPOLLIN};
	MHD_UNSIGNED_LONG_LONG ms = 5000;
	int outer = epoll_create1(EPOLL_CLOEXEC);

	if (MHD_get_timeout(b->mhd, &ms) != MHD_YES || ms > 5000)
		ms = 5000;
	assert_int_equal(epoll_ctl(outer, EPOLL_CTL_ADD, b->epoll, &ev), 0);
	assert_true(epoll_wait(outer, &ev, 1, (int)ms) >= 0);
	close(outer);
	assert_int_equal(MHD_run(b->mhd), MHD_YES);
}

static unsigned connections(struct bench *b)
{
	return MHD_get_daemon_info(b->mhd, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void take_over(const char *request, const char *hello_as_sent)
{
	struct bench b;
	struct epoll_event ev[8];
	char got[4000];
	ssize_t n;

	bench_start(&b, false);
	assert_int_equal(connections(&b), 1);
	say(b.client, request);
	for (int i = 0; b.taken < 0; i++) {
		assert_true(i < 100);
		turn(&b);
	}
	/* The second call came when head and hello were out, and not before. */
	assert_int_equal(b.n_reads, 2);
	assert_int_equal(strncmp(b.seen, "HTTP/1.1 200 OK\r\n", 17), 0);
	assert_non_null(strstr(b.seen, hello_as_sent));
	/* MHD ends its side without another event from the socket. */
	for (int i = 0; !b.n_completed || connections(&b); i++) {
		assert_true(i < 3);
		assert_int_equal(MHD_run(b.mhd), MHD_YES);
	}
	assert_int_equal(connections(&b), 0);
	assert_int_equal(b.n_completed, 1);
	assert_int_equal(b.n_closed, 1);
	/* The client sees what it saw, and no end. */
	assert_int_equal(recv(b.client, got, sizeof(got), MSG_DONTWAIT), strlen(b.seen));
	assert_int_equal(recv(b.client, got, sizeof(got), MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	/* MHD does not watch the socket any more, though its description lives on. */
	say(b.client, "more");
	assert_int_equal(epoll_wait(b.epoll, ev, 8, 0), 0);
	MHD_run(b.mhd);
	assert_int_equal(recv(b.taken, got, sizeof(got), MSG_DONTWAIT), 4);
	say(b.taken, "later");
	n = recv(b.client, got, sizeof(got), 0);
	assert_int_equal(n, 5);
	assert_memory_equal(got, "later", 5);
	MHD_stop_daemon(b.mhd);
	assert_int_equal(b.n_completed, 1);
	say(b.taken, "after the stop");
	n = recv(b.client, got, sizeof(got), 0);
	assert_int_equal(n, 14);
	close(b.taken);
	assert_int_equal(recv(b.client, got, sizeof(got), 0), 0); /* only now the end */
	close(b.client);
}

TEST(a_chunked_stream_is_taken_over)
{
	take_over("GET / HTTP/1.1\r\nHost: t\r\n\r\n", "\r\n" HELLO "\r\n");
}

TEST(a_stream_of_http_1_0_is_taken_over)
{
	take_over("GET / HTTP/1.0\r\n\r\n", "\r\n\r\n" HELLO);
}

TEST(suspended_until_resumed)
{
	struct bench b;
	char got[4000];

	bench_start(&b, true);
	say(b.client, "GET / HTTP/1.1\r\nHost: t\r\n\r\n");
	for (int i = 0; !b.n_requests; i++) {
		assert_true(i < 100);
		turn(&b);
	}
	for (int i = 0; i < 5; i++) /* nothing happens by itself */
		MHD_run(b.mhd);
	assert_int_equal(b.n_requests, 1);
	assert_int_equal(peek(b.client, got, sizeof(got)), -1);
	assert_int_equal(connections(&b), 1);
	/* Its timeout does not know of a pending resume: MHD_run() must follow at once. */
	MHD_resume_connection(b.suspended);
	for (int i = 0; b.taken < 0; i++) {
		assert_true(i < 3);
		assert_int_equal(MHD_run(b.mhd), MHD_YES);
	}
	assert_int_equal(b.n_requests, 2);
	assert_non_null(strstr(b.seen, HELLO));
	for (int i = 0; connections(&b); i++) {
		assert_true(i < 3);
		MHD_run(b.mhd);
	}
	MHD_stop_daemon(b.mhd);
	close(b.taken);
	close(b.client);
}

static void post(struct bench *b, bool refused)
{
	bench_start(b, false);
	b->at_head = true;
	b->refuse = refused;
	say(b->client, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 8\r\n\r\nbody");
	for (int i = 0; !b->n_requests; i++) {
		assert_true(i < 100);
		turn(b);
	}
	for (int i = 0; i < 5; i++)
		MHD_run(b->mhd);
	assert_int_equal(b->n_requests, 1);
	MHD_resume_connection(b->suspended);
	MHD_run(b->mhd);
	MHD_run(b->mhd);
	assert_int_equal(b->n_requests, 2);
}

static void ends_with(struct bench *b, const char *status)
{
	char got[4000];

	for (int i = 0; connections(b); i++) {
		assert_true(i < 100);
		turn(b);
	}
	peek(b->client, got, sizeof(got));
	assert_int_equal(strncmp(got, status, strlen(status)), 0);
	assert_true(b->taken >= 0);
	say(b->taken, "later");
	close(b->taken);
	MHD_stop_daemon(b->mhd);
	close(b->client);
}

/* Suspended at the head and then refused, a request is answered without its body. */
TEST(a_body_that_is_refused_at_the_head_is_not_asked_for)
{
	struct bench b;

	post(&b, true);
	ends_with(&b, "HTTP/1.1 401 ");
	assert_int_equal(b.n_requests, 2);
	assert_int_equal(b.body_len, 0);
}

/* ... and else its body comes then, what has come already and the rest. */
TEST(a_body_that_is_wanted_comes_after_the_verdict)
{
	struct bench b;

	post(&b, false);
	assert_int_equal(b.body_len, 4);
	say(b.client, "rest");
	for (int i = 0; b.n_requests < 3; i++) {
		assert_true(i < 100);
		turn(&b);
	}
	assert_memory_equal(b.body, "bodyrest", 8);
	close(b.client);
	for (int i = 0; connections(&b); i++) {
		assert_true(i < 100);
		turn(&b);
	}
	close(b.taken);
	MHD_stop_daemon(b.mhd);
}

TEST(a_client_that_goes_early_is_completed)
{
	struct bench b;

	bench_start(&b, false);
	say(b.client, "GET / HT");
	turn(&b);
	close(b.client);
	for (int i = 0; connections(&b); i++) {
		assert_true(i < 100);
		turn(&b);
	}
	assert_int_equal(b.n_requests, 0);
	assert_int_equal(b.n_completed, 0); /* no request has begun */
	assert_int_equal(b.n_closed, 1);
	MHD_stop_daemon(b.mhd);
}

/* What an upgrade is. */
struct upgraded {
	struct bench *bench;
	char early[100];
	size_t n_early;
};

static void on_upgraded(void *arg, struct MHD_Connection *c, void *req, const char *early,
			size_t n_early, MHD_socket sock, struct MHD_UpgradeResponseHandle *urh)
{
	struct upgraded *u = arg;

	(void)c;
	(void)req;
	assert_true(n_early < sizeof(u->early));
	memcpy(u->early, early, n_early);
	u->n_early = n_early;
	peek(u->bench->client, u->bench->seen, sizeof(u->bench->seen));
	u->bench->taken = fcntl(sock, F_DUPFD_CLOEXEC, 0);
	assert_int_equal(MHD_upgrade_action(urh, MHD_UPGRADE_ACTION_CLOSE), MHD_YES);
}

/* With what the client said too early; MHD's side ends without an end for the client. */
TEST(an_upgrade_is_taken_over)
{
	struct bench b;
	struct upgraded u = {.bench = &b};
	struct MHD_Response *r;
	char got[4000];

	bench_start(&b, true);
	say(b.client,
	    "GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nearly");
	for (int i = 0; !b.n_requests; i++) {
		assert_true(i < 100);
		turn(&b);
	}
	b.upgrade = r = MHD_create_response_for_upgrade(on_upgraded, &u);
	assert_non_null(r);
	assert_int_equal(MHD_add_response_header(r, "Upgrade", "x"), MHD_YES);
	MHD_resume_connection(b.suspended);
	for (int i = 0; b.taken < 0; i++) {
		assert_true(i < 100);
		turn(&b);
	}
	MHD_destroy_response(r);
	/* The whole head was out before. */
	assert_int_equal(strncmp(b.seen, "HTTP/1.1 101 Switching Protocols\r\n", 34), 0);
	assert_non_null(strcasestr(b.seen, "\r\nConnection: Upgrade\r\n"));
	assert_int_equal(strcmp(b.seen + strlen(b.seen) - 4, "\r\n\r\n"), 0);
	assert_int_equal(u.n_early, 5);
	assert_memory_equal(u.early, "early", 5);
	for (int i = 0; !b.n_completed || connections(&b); i++) {
		assert_true(i < 3);
		assert_int_equal(MHD_run(b.mhd), MHD_YES);
	}
	assert_int_equal(b.n_closed, 1);
	assert_int_equal(recv(b.client, got, sizeof(got), MSG_DONTWAIT), strlen(b.seen));
	assert_int_equal(recv(b.client, got, sizeof(got), MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	MHD_stop_daemon(b.mhd);
	say(b.taken, "later");
	assert_int_equal(recv(b.client, got, sizeof(got), 0), 5);
	close(b.taken);
	close(b.client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chunked_stream_is_taken_over),
		cmocka_unit_test(a_stream_of_http_1_0_is_taken_over),
		cmocka_unit_test(suspended_until_resumed),
		cmocka_unit_test(a_body_that_is_refused_at_the_head_is_not_asked_for),
		cmocka_unit_test(a_body_that_is_wanted_comes_after_the_verdict),
		cmocka_unit_test(an_upgrade_is_taken_over),
		cmocka_unit_test(a_client_that_goes_early_is_completed),
	};

	fprintf(stderr, "libmicrohttpd %s\n", MHD_get_version());
	return cmocka_run_group_tests_name("mhd", tests, NULL, NULL);
}
