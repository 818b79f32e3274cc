/* SPDX-License-Identifier: PostgreSQL
 * web/worker, door, http, request, stream: two workers in one process with real sockets, asked and
 * fed by the test in place of the database; what matters is what each client receives. */
#include "config.h"
#include "unit.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rig.h"

#define LOG_FILE "test_worker.err" /* the daemon's log goes there */

#define ROLES "[role manager]\nreceives = all\n[role foreman]\nreceives = own\n"
/* Long queues: a client of these tests reads when it gets to it. What stalls, stalls at bytes. */
#define REST                                                                                       \
	"[auth main]\n[watch estimate]\ntable = public.e\nowners = foreman_id\n"                   \
	"fields = id, foreman_id\n"                                                                \
	"[route events]\npath = /events/\nkeepalive = 1s\nqueue_events = 100000\n"                 \
	"[route stats]\npath = /stats/\nkind = stats\n"
#define SERVER "[server]\nsend_buffer = 4KiB\nflush = 1ms\n[database]\nrecheck = 1s\n"

static const char conf_text[] = SERVER ROLES REST;

static struct rig rig;
static struct buf numbers;

static off_t log_from; /* where this test's lines begin */

/* Whether the daemon's log has a line with that in it. */
static bool logged(const char *text)
{
	static char all[1 << 20];
	int fd = open(LOG_FILE, O_RDONLY);
	ssize_t n = pread(fd, all, sizeof(all) - 1, log_from);

	close(fd);
	all[n > 0 ? n : 0] = '\0';
	return strstr(all, text) != NULL;
}

static int start(void **state)
{
	(void)state;
	log_from = lseek(STDERR_FILENO, 0, SEEK_END);
	buf_init(&numbers, 1 << 20);
	rig_start(&rig, conf_text);
	rig_token(&rig, "m1", LOOKUP_OK, "1", "manager");
	rig_token(&rig, "f7", LOOKUP_OK, "7", "foreman");
	rig_token(&rig, "f8", LOOKUP_OK, "8", "foreman");
	rig_token(&rig, "gone", LOOKUP_INACTIVE, NULL, NULL);
	rig_token(&rig, "down", LOOKUP_UNAVAILABLE, NULL, NULL);
	rig_token(&rig, "guest", LOOKUP_OK, "9", "guest");
	return 0;
}

static int stop(void **state)
{
	(void)state;
	rig_stop(&rig);
	buf_free(&numbers);
	return 0;
}

static void stream(struct client *c, unsigned worker, const char *token, const char *headers)
{
	client_stream(c, rig.ports[worker], token, headers);
}

static void resume(struct client *c, unsigned worker, const char *token, uint64_t txid)
{
	client_resume(c, rig.ports[worker], token, txid);
}

static void assert_numbers(struct client *c, const char *want)
{
	client_is_told(c, want);
}

/* One request on a connection of its own, its whole answer. */
static void ask(const char *request, const char *status, const char *text)
{
	struct client c;

	client_open(&c, rig.ports[0], 0);
	client_send(&c, request);
	client_wait_end(&c);
	if (strncmp(buf_cstr(&c.got), status, strlen(status)) != 0 || !client_has(&c, text))
		fail_msg("%s\ngave\n%s", request, buf_cstr(&c.got));
	client_close(&c);
}

#define GET(path, headers)                                                                         \
	"GET " path " HTTP/1.1\r\nHost: t\r\nConnection: close\r\n" headers "\r\n"

#define GET_WEBSOCKET(path, headers)                                                               \
	"GET " path " HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"        \
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" headers     \
	"\r\n"

