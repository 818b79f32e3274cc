/* SPDX-License-Identifier: PostgreSQL
 * See visit.h: what the daemon needs of its machine, and the daemon itself. */
#include "config.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "doctor/probe.h"
#include "doctor/socket.h"
#include "doctor/visit.h"

enum { WAIT_MS = 3000, FEW_FILES = 4096, BACKLOG = 1024, LINE = 256 };

static bool read_line(const char *path, const char *begins, char line[LINE])
{
	FILE *f = fopen(path, "re");
	bool found = false;

	while (f && !found && fgets(line, LINE, f))
		found = !strncmp(line, begins, strlen(begins));
	if (f)
		fclose(f);
	if (found)
		line[strcspn(line, "\n")] = '\0';
	return found;
}

/* The hard limit of open files of a running daemon, to which it raises its own; 0 when none is
 * found, or it may not be looked at. */
static uint64_t limit_of_daemon(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	uint64_t limit = 0;

	while (proc && !limit && (entry = readdir(proc))) {
		char path[LINE + 64], line[LINE];
		const char *hard;
		uint64_t pid;

		if (!num_u64(entry->d_name, strlen(entry->d_name), &pid) ||
		    pid == (uint64_t)getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/%" PRIu64 "/comm", pid);
		if (!read_line(path, "pgherald", line) || strcmp(line, "pgherald") != 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%" PRIu64 "/cmdline", pid);
		if (!read_line(path, "", line)) /* words end in NUL: the first is enough to tell it
						   is readable */
			continue;
		snprintf(path, sizeof(path), "/proc/%" PRIu64 "/limits", pid);
		if (!read_line(path, "Max open files", line))
			continue;
		hard = line + strlen("Max open files") +
		       strspn(line + strlen("Max open files"), " ");
		hard += strcspn(hard, " ");
		hard += strspn(hard, " ");
		if (!num_u64(hard, strspn(hard, "0123456789"), &limit))
			limit = 0;
	}
	if (proc)
		closedir(proc);
	return limit;
}

static void look_at_files(struct visit *v)
{
	uint64_t limit = limit_of_daemon(), want = v->conf->max_streams;
	struct rlimit mine;
	autofree char *text = NULL;

	if (!limit && getrlimit(RLIMIT_NOFILE, &mine) == 0)
		limit = mine.rlim_max;
	if (!want)
		want = FEW_FILES;
	visit_say(v, "Open files: at most %" PRIu64 ".", limit);
	if (limit >= want + 64)
		return;
	text = v->conf->max_streams ? xasprintf("max_streams = %" PRIu64 ", and at most %" PRIu64
						" files may be open",
						want, limit)
				    : xasprintf("at most %" PRIu64 " files may be open", limit);
	visit_find(v, "files", "limit of open files", text,
		   "LimitNOFILE=65536 in the service (systemctl edit pgherald)");
}

static void look_at_backlog(struct visit *v)
{
	char line[LINE];
	uint64_t n;
	autofree char *text = NULL;

	if (!read_line("/proc/sys/net/core/somaxconn", "", line) ||
	    !num_u64(line, strlen(line), &n) || n >= BACKLOG)
		return;
	text = xasprintf("it is %" PRIu64, n);
	visit_find(v, "backlog", "net.core.somaxconn", text, "sysctl -w net.core.somaxconn=4096");
}

/* "0.0.0.0:8080" and ":8080" are asked at 127.0.0.1, "[::]:8080" at [::1]. */
static char *url_of(const char *address)
{
	const char *colon = strrchr(address, ':');
	int len = colon ? (int)(colon - address) : 0;

	if (!colon)
		return NULL;
	if (!len || !strncmp(address, "0.0.0.0:", 8))
		return xasprintf("http://127.0.0.1%s/readyz", colon);
	if (!strncmp(address, "[::]:", 5))
		return xasprintf("http://[::1]%s/readyz", colon);
	return xasprintf("http://%s/readyz", address);
}

static void judge(struct visit *v, const char *address, const struct probe *p)
{
	autofree char *text = NULL;

	if (!p->status) {
		visit_find(v, "daemon-away", address, "nothing answers",
			   v->socket_unit ? "systemctl status pgherald, or pgherald serve"
					  : "systemctl status pgherald, or pgherald serve; with a "
					    "socket of systemd's, what stands in its ListenStream= "
					    "also in listen");
		return;
	}
	v->daemon = true;
	if (p->status == 200 && strstr(buf_cstr(&p->body), "\"ready\"")) {
		visit_say(v, "Daemon at %s: ready.", address);
		return;
	}
	if (p->status == 503 && strstr(buf_cstr(&p->body), "\"detail\"")) {
		text = xasprintf("%.*s", (int)strcspn(buf_cstr(&p->body), "\r\n"),
				 buf_cstr(&p->body));
		visit_find(v, "daemon-unready", address, text, "its log says why");
		return;
	}
	v->daemon = false;
	text = xasprintf("the answer to /readyz is %d, and not pgherald's", p->status);
	visit_find(v, "port-taken", address, text, "another address in [server] listen");
}

static void look_at_port(struct visit *v, const char *address)
{
	bool is_unix = !strncmp(address, "unix:", 5);
	autofree char *url = is_unix ? xstrdup("http://localhost/readyz") : url_of(address);
	const struct probe_request r = {.url = url,
					.unix_socket = is_unix ? address + 5 : NULL,
					.is_here = true,
					.wait_ms = WAIT_MS};
	struct probe p;

	if (!url)
		return;
	probe_run(&p, &r);
	if (p.no_curl)
		visit_blind(v, "daemon", "there is no curl to ask it with");
	else
		judge(v, address, &p);
	probe_free(&p);
}

void visit_machine(struct visit *v)
{
	char *passed[SOCKET_MAX];
	size_t n = v->socket_unit ? socket_addresses(v->socket_unit, passed) : 0;

	look_at_files(v);
	look_at_backlog(v);
	if (n)
		visit_say(v, "%s listens for the daemon: [server] listen has no meaning.",
			  v->socket_unit);
	for (size_t i = 0; !n && i < v->conf->listen.n; i++)
		look_at_port(v, v->conf->listen.items[i]);
	for (size_t i = 0; i < n; i++) {
		look_at_port(v, passed[i]);
		free(passed[i]);
	}
}
