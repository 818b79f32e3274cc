/* SPDX-License-Identifier: PostgreSQL
 * web/bag: what goes in comes out, with last words that its client understands, whatever the
 * reader knows of it; and what versions before and this one leave each other. */
#include "config.h"
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "web/bag.h"
#include "wire/form.h"
#include "wire/websocket.h"

#define MANY 600 /* of a kind: three messages */

static uint32_t form(enum wire_transport transport)
{
	const struct form_parts parts = {.transport = transport};

	return form_of(&parts);
}

/* A client's end; the other one goes into the bag. */
static int put(struct bag *b, enum wire_transport transport, bool chunked, const char *position)
{
	const struct bag_end end = {form(transport), chunked, 1000, position};
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	bag_put(b, ends[0], &end);
	return ends[1];
}

/* All that a client is told, and then its end. */
static void heard(int client, char *out, size_t size)
{
	ssize_t n = 0, len = 0;

	do
		len += n;
	while ((n = recv(client, out + len, size - 1 - (size_t)len, 0)) > 0);
	assert_int_equal(n, 0);
	out[len] = '\0';
	close(client);
}

static unsigned retry_in(const char *text, const char *before)
{
	const char *at = strstr(text, before);

	assert_non_null(at);
	return (unsigned)strtoul(at + strlen(before), NULL, 10);
}

/* Each of these says to come back after one to three seconds. */
static void is_farewell(int client, enum wire_transport transport, bool chunked)
{
	char text[1000];
	const char *body = text;

	heard(client, text, sizeof(text));
	if (chunked) {
		assert_memory_equal(text + strlen(text) - 7, "\r\n0\r\n\r\n", 7);
		body = strstr(text, "\r\n") + 2;
		text[strlen(text) - 7] = '\0';
	}
	if (transport == TRANSPORT_SSE) {
		assert_memory_equal(body, "retry: ", 7);
		assert_in_range(retry_in(body, "retry: "), 1000, 3000);
	} else if (transport == TRANSPORT_POLL) {
		assert_memory_equal(body, "\n], \"last_event_id\": \"here\", \"retry\": ", 38);
		assert_in_range(retry_in(body, "\"retry\": "), 1000, 3000);
	} else if (transport == TRANSPORT_NDJSON) {
		assert_memory_equal(body, "{\"event\": \"system.farewell\"", 27);
		assert_in_range(retry_in(body, "\"retry\": "), 1000, 3000);
		assert_int_equal(body[strlen(body) - 1], '\n');
	} else {
		size_t len = (uint8_t)text[1];

		assert_int_equal((uint8_t)text[0], 0x81);
		assert_in_range(retry_in(text, "\"retry\": "), 1000, 3000);
		assert_int_equal((uint8_t)text[len + 2], 0x88);
		assert_int_equal((uint8_t)text[len + 4] << 8 | (uint8_t)text[len + 5],
				 WEBSOCKET_SERVICE_RESTART);
	}
}

struct kind {
	enum wire_transport transport;
	bool chunked;
};

static const struct kind kinds[] = {
	{TRANSPORT_SSE, true},	      {TRANSPORT_NDJSON, true}, {TRANSPORT_SSE, false},
	{TRANSPORT_NDJSON, false},    {TRANSPORT_POLL, true},	{TRANSPORT_POLL, false},
	{TRANSPORT_WEBSOCKET, false},
};

#define N_KINDS (sizeof(kinds) / sizeof(*kinds))

static void fill(struct bag *b, int clients[N_KINDS])
{
	for (size_t i = 0; i < N_KINDS; i++)
		clients[i] = put(b, kinds[i].transport, kinds[i].chunked,
				 kinds[i].transport == TRANSPORT_POLL ? "here" : NULL);
}

TEST(each_gets_its_own_words)
{
	struct bag *b = bag_new();
	struct bag_item *items;
	int clients[N_KINDS];
	size_t n;
	int fd;

	fill(b, clients);
	assert_int_equal(bag_count(b), N_KINDS);
	assert_true((fd = bag_pack(b)) >= 0);
	bag_free(b, false);
	n = bag_unpack(fd, &items);
	assert_int_equal(n, N_KINDS);
	for (size_t i = 0; i < n; i++) {
		bag_farewell(&items[i]);
		close(items[i].fd);
	}
	free(items);
	for (size_t i = 0; i < N_KINDS; i++)
		is_farewell(clients[i], kinds[i].transport, kinds[i].chunked);
}