TEST(answers)
{
	struct client c;

	ask(GET("/events/", "Authorization: Token m1\r\n"), "HTTP/1.1 503 ", "Retry-After: 3");
	ask(GET("/readyz", ""), "HTTP/1.1 503 ", "the database is away");
	rig_restart(&rig, 100);
	stream(&c, 0, "m1", "");
	client_close(&c);
	ask(GET("/readyz", ""), "HTTP/1.1 200 ", "ready");
	ask(GET("/healthz", ""), "HTTP/1.1 200 ", "{\"status\": \"ok\"}");
	ask(GET("/events", ""), "HTTP/1.1 404 ", "{\"detail\": \"Not found.\"}");
	ask(GET("/events/", ""), "HTTP/1.1 401 ", "WWW-Authenticate: Token");
	ask(GET("/events/", "Authorization: Basic m1\r\n"), "HTTP/1.1 401 ", "not provided");
	ask(GET("/events/", "Authorization: Token nobody\r\n"), "HTTP/1.1 401 ", "Invalid token.");
	ask(GET("/events/", "Authorization: Token a b\r\n"), "HTTP/1.1 401 ", "Invalid token.");
	ask(GET("/events/", "Authorization: Token gone\r\n"), "HTTP/1.1 401 ", "User inactive");
	ask(GET("/events/", "Authorization: Token down\r\n"), "HTTP/1.1 503 ", "Retry-After: ");
	ask(GET("/events/?token=down", ""), "HTTP/1.1 200 ", "\r\n\r\nretry: ");
	ask(GET("/events/", "Authorization: Token guest\r\n"), "HTTP/1.1 403 ", "role");
	ask(GET("/stats/", "Authorization: Token f7\r\n"), "HTTP/1.1 403 ", "role");
	ask("POST /events/ HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: "
	    "3\r\n\r\nabc",
	    "HTTP/1.1 413 ", "body");
	ask("POST /events/ HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", "HTTP/1.1 405 ",
	    "Allow: GET, OPTIONS");
	ask("OPTIONS /events/ HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", "HTTP/1.1 204 ",
	    "Access-Control-Allow-Methods");
	ask("rubbish\r\n\r\n", "", "");
}

TEST(each_hears_what_is_his)
{
	struct client m, f7, f8, old;

	rig_restart(&rig, 100);
	stream(&m, 0, "m1", "");
	stream(&f7, 1, "f7", "");
	stream(&f8, 0, "f8", "");
	client_open(&old, rig.ports[1], 0);
	client_send(&old, "GET /events/?token=m1 HTTP/1.0\r\n\r\n");
	client_wait(&old, "established\"}\nid: ");
	assert_true(client_has(&m, "HTTP/1.1 200 OK"));
	assert_true(client_has(&m, "Content-Type: text/event-stream; charset=utf-8\r\n"));
	assert_true(client_has(&m, "retry: 3000\ndata: {\"event\": \"connected\", \"message\": "
				   "\"SSE connection established\"}\nid: epoch001.0.2t\n\n"));
	assert_true(client_has(&m, "Transfer-Encoding: chunked"));
	assert_false(client_has(&old, "chunked"));

	rig_publish_one(&rig, 101, "7", "7");
	rig_publish_one(&rig, 102, "7", "8");
	rig_publish_one(&rig, 103, "8", "8");
	rig_publish_one(&rig, 104, "", "");
	rig_publish_one(&rig, 105, "7,8", "7,8");
	client_wait(&m, "{\"n\":105}");
	client_wait(&f7, "{\"n\":105}");
	client_wait(&f8, "{\"n\":105}");
	client_wait(&old, "{\"n\":105}");
	assert_numbers(&m, "101 102 103 104 105");
	assert_numbers(&old, "101 102 103 104 105");
	assert_numbers(&f7, "101 105");
	assert_numbers(&f8, "102 103 105");
	assert_true(client_has(&f7, "\"data\": {\"left\":102}, \"scope\": \"leave\""));
	assert_true(client_has(&f8, "\"data\": {\"n\":102}, \"scope\": \"enter\""));
	assert_true(client_has(&m, "\r\ndata: {\"event\": \"estimate.updated\", \"data\": "
				   "{\"n\":101}, \"timestamp\": 1700000000}\n"
				   "id: epoch001.0.2u\n\n\r\n"));
	assert_true(client_has(&old, "\nid: epoch001.0.2u\n\ndata: ")); /* no chunk between them */

	ask(GET("/stats/", "Authorization: Token m1\r\n"), "HTTP/1.1 200 ",
	    "\"total_users\": 3, \"total_connections\": 4");
	client_close(&m);
	client_close(&f7);
	rig_publish_one(&rig, 106, "8", "8");
	client_wait(&f8, "{\"n\":106}");
	client_close(&f8);
	client_close(&old);
}

