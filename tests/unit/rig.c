/* SPDX-License-Identifier: PostgreSQL
 * See rig.h. */
#include "config.h"
#include "unit.h"

#include "rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "web/listen.h"

static struct rig_token *find_token(struct rig *r, const char *token)
{
	for (size_t i = 0; i < r->n_tokens; i++)
		if (!strcmp(r->tokens[i].token, token))
			return &r->tokens[i];
	return NULL;
}

void rig_answer(struct rig *r, struct post_lookup *l, enum lookup_verdict verdict,
		const char *user_id, const char *role)
{
	(void)r;
	l->verdict = verdict;
	if (verdict == LOOKUP_OK) {
		l->who = xcalloc(1, sizeof(*l->who));
		l->who->user_id = xstrdup(user_id);
		l->who->role = xstrdup(role);
	}
	inbox_post(l->reply_to, &l->letter);
}

/* On the database thread: true when the letter has been answered. */
static bool answered(struct rig *r, struct letter *letter)
{
	struct post_lookup *l = (struct post_lookup *)letter;
	struct rig_token *t;

	if (letter->kind != POST_LOOKUP)
		return false;
	t = find_token(r, l->token);
	if (t && t->hold)
		return false;
	if (t)
		rig_answer(r, l, t->verdict, t->user_id, t->role);
	else
		rig_answer(r, l, LOOKUP_UNKNOWN, NULL, NULL);
	return true;
}

static void on_letters(void *arg, struct list *letters)
{
	struct rig *r = arg;

	pthread_mutex_lock(&r->lock);
	LIST_EACH (letters, node, tmp) {
		struct letter *l = LIST_ENTRY(node, struct letter, node);

		list_remove(node);
		if (l->kind == POST_STOP) { /* ours */
			free(l);
			loop_stop(r->loop);
		} else if (!answered(r, l)) {
			list_push(&r->letters, node);
			pthread_cond_broadcast(&r->arrived);
		}
	}
	pthread_mutex_unlock(&r->lock);
}

static void *database_thread(void *arg)
{
	loop_run(((struct rig *)arg)->loop);
	return NULL;
}

static struct conf *parse(const char *text)
{
	struct buf error;
	struct conf *c;

	buf_init(&error, 1000);
	c = conf_parse("rig.conf", text, strlen(text), &error);
	if (!c)
		fail_msg("%s", buf_cstr(&error));
	buf_free(&error);
	return c;
}

static int listener(unsigned *port)
{
	static char name[] = "127.0.0.1:0", *names[] = {name};
	struct listen_set set = {0};
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);
	struct buf error;
	int fd;

	buf_init(&error, 100);
	assert_true(listen_resolve(&set, names, 1, &error));
	assert_true(listen_open(&set, 1, 0600, &error));
	fd = set.fds[0];
	listen_free(&set);
	buf_free(&error);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	*port = ntohs(sa.sin_port);
	return fd;
}

void rig_start(struct rig *r, const char *text)
{
	*r = (struct rig){.conf = parse(text), .loop = loop_new()};
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->arrived, NULL);
	list_init(&r->letters);
	commons_init(&r->commons);
	r->registry = r->commons.registry;
	registry_limit(r->registry, r->conf->max_streams, r->conf->max_streams_per_user);
	attempts_limit(r->commons.attempts, r->conf->auth_failures, r->conf->auth_failures_ms);
	lobby_limit(&r->commons.lobby, r->conf->max_requests, r->conf->max_requests_per_address);
	assert_true(inbox_init(&r->inbox, r->loop, on_letters, r));
	assert_int_equal(pthread_create(&r->thread, NULL, database_thread, r), 0);
	r->commons.workers = r->inboxes;
	r->commons.n_workers = RIG_WORKERS;
	for (unsigned i = 0; i < RIG_WORKERS; i++) {
		int fd = listener(&r->ports[i]);

		r->workers[i] = worker_new(i, r->conf, &fd, 1, &r->inbox, &r->commons);
		assert_non_null(r->workers[i]);
		r->inboxes[i] = &r->workers[i]->inbox;
		assert_true(worker_start(r->workers[i]));
	}
}

static void drop(struct letter *l)
{
	if (l->kind == POST_LOOKUP)
		post_lookup_free((struct post_lookup *)l);
	else if (l->kind == POST_REPLAY)
		post_replay_free((struct post_replay *)l);
	else
		free(l);
}

