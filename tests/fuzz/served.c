/* SPDX-License-Identifier: PostgreSQL
 * See served.h. */
#include "config.h"

#include "served.h"

#include <assert.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "conf.h"
#include "hub/post.h"
#include "web/listen.h"

static struct loop *loop;
static struct inbox inbox, *inboxes[1];
static struct commons commons;
static struct worker *worker;
static struct sockaddr_in address;

static void look_up(struct post_lookup *l)
{
	l->verdict = strcmp(l->token, "good") ? LOOKUP_UNKNOWN : LOOKUP_OK;
	if (l->verdict != LOOKUP_OK)
		return;
	l->who = xcalloc(1, sizeof(*l->who));
	l->who->user_id = xstrdup("1");
	l->who->role = xstrdup("manager");
}

static void replay(struct post_replay *p)
{
	p->verdict = p->kept ? REPLAY_DONE : REPLAY_RESET;
	p->reason = "pruned";
}

static void publish(struct post_publish *l)
{
	l->verdict = (enum publish_verdict)(strlen(l->message.payload) % (PUBLISH_UNAVAILABLE + 1));
	l->id = 7;
	l->why = l->verdict == PUBLISHED ? NULL : xstrdup("It is \"not\" so.");
}

static void on_letters(void *arg, struct list *letters)
{
	(void)arg;
	LIST_EACH (letters, node, tmp) {
		struct letter *letter = LIST_ENTRY(node, struct letter, node);
		struct inbox *to;

		list_remove(node);
		if (letter->kind == POST_REPLAY) {
			replay((struct post_replay *)letter);
			to = ((struct post_replay *)letter)->reply_to;
		} else if (letter->kind == POST_PUBLISH) {
			publish((struct post_publish *)letter);
			to = ((struct post_publish *)letter)->reply_to;
		} else {
			assert(letter->kind == POST_LOOKUP);
			look_up((struct post_lookup *)letter);
			to = ((struct post_lookup *)letter)->reply_to;
		}
		inbox_post(to, letter);
	}
}

static int listener(void)
{
	static char name[] = "127.0.0.1:0", *names[] = {name};
	socklen_t len = sizeof(address);
	struct listen_set set = {0};
	autobuf error = {.max = 1000};
	bool ok = listen_resolve(&set, names, 1, &error) && listen_open(&set, 1, 0600, &error);
	int fd;

	assert(ok);
	fd = set.fds[0];
	listen_free(&set);
	getsockname(fd, (struct sockaddr *)&address, &len);
	return fd;
}

struct worker *served_start(const char *conf_text)
{
	autobuf error = {.max = 1000};
	struct post_events *p = xcalloc(1, sizeof(*p));
	struct conf *conf;
	int fd = listener();
	bool ok;

	log_setup(LOG_L_ERROR, LOG_F_TEXT);
	conf = conf_parse("fuzz.conf", conf_text, strlen(conf_text), &error);
	if (!conf) {
		log_error("%s", buf_cstr(&error));
		abort();
	}
	loop = loop_new();
	ok = inbox_init(&inbox, loop, on_letters, NULL);
	assert(ok);
	commons_init(&commons);
	worker = worker_new(0, conf, &fd, 1, &inbox, &commons);
	assert(worker);
	inboxes[0] = &worker->inbox;
	commons.workers = inboxes;
	commons.n_workers = 1;
	p->letter.kind = POST_EVENTS;
	p->restart = true;
	p->floor = 100;
	memcpy(p->position.text, "epoch001.0.2t", 14);
	inbox_post(&worker->inbox, &p->letter);
	loop_turn(worker->loop, 0);
	conf_unref(conf);
	return worker;
}

int served_connect(void)
{
	const struct linger reset = {.l_onoff = 1};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

bool served_turn(int fd, struct buf *got)
{
	char bytes[4096];
	size_t before = got->len;
	ssize_t n;

	loop_turn(worker->loop, 0);
	loop_turn(loop, 0);
	while ((n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		buf_add(got, bytes, (size_t)n);
	return got->len > before;
}

static unsigned connections(void)
{
	return MHD_get_daemon_info(worker->http.mhd, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)
		->num_connections;
}

void served_settle(void)
{
	while (worker->n_streams || worker->n_partings || worker->http.n_requests ||
	       connections() || commons.lobby.n) {
		loop_turn(worker->loop, 100);
		loop_turn(loop, 0);
	}
	assert(!registry_streams(worker->registry) && !worker->http.room.bytes &&
	       !worker->http.room.users);
}