TEST(resumes_from_the_ring)
{
	struct client c, half;

	rig_restart(&rig, 100);
	for (uint64_t n = 101; n <= 140; n++)
		rig_publish_one(&rig, n, "7", n % 2 ? "7" : "8");
	stream(&c, 0, "m1", "Last-Event-ID: epoch001.0.3u\r\n"); /* up to 137 */
	resume(&half, 1, "f7", 130);
	rig_publish_one(&rig, 141, "7", "7");
	client_wait(&c, "{\"n\":141}");
	client_wait(&half, "{\"n\":141}");
	assert_numbers(&c, "138 139 140 141");
	assert_numbers(&half, "131 133 135 137 139 141");
	assert_true(client_has(&half, "{\"left\":132}"));
	assert_true(client_has(&c, "established\"}\nid: epoch001.0.3u\n\n"));
	client_close(&c);
	client_close(&half);
	/* By the URL, as EventSource polyfills do. */
	client_open(&c, rig.ports[0], 0);
	client_send(&c,
		    "GET /events/?token=m1&lastEventId=epoch001.0.3x HTTP/1.1\r\nHost: t\r\n\r\n");
	client_wait(&c, "{\"n\":141}");
	assert_numbers(&c, "141");
	client_close(&c);
}

TEST(useless_positions_are_told)
{
	struct client c;

	rig_restart(&rig, 100);
	rig_publish_one(&rig, 101, "", "");
	stream(&c, 0, "m1", "Last-Event-ID: rubbish\r\n");
	client_wait(&c, "{\"event\": \"system.resync\", \"data\": {\"reason\": \"cursor\", "
			"\"topics\": [\"estimate\"]}");
	rig_publish_one(&rig, 102, "", "");
	client_wait(&c, "{\"n\":102}");
	assert_numbers(&c, "102");
	client_close(&c);
	stream(&c, 0, "m1", "Last-Event-ID: otherone.0.2t\r\n");
	client_wait(&c, "\"reason\": \"epoch\"");
	client_close(&c);
	stream(&c, 0, "m1", "Last-Event-ID: epoch001.1.2u\r\n"); /* another loss counter */
	client_wait(&c, "\"reason\": \"loss\"");
	client_wait(&c, "{\"n\":102}");
	client_close(&c);
}

/* A refetch that stands in no journal row must reach a client that has just resumed, whether it
 * is live already or still catches up. */
TEST(a_loss_reaches_resumed_streams)
{
	struct client c[2];

	rig_restart(&rig, 100);
	rig_publish_one(&rig, 101, "", "");
	resume(&c[0], 0, "m1", 101);
	rig_publish_one(&rig, 102, "", "");
	client_wait(&c[0], "{\"n\":102}");
	rig_publish_one(&rig, 103, "", "");
	client_wait(&c[0], "{\"n\":103}"); /* live by now */
	for (int i = 1; i <= 10; i++) {
		struct event *e = event_resync("loss", "[\"estimate\"]", NULL, 1700000000 + i);
		char want[40];

		resume(&c[1], 0, "m1", 103);
		rig.loss++;
		rig_publish(&rig, &e, 1, 103);
		client_wait(&c[1], "\"reason\": \"loss\"");
		client_close(&c[1]);
		snprintf(want, sizeof(want), "\"timestamp\": %d}", 1700000000 + i);
		client_wait(&c[0], want);
	}
	client_close(&c[0]);
}

static struct post_replay *take_replay(void)
{
	return (struct post_replay *)rig_take(&rig, POST_REPLAY);
}

/* Answers with rows `from` ... `to`. */
static void reply(struct post_replay *p, enum replay_verdict verdict, uint64_t from, uint64_t to)
{
	p->verdict = verdict;
	p->n = (size_t)(to + 1 - from);
	p->events = xcalloc(p->n, sizeof(struct event *));
	for (size_t i = 0; i < p->n; i++)
		p->events[i] = rig_event(from + i, "7", "7");
	if (verdict == REPLAY_DONE)
		p->from = (struct cursor){.epoch = "epoch001", .xmax = to + 1};
	inbox_post(p->reply_to, &p->letter);
}

