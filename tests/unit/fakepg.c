/* SPDX-License-Identifier: PostgreSQL
 * See fakepg.h. PostgreSQL's documentation, "Frontend/Backend Protocol", version 3.0. */
#include "config.h"
#include "unit.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fakepg.h"

static void put_u32(struct buf *b, uint32_t n)
{
	n = htonl(n);
	buf_add(b, &n, 4);
}

static void put_u16(struct buf *b, uint16_t n)
{
	n = htons(n);
	buf_add(b, &n, 2);
}

static uint32_t u32_at(const char *p)
{
	uint32_t n;

	memcpy(&n, p, 4);
	return ntohl(n);
}

/* A message with its type and length. */
static void put(struct fakepg_peer *p, char type, const void *body, size_t len)
{
	buf_char(&p->out, type);
	put_u32(&p->out, (uint32_t)len + 4);
	buf_add(&p->out, body, len);
}

static void put_parameter(struct fakepg_peer *p, const char *name, const char *value)
{
	struct buf b;

	buf_init(&b, 200);
	buf_add(&b, name, strlen(name) + 1);
	buf_add(&b, value, strlen(value) + 1);
	put(p, 'S', b.data, b.len);
	buf_free(&b);
}

static void welcome(struct fakepg_peer *p)
{
	bool standby = p->server->standbys && p->server->standbys--;

	put(p, 'R', "\0\0\0\0", 4);
	put_parameter(p, "server_version", "15.0");
	put_parameter(p, "client_encoding", "UTF8");
	put_parameter(p, "in_hot_standby", standby ? "on" : "off");
	put_parameter(p, "default_transaction_read_only", "on");
	put(p, 'K', "\0\0\0\1\0\0\0\2", 8);
	fakepg_ready(p);
	fakepg_flush(p);
}

void fakepg_rows(struct fakepg_peer *p, size_t n_columns, const char *const *rows, size_t n_rows)
{
	struct buf b;

	buf_init(&b, SIZE_MAX / 2);
	put_u16(&b, (uint16_t)n_columns);
	for (size_t i = 0; i < n_columns; i++) {
		buf_add(&b, "c\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0", 20);
	}
	put(p, 'T', b.data, b.len);
	for (size_t row = 0; row < n_rows; row++) {
		size_t col = 0;

		buf_clear(&b);
		put_u16(&b, (uint16_t)n_columns);
		for (const char *s = rows[row];; s++, col++) {
			size_t len = strcspn(s, "|");
			bool null = len == 1 && *s == '-';

			put_u32(&b, null ? UINT32_MAX : (uint32_t)len);
			buf_add(&b, s, null ? 0 : len);
			s += len;
			if (!*s)
				break;
		}
		assert_int_equal(col + 1, n_columns);
		put(p, 'D', b.data, b.len);
	}
	put(p, 'C', "SELECT 1", 9);
	buf_free(&b);
}

void fakepg_command(struct fakepg_peer *p)
{
	put(p, 'C', "SET", 4);
}

void fakepg_error(struct fakepg_peer *p, const char *sqlstate, const char *message,
		  const char *table)
{
	struct buf b;

	buf_init(&b, 1000);
	buf_add(&b, "SERROR", 7);
	buf_add(&b, "VERROR", 7);
	buf_char(&b, 'C');
	buf_add(&b, sqlstate, strlen(sqlstate) + 1);
	buf_char(&b, 'M');
	buf_add(&b, message, strlen(message) + 1);
	if (table) {
		buf_char(&b, 't');
		buf_add(&b, table, strlen(table) + 1);
	}
	buf_char(&b, '\0');
	put(p, 'E', b.data, b.len);
	buf_free(&b);
}

void fakepg_notify(struct fakepg_peer *p, const char *channel, const char *payload)
{
	struct buf b;

	buf_init(&b, 10000);
	put_u32(&b, 7);
	buf_add(&b, channel, strlen(channel) + 1);
	buf_add(&b, payload, strlen(payload) + 1);
	put(p, 'A', b.data, b.len);
	buf_free(&b);
}

void fakepg_ready(struct fakepg_peer *p)
{
	put(p, 'Z', "I", 1);
}

void fakepg_flush(struct fakepg_peer *p)
{
	assert_true(buf_ok(&p->out));
	for (size_t at = 0; at < p->out.len;) {
		ssize_t n = send(p->fd.fd, p->out.data + at, p->out.len - at, MSG_NOSIGNAL);

		if (n <= 0)
			break; /* the client has gone */
		at += (size_t)n;
	}
	buf_clear(&p->out);
}

static void forget_params(struct fakepg_peer *p)
{
	for (size_t i = 0; i < p->n_params; i++)
		free(p->params[i]);
	p->n_params = 0;
}

void fakepg_hang_up(struct fakepg_peer *p)
{
	if (!p->used)
		return;
	loop_del(p->server->loop, &p->fd);
	close(p->fd.fd);
	buf_free(&p->in);
	buf_free(&p->out);
	forget_params(p);
	p->used = false;
}