/* The process that cannot hand over says the same. */
TEST(farewell_without_a_next_process)
{
	struct bag *b = bag_new();
	int clients[N_KINDS];

	fill(b, clients);
	assert_int_equal(send(clients[6], "unread", 6, 0), 6); /* would make a reset */
	bag_free(b, true);
	for (size_t i = 0; i < N_KINDS; i++)
		is_farewell(clients[i], kinds[i].transport, kinds[i].chunked);
}

TEST(many)
{
	struct bag *b = bag_new();
	struct bag_item *items;
	int *clients = xcalloc(2 * MANY, sizeof(int));
	size_t n;
	int fd;

	for (size_t i = 0; i < MANY; i++) {
		clients[2 * i] = put(b, TRANSPORT_WEBSOCKET, false, NULL);
		clients[2 * i + 1] = put(b, TRANSPORT_SSE, true, NULL);
	}
	assert_true((fd = bag_pack(b)) >= 0);
	bag_free(b, false);
	n = bag_unpack(fd, &items);
	assert_int_equal(n, 2 * MANY);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(items[i].talks, i >= MANY);
		assert_int_equal(items[i].chunked, i < MANY);
		frame_unref(items[i].words);
		close(items[i].fd);
	}
	free(items);
	for (size_t i = 0; i < 2 * MANY; i++)
		close(clients[i]);
	free(clients);
}

TEST(empty)
{
	struct bag *b = bag_new();
	struct bag_item *items;
	int fd = bag_pack(b);

	assert_true(fd >= 0);
	bag_free(b, false);
	assert_int_equal(bag_unpack(fd, &items), 0);
	free(items);
}

/* A message as the version before wrote it, letters alone, or as it reads one. */
static void send_old(int bag, const int *fds, const char *letters)
{
	char control[CMSG_SPACE(2 * sizeof(int))] __attribute__((aligned(8))) = {0};
	struct iovec text = {(void *)(uintptr_t)letters, 2};
	struct msghdr msg = {.msg_iov = &text,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(2 * sizeof(int));
	memcpy(CMSG_DATA(c), fds, 2 * sizeof(int));
	assert_int_equal(sendmsg(bag, &msg, 0), 2);
}

TEST(of_the_version_before)
{
	struct bag_item *items;
	int ends[2], one[2], two[2], fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, one), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, two), 0);
	fds[0] = one[0];
	fds[1] = two[0];
	send_old(ends[0], fds, "cp");
	close(ends[0]);
	close(one[0]);
	close(two[0]);
	assert_int_equal(bag_unpack(ends[1], &items), 2);
	for (size_t i = 0; i < 2; i++) {
		char text[100];

		assert_false(items[i].talks);
		bag_farewell(&items[i]);
		close(items[i].fd);
		heard(i ? two[1] : one[1], text, sizeof(text));
		assert_in_range(retry_in(text, "retry: "), 3000, 9000);
		assert_int_equal(strstr(text, "\r\n0\r\n\r\n") != NULL, !i);
	}
	free(items);
}

/* It reads up to the first message without a socket, 250 bytes of each, and knows 'p'. */
TEST(for_the_version_before)
{
	struct bag *b = bag_new();
	int clients[N_KINDS], fd, n = 0;
	char letters[250], control[CMSG_SPACE(250 * sizeof(int))] __attribute__((aligned(8)));

	fill(b, clients);
	assert_true((fd = bag_pack(b)) >= 0);
	bag_free(b, false);
	for (;;) {
		struct iovec text = {letters, sizeof(letters)};
		struct msghdr msg = {.msg_iov = &text,
				     .msg_iovlen = 1,
				     .msg_control = control,
				     .msg_controllen = sizeof(control)};
		const struct cmsghdr *c =
			recvmsg(fd, &msg, MSG_DONTWAIT) > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
		int got[2];

		if (!c)
			break;
		assert_int_equal(c->cmsg_len, CMSG_LEN(sizeof(got)));
		memcpy(got, CMSG_DATA(c), sizeof(got));
		for (size_t i = 0; i < 2; i++) {
			assert_int_equal(letters[i], i ? 'p' : 'c');
			close(got[i]);
		}
		n += 2;
	}
	assert_int_equal(n, 2); /* of SSE */
	close(fd);		/* the others have ended with it */
	for (size_t i = 0; i < N_KINDS; i++) {
		char text[10];

		heard(clients[i], text, sizeof(text));
		assert_string_equal(text, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_gets_its_own_words),
		cmocka_unit_test(farewell_without_a_next_process),
		cmocka_unit_test(many),
		cmocka_unit_test(empty),
		cmocka_unit_test(of_the_version_before),
		cmocka_unit_test(for_the_version_before),
	};

	return cmocka_run_group_tests_name("bag", tests, NULL, NULL);
}