TEST(replays_from_the_journal)
{
	struct post_replay *p;
	struct client c, f8, live;

	rig_restart(&rig, 100);
	stream(&live, 0, "m1", "");
	resume(&c, 0, "m1", 50);
	p = take_replay();
	assert_string_equal(p->from.epoch, "epoch001");
	assert_int_equal(p->from.xmax, 51);
	rig_publish_one(&rig, 101, "7", "7"); /* meanwhile */
	client_wait(&live, "{\"n\":101}");
	reply(p, REPLAY_MORE, 51, 53);
	p = take_replay();
	assert_int_equal(p->n, 0);
	client_wait(&c, "{\"n\":53}");
	reply(p, REPLAY_DONE, 54, 101); /* the last one is in the ring as well */
	rig_publish_one(&rig, 102, "7", "7");
	client_wait(&c, "{\"n\":102}");
	assert_string_equal(client_numbers(&c, &numbers),
			    "51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69 70 71 72 73 "
			    "74 75 76 77 78 79 80 81 82 83 84 85 86 87 88 89 90 91 92 93 94 95 96 "
			    "97 98 99 100 101 102");
	client_close(&c);

	resume(&f8, 1, "f8", 50); /* today's rights count in the past too */
	reply(take_replay(), REPLAY_DONE, 51, 101);
	rig_publish_one(&rig, 103, "8", "8");
	client_wait(&f8, "{\"n\":103}");
	assert_numbers(&f8, "103");
	client_close(&f8);
	client_close(&live);
}

TEST(a_replay_that_cannot_be)
{
	struct post_replay *p;
	struct client c;

	rig_restart(&rig, 100);
	resume(&c, 0, "m1", 50);
	p = take_replay();
	p->verdict = REPLAY_RESET;
	p->reason = "pruned";
	inbox_post(p->reply_to, &p->letter);
	client_wait(&c, "\"reason\": \"pruned\"");
	rig_publish_one(&rig, 101, "", "");
	client_wait(&c, "{\"n\":101}");
	assert_numbers(&c, "101");
	client_close(&c);

	resume(&c, 1, "m1", 50);
	p = take_replay();
	p->verdict = REPLAY_UNAVAILABLE;
	inbox_post(p->reply_to, &p->letter);
	client_wait_end(&c); /* it comes back by itself, with the same id */
	assert_true(logged("reason=\"replay failed: the database is away\""));
	client_close(&c);

	resume(&c, 1, "m1", 50); /* gone before the answer */
	p = take_replay();
	client_close(&c);
	while (registry_streams(rig.registry) > 0)
		ask(GET("/healthz", ""), "HTTP/1.1 200 ", "ok");
	reply(p, REPLAY_MORE, 51, 52);
}

/* The journal was cut off and began anew while a replay was away. */
TEST(a_restart_during_a_replay)
{
	struct post_replay *p;
	struct client c, witness;
	struct event *e;

	rig_restart(&rig, 100);
	resume(&c, 0, "m1", 50);
	p = take_replay();
	rig_restart(&rig, 200);
	stream(&witness, 0, "m1", "");
	e = event_resync("epoch", "[\"estimate\"]", NULL, 1700000000);
	rig_publish(&rig, &e, 1, 200);
	client_wait(&witness, "\"reason\": \"epoch\"");
	reply(p, REPLAY_DONE, 51, 52);
	rig_publish_one(&rig, 201, "", "");
	client_wait(&witness, "{\"n\":201}");
	client_wait_end(&c); /* so that it comes back and hears that its position is gone */
	assert_true(logged("reason=\"the journal began anew before the stream caught up\""));
	client_close(&c);
	client_close(&witness);
}

TEST(rights_are_looked_up_again)
{
	struct client c, gone, held, witness;
	struct post_lookup *l;

	rig_restart(&rig, 100);
	rig_token(&rig, "x", LOOKUP_OK, "7", "manager");
	rig_token(&rig, "y", LOOKUP_OK, "5", "manager");
	rig_token(&rig, "z", LOOKUP_OK, "6", "manager");
	stream(&witness, 0, "m1", "");
	stream(&c, 0, "x", "");
	stream(&gone, 1, "y", "");
	stream(&held, 1, "z", "");
	rig_publish_one(&rig, 101, "8", "8");
	client_wait(&c, "{\"n\":101}");
	client_wait(&gone, "{\"n\":101}");
	rig_token(&rig, "x", LOOKUP_OK, "7", "foreman");
	rig_token(&rig, "y", LOOKUP_INACTIVE, NULL, NULL);
	rig_hold(&rig, "z");
	client_wait_end(&gone);
	assert_true(logged("reason=\"user is not active any more\""));
	for (uint64_t n = 102; !logged("SSE stream has another role"); n++) {
		char want[40];

		rig_publish_one(&rig, n, "7", "7");
		snprintf(want, sizeof(want), "{\"n\":%llu}", (unsigned long long)n);
		client_wait(&c, want); /* it keeps reading, or it would be too slow one day */
		ask(GET("/healthz", ""), "HTTP/1.1 200 ", "ok");
	}
	rig_publish_one(&rig, 9001, "8", "8");
	rig_publish_one(&rig, 9002, "7", "7");
	client_wait(&c, "{\"n\":9002}");
	assert_false(client_has(&c, "{\"n\":9001}"));
	l = (struct post_lookup *)rig_take(&rig, POST_LOOKUP);
	client_close(&held); /* gone while its recheck is away */
	while (registry_streams(rig.registry) > 2)
		ask(GET("/healthz", ""), "HTTP/1.1 200 ", "ok");
	rig_answer(&rig, l, LOOKUP_OK, "6", "foreman");
	client_close(&c);
	client_close(&gone);
	client_close(&witness);
}