/* Parse: a name, which is empty for a statement that is used once, and a text. */
static void take_parse(struct fakepg_peer *p, const char *body)
{
	const char *text = body + strlen(body) + 1;

	if (!*body)
		snprintf(p->statement, sizeof(p->statement), "%s", text);
	put(p, '1', "", 0);
}

static void take_bind(struct fakepg_peer *p, const char *body)
{
	const char *name = body + strlen(body) + 1, *at = name + strlen(name) + 1;
	size_t n;

	if (*name)
		snprintf(p->statement, sizeof(p->statement), "%s", name);
	at += 2 + 2 * (size_t)(at[1]); /* formats */
	n = (size_t)at[1];
	at += 2;
	forget_params(p);
	assert_in_range(n, 0, FAKEPG_PARAMS);
	for (p->n_params = 0; p->n_params < n; p->n_params++) {
		uint32_t len = u32_at(at);

		at += 4;
		if (len == UINT32_MAX) {
			p->params[p->n_params] = NULL;
			continue;
		}
		p->params[p->n_params] = strndup(at, len);
		at += len;
	}
	put(p, '2', "", 0);
}

static void take_message(struct fakepg_peer *p, char type, const char *body)
{
	struct fakepg *f = p->server;

	switch (type) {
	case 'P':
		take_parse(p, body);
		break;
	case 'B':
		take_bind(p, body);
		break;
	case 'E':
		p->execute = true;
		break;
	case 'Q':
		snprintf(p->statement, sizeof(p->statement), "%s", body);
		f->answer(f, p, p->statement);
		break;
	case 'S':
		if (p->execute) {
			p->execute = false;
			f->answer(f, p, p->statement);
		} else { /* prepared, and no more */
			p->n_prepared++;
			fakepg_ready(p);
			fakepg_flush(p);
		}
		break;
	default: /* D: fakepg_rows() describes them anyway */
		break;
	}
}

static void take_in(struct fakepg_peer *p)
{
	size_t at = 0;

	for (;;) {
		size_t left = p->in.len - at, head = p->started ? 1 : 0, len;
		const char *m = p->in.data + at;
		char *body;

		if (left < head + 4)
			break;
		len = u32_at(m + head);
		if (left < head + len)
			break;
		at += head + len;
		if (!p->started) {
			if (len == 8) { /* for SSL or GSSAPI: no */
				buf_char(&p->out, 'N');
				fakepg_flush(p);
				continue;
			}
			p->started = true;
			welcome(p);
			continue;
		}
		body = malloc(len - 3);
		assert_non_null(body);
		memcpy(body, m + 5, len - 4);
		body[len - 4] = '\0';
		take_message(p, *m, body);
		free(body);
		if (!p->used)
			return;
	}
	memmove(p->in.data, p->in.data + at, p->in.len - at);
	p->in.len -= at;
}

static void on_bytes(void *arg, uint32_t events)
{
	struct fakepg_peer *p = arg;
	char bytes[8192];
	ssize_t n = recv(p->fd.fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	(void)events;
	if (n <= 0) {
		fakepg_hang_up(p);
		return;
	}
	buf_add(&p->in, bytes, (size_t)n);
	take_in(p);
}

static void on_client(void *arg, uint32_t events)
{
	struct fakepg *f = arg;
	struct fakepg_peer *p = f->peers;
	int fd = accept(f->listener.fd, NULL, NULL);

	(void)events;
	assert_true(fd >= 0);
	if (f->refuse) {
		close(fd);
		return;
	}
	while (p->used)
		p++;
	assert_true(p < f->peers + FAKEPG_PEERS);
	*p = (struct fakepg_peer){
		.server = f, .used = true, .fd = {.fd = fd, .ready = on_bytes, .arg = p}};
	buf_init(&p->in, SIZE_MAX / 2);
	buf_init(&p->out, SIZE_MAX / 2);
	f->n_accepted++;
	assert_true(loop_add(f->loop, &p->fd, EPOLLIN));
}

void fakepg_start(struct fakepg *f, struct loop *loop, fakepg_answer_fn *answer, void *arg)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*f = (struct fakepg){.loop = loop, .answer = answer, .arg = arg};
	snprintf(f->dir, sizeof(f->dir), "/tmp/fakepg.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/.s.PGSQL.5432", f->dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 8), 0);
	snprintf(f->conninfo, sizeof(f->conninfo),
		 "host=%s port=5432 user=u dbname=d gssencmode=disable", f->dir);
	f->listener = (struct loop_fd){.fd = fd, .ready = on_client, .arg = f};
	assert_true(loop_add(loop, &f->listener, EPOLLIN));
}

void fakepg_stop(struct fakepg *f)
{
	char path[128];

	for (size_t i = 0; i < FAKEPG_PEERS; i++)
		fakepg_hang_up(&f->peers[i]);
	loop_del(f->loop, &f->listener);
	close(f->listener.fd);
	snprintf(path, sizeof(path), "%s/.s.PGSQL.5432", f->dir);
	unlink(path);
	rmdir(f->dir);
}
