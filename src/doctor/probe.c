/* SPDX-License-Identifier: PostgreSQL
 * See probe.h. */
#include "config.h"
#include "doctor/probe.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"

enum { HEAD_MAX = 32768, BODY_MAX = 65536, WHY_MAX = 2000, CONFIG_MAX = 16384, AFTER_MS = 2000 };

extern char **environ;

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* name = "value" for curl's --config; a line break cannot be said, and is left out. */
static void add_option(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, "%s = \"", name);
	for (; *value; value++) {
		if (*value == '\n' || *value == '\r')
			continue;
		if (*value == '"' || *value == '\\')
			buf_char(out, '\\');
		buf_char(out, *value);
	}
	buf_str(out, "\"\n");
}

static void make_config(struct buf *out, const struct probe_request *r)
{
	add_option(out, "url", r->url);
	if (r->method)
		add_option(out, "request", r->method);
	if (r->is_here)
		add_option(out, "noproxy", "*");
	if (r->unix_socket)
		add_option(out, "unix-socket", r->unix_socket);
	for (size_t i = 0; i < r->n_headers; i++)
		add_option(out, "header", r->headers[i]);
}

struct child {
	pid_t pid;
	int in, out, err;
};

/* curl with its options by standard input. */
static bool start(struct child *c)
{
	char *const argv[] = {(char *)(uintptr_t) "curl",
			      (char *)(uintptr_t) "--disable", /* no ~/.curlrc; must be the first */
			      (char *)(uintptr_t) "--globoff",
			      (char *)(uintptr_t) "--silent",
			      (char *)(uintptr_t) "--show-error",
			      (char *)(uintptr_t) "--no-buffer",
			      (char *)(uintptr_t) "--include",
			      (char *)(uintptr_t) "--config",
			      (char *)(uintptr_t) "-",
			      NULL};
	int in[2], out[2], err[2], failed;
	posix_spawn_file_actions_t actions;

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		abort();
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	posix_spawn_file_actions_adddup2(&actions, err[1], 2);
	failed = posix_spawnp(&c->pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	c->in = in[1];
	c->out = out[0];
	c->err = err[0];
	return failed == 0;
}

static void finish(struct child *c, bool started)
{
	close(c->out);
	close(c->err);
	if (!started)
		return;
	kill(c->pid, SIGTERM); /* harmless when it has ended: it is not yet waited for */
	while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Head and body out of what --include prints; heads of interim answers go. */
static void split(struct probe *p, struct buf *raw)
{
	for (;;) {
		char *text = raw->data, *end = text ? strstr(text, "\r\n\r\n") : NULL;
		char *space = text ? strchr(text, ' ') : NULL;
		uint64_t status = 0;

		if (!end || strncmp(text, "HTTP/", 5) != 0 || !space || space > end ||
		    !num_u64(space + 1, strspn(space + 1, "0123456789"), &status))
			return;
		p->status = (int)status;
		p->version = !strncmp(text + 5, "1.0", 3) ? 10
			     : text[5] == '1'		  ? 11
			     : text[5] == '2'		  ? 20
							  : 30;
		buf_clear(&p->head);
		buf_add(&p->head, text, (size_t)(end + 2 - text));
		memmove(text, end + 4, raw->len - (size_t)(end + 4 - text) + 1);
		raw->len -= (size_t)(end + 4 - text);
		if (status >= 200)
			break;
	}
	for (char *s = p->head.data; s && *s;) { /* names in lower case */
		for (; *s && *s != ':' && *s != '\n'; s++)
			*s = (char)tolower((unsigned char)*s);
		s += strcspn(s, "\n");
		s += *s == '\n';
	}
}

static void take(struct probe *p, struct buf *raw, const char *bytes, size_t n)
{
	struct buf *to = p->status ? &p->body : raw;

	if (to->len + n > to->max - 1) /* enough has been seen */
		n = to->max - 1 - to->len;
	buf_add(to, bytes, n);
	if (p->status)
		return;
	split(p, raw);
	if (p->status)
		buf_add(&p->body, raw->data, raw->len);
}

/* Reads until the deadline that applies: before the body's first bytes, or after. */
static void read_answer(struct probe *p, const struct probe_request *r, struct child *c)
{
	struct buf raw;
	uint64_t begin = now_ms(), first = 0;
	struct pollfd fds[] = {{.fd = c->out, .events = POLLIN}, {.fd = c->err, .events = POLLIN}};

	buf_init(&raw, HEAD_MAX + BODY_MAX);
	while (fds[0].fd >= 0 && !(p->more && first)) {
		uint64_t now = now_ms(), end = first ? first + r->hold_ms : begin + r->wait_ms;
		char bytes[8192];

		if (now >= end)
			break;
		if (poll(fds, 2, (int)(end - now)) < 0 && errno != EINTR)
			break;
		for (int i = 0; i < 2; i++) {
			ssize_t n = fds[i].revents ? read(fds[i].fd, bytes, sizeof(bytes)) : -1;

			fds[i].revents = 0;
			if (n == 0)
				fds[i].fd = -1;
			if (n <= 0)
				continue;
			if (i == 1) {
				buf_add(&p->why, bytes, (size_t)n);
				continue;
			}
			take(p, &raw, bytes, (size_t)n);
			if (!first && strstr(buf_cstr(&p->body), "\n\n")) /* a whole event */
				first = now_ms();
			else if (first && now_ms() > first + AFTER_MS)
				p->more = true;
		}
	}
	p->ended = fds[0].fd < 0;
	p->ended_ms = first ? now_ms() - first : 0;
	buf_free(&raw);
}

void probe_run(struct probe *p, const struct probe_request *r)
{
	struct child c;
	struct buf config;
	bool started = start(&c);

	*p = (struct probe){.no_curl = !started};
	buf_init(&p->why, WHY_MAX);
	buf_init(&p->head, HEAD_MAX);
	buf_init(&p->body, BODY_MAX);
	buf_init(&config, CONFIG_MAX);
	make_config(&config, r);
	signal(SIGPIPE, SIG_IGN);
	if (started && buf_ok(&config))
		(void)!write(c.in, config.data, config.len);
	explicit_bzero(config.data, config.len);
	buf_free(&config);
	close(c.in);
	if (started)
		read_answer(p, r, &c);
	finish(&c, started);
}

void probe_free(struct probe *p)
{
	buf_free(&p->why);
	buf_free(&p->head);
	buf_free(&p->body);
}

bool probe_header(const struct probe *p, const char *name, struct buf *out)
{
	size_t len = strlen(name);

	for (const char *s = buf_cstr(&p->head); *s;) {
		size_t line = strcspn(s, "\r\n");

		if (line > len && !strncmp(s, name, len) && s[len] == ':') {
			size_t skip = len + 1 + strspn(s + len + 1, " ");

			buf_clear(out);
			buf_add(out, s + skip, line > skip ? line - skip : 0);
			buf_cstr(out);
			return buf_ok(out);
		}
		s += line;
		s += strspn(s, "\r\n");
	}
	return false;
}