TEST(a_reload_while_streaming)
{
	static const char only_managers[] = SERVER "[role manager]\nreceives = all\n" REST;
	static const char swapped[] =
		SERVER "[role foreman]\nreceives = all\n[role manager]\nreceives = own\n" REST;
	struct client m, f;

	rig_restart(&rig, 100);
	stream(&m, 0, "m1", "");
	stream(&f, 0, "f7", "");
	rig_publish_one(&rig, 101, "7", "7");
	client_wait(&f, "{\"n\":101}");
	rig_post_conf(&rig, swapped);
	rig_publish_one(&rig, 102, "8", "8");
	rig_publish_one(&rig, 103, "1", "1");
	client_wait(&f, "{\"n\":103}");
	client_wait(&m, "{\"n\":103}");
	assert_numbers(&f, "101 102 103");
	assert_numbers(&m, "101 103");
	rig_post_conf(&rig, only_managers);
	client_wait_end(&f);
	assert_true(logged("reason=\"role may not use this route any more\""));
	rig_publish_one(&rig, 104, "", "");
	client_wait(&m, "{\"n\":104}");
	client_close(&m);
	client_close(&f);
}

/* The request began under the old configuration, the stream begins under the new one. */
TEST(a_reload_during_a_look_up)
{
	struct post_lookup *l;
	struct client c;

	rig_restart(&rig, 100);
	rig_hold(&rig, "late");
	client_get(&c, rig.ports[0], "/events/", "late", "");
	l = (struct post_lookup *)rig_take(&rig, POST_LOOKUP);
	rig_post_conf(&rig, conf_text);
	rig_answer(&rig, l, LOOKUP_OK, "1", "manager");
	client_wait(&c, "established");
	rig_publish_one(&rig, 101, "", "");
	client_wait(&c, "{\"n\":101}");
	client_wait(&c, "\"keepalive\""); /* its route says when */
	client_close(&c);
}

TEST(keep_alive)
{
	struct client c, old;

	rig_restart(&rig, 100);
	stream(&c, 0, "m1", "");
	client_open(&old, rig.ports[1], 0);
	client_send(&old, "GET /events/?token=m1 HTTP/1.0\r\n\r\n");
	client_wait(&c, "\r\n49\r\ndata: {\"event\": \"keepalive\", \"timestamp\": ");
	client_wait(&c, "}\nid: epoch001.0.2t\n\n\r\n");
	client_wait(&old, "\n\ndata: {\"event\": \"keepalive\", \"timestamp\": ");
	client_close(&c);
	client_close(&old);
}

/* The size of the send buffer that the daemon's end of a client's connection has. */
static int send_buffer_of(const struct client *c)
{
	struct sockaddr_in ours, theirs;
	socklen_t len = sizeof(ours);

	assert_int_equal(getsockname(c->fd, (struct sockaddr *)&ours, &len), 0);
	for (int fd = 3; fd < 1024; fd++) {
		int bytes = 0;
		socklen_t size = sizeof(bytes);

		len = sizeof(theirs);
		if (fd != c->fd && !getpeername(fd, (struct sockaddr *)&theirs, &len) &&
		    theirs.sin_port == ours.sin_port &&
		    !getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, &size))
			return bytes;
	}
	return -1;
}

TEST(the_send_buffer_is_as_configured)
{
	struct client c;

	rig_restart(&rig, 100);
	stream(&c, 0, "m1", "");
	rig_publish_one(&rig, 101, "", "");
	client_wait(&c, "{\"n\":101}");			/* the socket has changed hands */
	assert_int_equal(send_buffer_of(&c), 2 * 4096); /* the kernel doubles it */
	client_close(&c);
}

