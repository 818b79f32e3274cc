/* SPDX-License-Identifier: PostgreSQL
 * What clients say, the whole way through a worker: each line is a message over a WebSocket, or,
 * behind one of "<>!^", a body that is posted: to subscribe the same stream, to unsubscribe it, to
 * everybody and to somebody. Each has one answer: over the WebSocket an object with the request_id
 * that is as it was said, by HTTP a status that is not the daemon's own fault. */
#include "config.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/utf8.h"
#include "served.h"
#include "target.h"
#include "wire/scan.h"

#define LINES_MAX  50	 /* fewer than are read in a second */
#define BYTES_MAX  30000 /* the same */
#define ANSWER_MAX (1 << 24)
#define TURNS_MAX  100000 /* then it does not come */

static const char conf_text[] =
	"[server]\nflush = 0ms\nauth_failures = 0\n[publish]\nroles = pgherald\n"
	"[role manager]\nreceives = all\nchannels = news, project.*\npublish = *\n[auth main]\n"
	"[watch e]\ntable = public.e\nfields = id\n"
	"[route events]\npath = /e\ntransports = websocket\n"
	"[route subscribe]\npath = /subscribe\nkind = subscribe\n"
	"[route unsubscribe]\npath = /unsubscribe\nkind = unsubscribe\n"
	"[route all]\npath = /all\nkind = broadcast\n[route some]\npath = /some\nkind = send\n";

static struct worker *worker;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	worker = served_start(conf_text);
	return 0;
}

static void say(int fd, const void *bytes, size_t len)
{
	ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	assert(n == (ssize_t)len);
}

/* The next frame behind `at`; 0 when it is not whole. */
static size_t frame(const struct buf *got, size_t at, const char **text, size_t *len)
{
	const uint8_t *b = (const uint8_t *)got->data + at;
	size_t left = got->len - at, head = 2;

	if (left < 2)
		return 0;
	assert(!(b[1] & 0x80)); /* a server's are not masked */
	*len = b[1];
	head = b[1] == 126 ? 4 : b[1] == 127 ? 10 : 2;
	if (left < head)
		return 0;
	if (head > 2)
		*len = 0;
	for (size_t i = 2; i < head; i++)
		*len = *len << 8 | b[i];
	*text = got->data + at + head;
	return left - head < *len ? 0 : head + *len;
}

/* A WebSocket as its client has it. */
struct spoken {
	int fd;
	struct buf got;
	size_t at; /* what has been looked at of it */
	bool closed;
};

/* The next answer, a text; what else comes is passed over. False when it has been closed. */
static bool hear(struct spoken *s, struct scan *answer)
{
	const char *text;
	size_t len, n;

	for (unsigned turns = 0; turns < TURNS_MAX && !s->closed; turns++) {
		(void)served_turn(s->fd, &s->got);
		while ((n = frame(&s->got, s->at, &text, &len))) {
			uint8_t first = (uint8_t)s->got.data[s->at];

			s->at += n;
			if (first == 0x88) {
				s->closed = true;
				return false;
			}
			if (first == 0x81) {
				bool ok = scan_text(text, len, answer);

				assert(ok && *answer->at == '{');
				return true;
			}
		}
	}
	assert(s->closed); /* every message is answered */
	return false;
}

static bool begin(struct spoken *s)
{
	static const char handshake[] =
		"GET /e HTTP/1.1\r\nHost: t\r\nAuthorization: Token good\r\n"
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
	struct scan hello;
	const char *end;

	*s = (struct spoken){.fd = served_connect(), .got = {.max = ANSWER_MAX}};
	if (s->fd < 0)
		return false;
	say(s->fd, handshake, sizeof(handshake) - 1);
	while (!(end = strstr(buf_cstr(&s->got), "\r\n\r\n")))
		(void)served_turn(s->fd, &s->got);
	assert(!strncmp(buf_cstr(&s->got), "HTTP/1.1 101 ", 13));
	s->at = (size_t)(end + 4 - s->got.data);
	return hear(s, &hello);
}

/* One frame of text; its mask is nought. */
static void send_text(struct spoken *s, const char *text, size_t len)
{
	uint8_t head[8] = {0x81, (uint8_t)(0x80 | len)};
	size_t n = 6;

	if (len > 125) { /* the shortest form, and no other */
		head[1] = 0xfe;
		head[2] = (uint8_t)(len >> 8);
		head[3] = (uint8_t)len;
		n = 8;
	}
	say(s->fd, head, n);
	say(s->fd, text, len);
}

static bool is_utf8(const char *s, size_t len)
{
	for (size_t at = 0, n; at < len; at += n) {
		n = utf8_len(s + at, len - at);
		if (!n)
			return false;
	}
	return true;
}

static void expect_id(const struct scan *answer, const char *text, size_t len)
{
	struct scan said, told, id;
	bool has = scan_text(text, len, &said) && *said.at == '{' &&
		   scan_member(said, "request_id", &id) && !scan_is_null(id) && id.len <= 128 &&
		   (*id.at == '"' || scan_is_integer(id));

	assert(scan_member(*answer, "request_id", &told) == has);
	assert(!has || (told.len == id.len && !memcmp(told.at, id.at, id.len)));
}

static void talk(struct spoken *s, const char *text, size_t len)
{
	struct scan answer;
	bool good = is_utf8(text, len);

	send_text(s, text, len);
	if (hear(s, &answer))
		expect_id(&answer, text, len);
	assert(s->closed == !good);
}

static void post(const char *path, const char *body, size_t len)
{
	autobuf got = {.max = ANSWER_MAX}, head = {.max = 1000};
	int fd = served_connect();

	if (fd < 0)
		return;
	buf_printf(&head,
		   "POST %s HTTP/1.1\r\nHost: t\r\nAuthorization: Token good\r\n"
		   "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
		   path, len);
	say(fd, buf_cstr(&head), head.len);
	say(fd, body, len);
	for (unsigned turns = 0; turns < TURNS_MAX && !strstr(buf_cstr(&got), "}\n"); turns++)
		(void)served_turn(fd, &got);
	assert(!strncmp(buf_cstr(&got), "HTTP/1.1 ", 9) && strncmp(buf_cstr(&got) + 9, "500", 3));
	assert(got.data[9] != '3' && strstr(buf_cstr(&got), "}\n"));
	close(fd);
}

static void do_line(struct spoken *s, const char *line, size_t len)
{
	static const struct {
		char sign;
		const char *path;
	} posts[] = {{'<', "/subscribe?stream=0."},
		     {'>', "/unsubscribe?stream=0."},
		     {'!', "/all"},
		     {'^', "/some"}};

	for (size_t i = 0; i < sizeof(posts) / sizeof(*posts); i++)
		if (len && *line == posts[i].sign) {
			autobuf path = {.max = 100};

			buf_str(&path, posts[i].path);
			if (strchr(posts[i].path, '?'))
				buf_u64(&path, worker->next_stream_id - 1);
			post(buf_cstr(&path), line + 1, len - 1);
			return;
		}
	talk(s, line, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data, *end = at + (size < BYTES_MAX ? size : BYTES_MAX);
	struct spoken s;

	if (begin(&s))
		for (unsigned n = 0; n < LINES_MAX && at < end && !s.closed; n++) {
			const char *line = at, *feed = memchr(at, '\n', (size_t)(end - at));

			at = feed ? feed : end;
			do_line(&s, line, (size_t)(at - line));
			at += feed != NULL;
		}
	if (s.fd >= 0)
		close(s.fd);
	buf_free(&s.got);
	served_settle();
	return 0;
}