void rig_stop(struct rig *r)
{
	struct letter *stop = xcalloc(1, sizeof(*stop));

	rig_post_all(r, POST_STOP);
	for (unsigned i = 0; i < RIG_WORKERS; i++)
		worker_join(r->workers[i]);
	/* Before they are freed: it may be answering a look-up of theirs. */
	stop->kind = POST_STOP;
	inbox_post(&r->inbox, stop);
	pthread_join(r->thread, NULL);
	for (unsigned i = 0; i < RIG_WORKERS; i++)
		worker_free(r->workers[i]);
	LIST_EACH (&r->letters, node, tmp) {
		list_remove(node);
		drop(LIST_ENTRY(node, struct letter, node));
	}
	inbox_close(&r->inbox, drop);
	loop_free(r->loop);
	assert_int_equal(registry_streams(r->registry), 0);
	commons_free(&r->commons);
	assert_int_equal(r->conf->refs, 1);
	conf_unref(r->conf);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->arrived);
}

static void set_token(struct rig *r, const char *token, const struct rig_token *as)
{
	struct rig_token *t;

	pthread_mutex_lock(&r->lock);
	t = find_token(r, token);
	if (!t) {
		assert_true(r->n_tokens < RIG_TOKENS);
		t = &r->tokens[r->n_tokens++];
	}
	*t = *as;
	snprintf(t->token, sizeof(t->token), "%s", token);
	pthread_mutex_unlock(&r->lock);
}

void rig_token(struct rig *r, const char *token, enum lookup_verdict verdict, const char *user_id,
	       const char *role)
{
	struct rig_token t = {.verdict = verdict};

	snprintf(t.user_id, sizeof(t.user_id), "%s", user_id ? user_id : "");
	snprintf(t.role, sizeof(t.role), "%s", role ? role : "");
	set_token(r, token, &t);
}

void rig_hold(struct rig *r, const char *token)
{
	const struct rig_token t = {.hold = true};

	set_token(r, token, &t);
}

static struct letter *find_letter(struct rig *r, int kind)
{
	LIST_EACH (&r->letters, node, tmp) {
		struct letter *l = LIST_ENTRY(node, struct letter, node);

		if (l->kind == kind) {
			list_remove(node);
			return l;
		}
	}
	return NULL;
}

struct letter *rig_take(struct rig *r, int kind)
{
	struct timespec until;
	struct letter *l;
	int result = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += RIG_WAIT_S;
	pthread_mutex_lock(&r->lock);
	while (!(l = find_letter(r, kind)) && !result)
		result = pthread_cond_timedwait(&r->arrived, &r->lock, &until);
	pthread_mutex_unlock(&r->lock);
	if (!l)
		fail_msg("no letter of kind %d came", kind);
	return l;
}

void rig_post_all(struct rig *r, int kind)
{
	for (unsigned i = 0; i < RIG_WORKERS; i++) {
		struct letter *l = xcalloc(1, sizeof(*l));

		l->kind = kind;
		inbox_post(&r->workers[i]->inbox, l);
	}
}

void rig_post_conf(struct rig *r, const char *text)
{
	struct conf *c = parse(text);

	for (unsigned i = 0; i < RIG_WORKERS; i++) {
		struct post_conf *p = xcalloc(1, sizeof(*p));

		p->letter.kind = POST_CONF;
		p->conf = conf_ref(c);
		inbox_post(&r->workers[i]->inbox, &p->letter);
	}
	conf_unref(r->conf);
	r->conf = c;
}

void rig_post_database(struct rig *r, bool up)
{
	for (unsigned i = 0; i < RIG_WORKERS; i++) {
		struct post_database *p = xcalloc(1, sizeof(*p));

		p->letter.kind = POST_DATABASE;
		p->up = up;
		inbox_post(&r->workers[i]->inbox, &p->letter);
	}
}

const char *rig_cursor(uint64_t txid, struct cursor_text *out)
{
	const struct cursor c = {.epoch = "epoch001", .xmax = txid + 1};

	cursor_format(&c, out);
	return out->text;
}

struct event *rig_event(uint64_t txid, const char *before, const char *after)
{
	struct cursor_text cursor;
	autofree char *had = xasprintf("{%s}", before), *has = xasprintf("{%s}", after);
	char doc[40], leave[40];
	struct event_row row = {.op = 'u', .txid = txid, .id = txid, .at = 1700000000};

	snprintf(doc, sizeof(doc), "{\"n\":%llu}", (unsigned long long)txid);
	snprintf(leave, sizeof(leave), "{\"left\":%llu}", (unsigned long long)txid);
	row.topic = "estimate";
	row.doc = doc;
	row.leave = leave;
	row.before = had;
	row.after = has;
	row.cursor = rig_cursor(txid, &cursor);
	return event_new(&row);
}

struct event *rig_rights(uint64_t txid, const char *users)
{
	struct event_row row = {.op = 'a', .txid = txid, .id = txid, .topic = "auth"};
	char list[100];

	snprintf(list, sizeof(list), "{%s}", users);
	row.before = list;
	return event_new(&row);
}