TEST(an_outage_is_told)
{
	struct client c;

	rig_restart(&rig, 100);
	stream(&c, 0, "m1", "");
	rig_publish_one(&rig, 101, "", "");
	client_wait(&c, "{\"n\":101}");
	rig_post_database(&rig, false);
	client_wait(&c, ": database connection lost; events follow when it is back\n");
	rig_post_database(&rig, true);
	client_wait(&c, ": database connection restored\n");
	client_close(&c);
}

TEST(limits_are_answered)
{
	struct client c;

	rig_restart(&rig, 100);
	registry_limit(rig.registry, 2, 1);
	stream(&c, 0, "m1", "");
	ask(GET("/events/", "Authorization: Token m1\r\n"), "HTTP/1.1 429 ", "Retry-After: 3");
	registry_limit(rig.registry, 1, 0);
	ask(GET("/events/", "Authorization: Token f7\r\n"), "HTTP/1.1 503 ", "Retry-After: 3");
	ask(GET("/events/?token=f7", ""), "HTTP/1.1 200 ", "\r\n\r\nretry: ");
	client_close(&c);
}

/* A proxy may notice that its client has gone only when it is written to. */
TEST(the_departed_make_room)
{
	struct client gone, next, third;

	rig_restart(&rig, 100);
	registry_limit(rig.registry, 0, 1);
	stream(&gone, 0, "m1", "");
	rig_publish_one(&rig, 101, "", "");
	client_wait(&gone, "{\"n\":101}");
	client_get(&next, rig.ports[1], "/events/", "m1", "");
	client_wait(&gone, "\r\n2\r\n:\n\r\n"); /* a comment, in a chunk */
	client_close(&gone);
	client_wait(&next, "established"); /* it has waited */
	client_get(&third, rig.ports[0], "/events/", "m1", "");
	client_wait(&third, "HTTP/1.1 429 "); /* this one waits in vain */
	client_close(&third);
	client_close(&next);
}

TEST(drains)
{
	struct client c[4], late;
	struct post_lookup *l;
	const char *last;

	rig_restart(&rig, 100);
	rig_hold(&rig, "late");
	for (unsigned i = 0; i < 4; i++)
		stream(&c[i], i % 2, i < 2 ? "m1" : "f7", "");
	rig_publish_one(&rig, 101, "7", "7");
	for (unsigned i = 0; i < 4; i++)
		client_wait(&c[i], "{\"n\":101}");
	client_get(&late, rig.ports[0], "/events/", "late", "");
	l = (struct post_lookup *)rig_take(&rig, POST_LOOKUP);
	rig_publish_one(&rig, 102, "7", "7");
	rig_post_all(&rig, POST_DRAIN);
	for (unsigned i = 0; i < 4; i++) {
		client_wait_end(&c[i]);
		assert_numbers(&c[i], "101 102"); /* what was queued came first */
		last = strstr(strstr(buf_cstr(&c[i].got), "{\"n\":102}"), "\r\nretry: ");
		assert_non_null(last);
		last += strlen("\r\nretry: ");
		last += strspn(last, "0123456789"); /* only the line: no event without data */
		assert_string_equal(last, "\n\r\n0\r\n\r\n");
		client_close(&c[i]);
	}
	free(rig_take(&rig, POST_DRAINED)); /* the worker without a request */
	rig_answer(&rig, l, LOOKUP_OK, "1", "manager");
	client_wait(&late, "HTTP/1.1 503 ");
	client_wait(&late, "Shutting down");
	client_close(&late);
	free(rig_take(&rig, POST_DRAINED));
	assert_int_equal(registry_streams(rig.registry), 0);
}

/* Streams, replays, look-ups and half a request, all under way: rig_stop() must free them. */
/* A message of a WebSocket's client, of less than 126 bytes. */
static void say(struct client *c, const char *text)
{
	char masked[140] = {(char)0x81, (char)(0x80 | strlen(text)), 1, 1, 1, 1};

	for (size_t i = 0; text[i]; i++)
		masked[6 + i] = (char)(text[i] ^ 1);
	client_send(c, masked);
}

/* It has arrived, and is never answered. */
static void leave_lying(int kind)
{
	struct letter *l = rig_take(&rig, kind);

	pthread_mutex_lock(&rig.lock);
	list_push(&rig.letters, &l->node);
	pthread_mutex_unlock(&rig.lock);
}

