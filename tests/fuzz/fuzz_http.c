/* SPDX-License-Identifier: PostgreSQL
 * Raw bytes into a worker's socket: whatever they are, what comes back begins as an answer of HTTP,
 * every refusal is ours and none of libmicrohttpd's own, and nothing is left when the connection
 * has ended. */
#include "config.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "served.h"
#include "target.h"

#define ANSWER_MAX ((size_t)1 << 24)

static const char conf_text[] =
	"[server]\ncors_origins = https://a.example\ntrusted_proxies = 127.0.0.1\n"
	"[role manager]\nreceives = all\n[auth main]\n"
	"[watch e]\ntable = public.e\nfields = id\n"
	"[auth site]\npreset = session\nsecret_key_file = /nowhere\n"
	"[route events]\npath = /e\n[route stats]\npath = /s\nkind = stats\n"
	"[route cookies]\npath = /c\nauth = site\n";

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	served_start(conf_text);
	return 0;
}

/* libmicrohttpd says what it refuses in HTML, and does not say that it is HTML. */
static void look(const char *answer)
{
	const char *status = answer + strlen("HTTP/1.1 "), *end = strstr(answer, "\r\n\r\n");
	const char *type = strstr(answer, "\r\nContent-Type: ");

	assert(!end || (*status != '4' && *status != '5') || (type && type < end));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autobuf answer = {.max = ANSWER_MAX};
	int fd = served_connect();

	if (fd < 0)
		return 0;
	if (size > 32768)
		size = 32768;
	(void)!send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	for (int idle = 0; idle < 4; idle++) /* as long as something happens */
		if (served_turn(fd, &answer))
			idle = 0;
	assert(!strncmp(buf_cstr(&answer), "HTTP/1.", answer.len < 7 ? answer.len : 7));
	look(buf_cstr(&answer));
	close(fd);
	served_settle();
	return 0;
}