static void post_events(struct rig *r, struct event **events, size_t n, uint64_t last_txid,
			bool restart)
{
	const struct cursor position = {
		.epoch = "epoch001", .loss = r->loss, .xmax = last_txid + 1};

	for (unsigned i = 0; i < RIG_WORKERS; i++) {
		struct post_events *p = xcalloc(1, sizeof(*p) + n * sizeof(struct event *));

		p->letter.kind = POST_EVENTS;
		p->restart = restart;
		p->floor = restart ? last_txid : 0;
		cursor_format(&position, &p->position);
		p->position_xmin = last_txid + 1;
		p->n = n;
		for (size_t k = 0; k < n; k++)
			p->events[k] = event_ref(events[k]);
		inbox_post(&r->workers[i]->inbox, &p->letter);
	}
	for (size_t k = 0; k < n; k++)
		event_unref(events[k]);
}

void rig_publish(struct rig *r, struct event **events, size_t n, uint64_t last_txid)
{
	post_events(r, events, n, last_txid, false);
}

void rig_publish_one(struct rig *r, uint64_t txid, const char *before, const char *after)
{
	struct event *e = rig_event(txid, before, after);

	post_events(r, &e, 1, txid, false);
}

void rig_restart(struct rig *r, uint64_t floor)
{
	post_events(r, NULL, 0, floor, true);
	rig_post_database(r, true);
}

void client_open(struct client *c, unsigned port, int rcvbuf)
{
	const struct sockaddr_in sa = {.sin_family = AF_INET,
				       .sin_port = htons((uint16_t)port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct timeval limit = {.tv_sec = RIG_WAIT_S};

	*c = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	buf_init(&c->got, 64 << 20);
	assert_true(c->fd >= 0);
	if (rcvbuf)
		setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(c->fd, (const struct sockaddr *)&sa, sizeof(sa)), 0);
}

void client_send(struct client *c, const char *text)
{
	assert_int_equal(send(c->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

void client_get(struct client *c, unsigned port, const char *path, const char *token,
		const char *headers)
{
	char request[1000];

	client_open(c, port, 0);
	snprintf(request, sizeof(request),
		 "GET %s HTTP/1.1\r\nHost: test\r\nAuthorization: Token %s\r\n%s\r\n", path, token,
		 headers);
	client_send(c, request);
}

#define HELLO_END "SSE connection established\"}\nid: "

void client_stream(struct client *c, unsigned port, const char *token, const char *headers)
{
	client_get(c, port, "/events/", token, headers);
	client_wait(c, HELLO_END);
}

void client_resume(struct client *c, unsigned port, const char *token, uint64_t txid)
{
	struct cursor_text cursor;
	char header[200];

	snprintf(header, sizeof(header), "Last-Event-ID: %s\r\n", rig_cursor(txid, &cursor));
	client_stream(c, port, token, header);
}

void client_stream_slowly(struct client *c, unsigned port, const char *token)
{
	char request[200];

	client_open(c, port, 4096);
	snprintf(request, sizeof(request), "GET /events/?token=%s HTTP/1.1\r\nHost: test\r\n\r\n",
		 token);
	client_send(c, request);
	client_wait(c, HELLO_END);
}

bool client_read(struct client *c)
{
	char piece[65536];
	ssize_t n;

	if (c->eof)
		return false;
	n = recv(c->fd, piece, sizeof(piece), 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		fail_msg("nothing came any more after: %s", buf_cstr(&c->got));
	if (n <= 0) {
		c->eof = true;
		return false;
	}
	buf_add(&c->got, piece, (size_t)n);
	assert_true(buf_ok(&c->got));
	return true;
}

bool client_has(const struct client *c, const char *text)
{
	return strstr(buf_cstr(&c->got), text) != NULL;
}

void client_wait(struct client *c, const char *text)
{
	time_t until = time(NULL) + RIG_WAIT_S;

	while (!client_has(c, text)) {
		if (time(NULL) > until) /* keep-alives came, and nothing else */
			fail_msg("no \"%s\" in: %s", text, buf_cstr(&c->got));
		if (!client_read(c))
			fail_msg("the stream ended without \"%s\": %s", text, buf_cstr(&c->got));
	}
}

void client_wait_end(struct client *c)
{
	while (client_read(c))
		;
}

const char *client_numbers(const struct client *c, struct buf *out)
{
	static const char key[] = "\"n\":";
	const char *p = buf_cstr(&c->got);

	buf_clear(out);
	while ((p = strstr(p, key))) {
		p += sizeof(key) - 1;
		buf_str(out, out->len ? " " : "");
		buf_add(out, p, strspn(p, "0123456789"));
	}
	return buf_cstr(out);
}

void client_is_told(const struct client *c, const char *numbers)
{
	struct buf b;

	buf_init(&b, 64 << 20);
	assert_string_equal(client_numbers(c, &b), numbers);
	buf_free(&b);
}

void client_close(struct client *c)
{
	close(c->fd);
	buf_free(&c->got);
}