TEST(stops_in_the_middle)
{
	struct client c[7];

	rig_restart(&rig, 100);
	rig_hold(&rig, "late");
	stream(&c[0], 0, "m1", "");
	resume(&c[1], 0, "m1", 50);
	client_get(&c[2], rig.ports[1], "/events/", "late", "");
	client_open(&c[3], rig.ports[1], 0);
	client_send(&c[3], "GET /events/ HT");
	client_open(&c[4], rig.ports[0], 0);
	resume(&c[5], 1, "f7", 50);
	client_open(&c[6], rig.ports[0], 0);
	client_send(&c[6], GET_WEBSOCKET("/events/", "Authorization: Token m1\r\n"));
	client_wait(&c[6], "Sec-WebSocket-Accept");
	say(&c[6], "{\"action\": \"renew\", \"data\": {\"token\": \"late\"}, \"request_id\": 1}");
	for (int i = 0; i < 2; i++) {
		leave_lying(POST_REPLAY);
		leave_lying(POST_LOOKUP);
	}
	rig_publish_one(&rig, 101, "7", "7");
	client_wait(&c[0], "{\"n\":101}");
	for (int i = 0; i < 7; i++)
		client_close(&c[i]);
}

/* Many clients of both workers come and go while events flow; each gets an unbroken run. */
TEST(come_and_go)
{
	struct rng r = rng_new();
	struct client c[24];
	uint64_t first[24], n = 100;
	bool open[24] = {false};

	rig_restart(&rig, n);
	for (int round = 0; round < 400; round++) {
		unsigned i = (unsigned)rng_below(&r, 24);
		struct event *events[8];
		size_t k = rng_below(&r, 8);

		if (open[i]) {
			char want[40];
			uint64_t at = first[i];

			snprintf(want, sizeof(want), "{\"n\":%llu}", (unsigned long long)n);
			if (n >= first[i])
				client_wait(&c[i], want);
			for (const char *p = buf_cstr(&c[i].got); (p = strstr(p, "{\"n\":")); p++) {
				uint64_t got;

				p += 5;
				assert_true(num_u64(p, strspn(p, "0123456789"), &got));
				assert_int_equal(got, at++);
			}
			assert_int_equal(at, n + 1 > first[i] ? n + 1 : first[i]);
			client_close(&c[i]);
		} else {
			first[i] = n > 110 ? n - rng_below(&r, 10) : n + 1;
			if (first[i] > n)
				first[i] = n + 1;
			resume(&c[i], i % 2, "m1", first[i] - 1);
		}
		open[i] = !open[i];
		for (size_t e = 0; e < k; e++)
			events[e] = rig_event(++n, "7", "7");
		rig_publish(&rig, events, k, n);
	}
	for (unsigned i = 0; i < 24; i++)
		if (open[i])
			client_close(&c[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers, start, stop),
		cmocka_unit_test_setup_teardown(each_hears_what_is_his, start, stop),
		cmocka_unit_test_setup_teardown(resumes_from_the_ring, start, stop),
		cmocka_unit_test_setup_teardown(useless_positions_are_told, start, stop),
		cmocka_unit_test_setup_teardown(a_loss_reaches_resumed_streams, start, stop),
		cmocka_unit_test_setup_teardown(replays_from_the_journal, start, stop),
		cmocka_unit_test_setup_teardown(a_replay_that_cannot_be, start, stop),
		cmocka_unit_test_setup_teardown(a_restart_during_a_replay, start, stop),
		cmocka_unit_test_setup_teardown(rights_are_looked_up_again, start, stop),
		cmocka_unit_test_setup_teardown(a_reload_while_streaming, start, stop),
		cmocka_unit_test_setup_teardown(a_reload_during_a_look_up, start, stop),
		cmocka_unit_test_setup_teardown(keep_alive, start, stop),
		cmocka_unit_test_setup_teardown(the_send_buffer_is_as_configured, start, stop),
		cmocka_unit_test_setup_teardown(an_outage_is_told, start, stop),
		cmocka_unit_test_setup_teardown(limits_are_answered, start, stop),
		cmocka_unit_test_setup_teardown(the_departed_make_room, start, stop),
		cmocka_unit_test_setup_teardown(drains, start, stop),
		cmocka_unit_test_setup_teardown(stops_in_the_middle, start, stop),
		cmocka_unit_test_setup_teardown(come_and_go, start, stop),
	};

	int fd = open(LOG_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);

	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
		return 99;
	close(fd);
	return cmocka_run_group_tests_name("worker", tests, NULL, NULL); /* its words too */
}
