/* SPDX-License-Identifier: PostgreSQL
 * Raw bytes into a worker's socket, with no database: look-ups of "good" succeed, all others are
 * unknown. The worker's loop is turned here, without threads, until the connection has ended. */
#include "config.h"

#include <arpa/inet.h>
#include <assert.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "conf.h"
#include "hub/post.h"
#include "target.h"
#include "web/listen.h"
#include "web/worker.h"

static const char conf_text[] =
	"[server]\ncors_origins = https://a.example\ntrusted_proxies = 127.0.0.1\n"
	"[role manager]\nreceives = all\n[auth main]\n"
	"[watch e]\ntable = public.e\nfields = id\n"
	"[auth site]\npreset = session\nsecret_key_file = /nowhere\n"
	"[route events]\npath = /e\n[route stats]\npath = /s\nkind = stats\n"
	"[route cookies]\npath = /c\nauth = site\n";

static struct loop *loop;
static struct inbox inbox;
static struct commons commons;
static struct worker *worker;
static struct sockaddr_in address;

static void on_letters(void *arg, struct list *letters)
{
	(void)arg;
	LIST_EACH (letters, node, tmp) {
		struct letter *letter = LIST_ENTRY(node, struct letter, node);
		struct post_lookup *l = (struct post_lookup *)letter;

		list_remove(node);
		if (letter->kind == POST_REPLAY) {
			struct post_replay *p = (struct post_replay *)letter;

			p->verdict = REPLAY_RESET;
			p->reason = "pruned";
			inbox_post(p->reply_to, letter);
			continue;
		}
		assert(letter->kind == POST_LOOKUP);
		l->verdict = strcmp(l->token, "good") ? LOOKUP_UNKNOWN : LOOKUP_OK;
		if (l->verdict == LOOKUP_OK) {
			l->who = xcalloc(1, sizeof(*l->who));
			l->who->user_id = xstrdup("1");
			l->who->role = xstrdup("manager");
		}
		inbox_post(l->reply_to, letter);
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	socklen_t len = sizeof(address);
	static char name[] = "127.0.0.1:0", *names[] = {name};
	struct listen_set set = {0};
	struct buf error;
	struct post_events *p;
	struct conf *conf;
	int fd;
	bool ok;

	(void)argc;
	(void)argv;
	log_setup(LOG_L_ERROR, LOG_F_TEXT);
	buf_init(&error, 1000);
	conf = conf_parse("fuzz.conf", conf_text, strlen(conf_text), &error);
	assert(conf);
	ok = listen_resolve(&set, names, 1, &error) && listen_open(&set, 1, 0600, &error);
	assert(ok);
	fd = set.fds[0];
	listen_free(&set);
	getsockname(fd, (struct sockaddr *)&address, &len);
	loop = loop_new();
	ok = inbox_init(&inbox, loop, on_letters, NULL);
	assert(ok);
	commons_init(&commons);
	worker = worker_new(0, conf, &fd, 1, &inbox, &commons);
	assert(worker);
	p = xcalloc(1, sizeof(*p));
	p->letter.kind = POST_EVENTS;
	p->restart = true;
	p->floor = 100;
	memcpy(p->position.text, "epoch001.0.2t", 14);
	inbox_post(&worker->inbox, &p->letter);
	loop_turn(worker->loop, 0);
	conf_unref(conf);
	buf_free(&error);
	return 0;
}

static unsigned connections(void)
{
	return MHD_get_daemon_info(worker->http.mhd, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)
		->num_connections;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct linger reset = {.l_onoff = 1}; /* no port stays behind in TIME_WAIT */
	char answer[4096], first[16] = "";
	size_t got = 0;
	ssize_t n;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		return 0;
	}
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	if (size > 32768)
		size = 32768;
	(void)!send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	for (int idle = 0; idle < 4; idle++) { /* as long as something happens */
		loop_turn(worker->loop, 0);
		loop_turn(loop, 0);
		while ((n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT)) > 0) {
			for (ssize_t i = 0; i < n && got < sizeof(first) - 1; i++)
				first[got++] = answer[i];
			idle = 0;
		}
	}
	assert(!got || !strncmp(first, "HTTP/1.", got < 7 ? got : 7));
	close(fd);
	while (worker->n_streams || worker->http.n_requests || connections() || commons.lobby.n)
		loop_turn(worker->loop, 100);
	assert(!registry_streams(worker->registry));
	return 0;
}
