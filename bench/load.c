/* SPDX-License-Identifier: PostgreSQL
 * The load client: many streams from several processes and many loopback addresses; checks that
 * nothing is lost, repeated or out of order. Commands come on stdin, each is answered by one
 * line of JSON. An event holds a stamp: "@@", 16 hex digits (nanoseconds), 8 (a number). */
#define _GNU_SOURCE
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clients.h"

#define MAX_PROCESSES 32
#define FILES_KEPT    100 /* descriptors of a process that are no streams */

static const char usage[] =
	"usage: load --port PORT --streams N [--processes K] [--path PATH] [--wire NAME]\n"
	"            [--token-format FORMAT | --token-file FILE] [--last-id ID] [--slow FRACTION]\n"
	"            [--consecutive] [--in-flight N] [--seconds S] [--limit S]\n"
	"commands on stdin: connect, drop, storm, zero, report, up MS, gone MS, wait EVENTS MS,\n"
	"            resyncs N MS, quit\n"
	"With --seconds it connects, reads that long, reports and ends.\n";

struct load {
	struct clients_options o;
	uint32_t streams;
	unsigned n;
	struct tally *tallies; /* one per process, shared */
	struct tally *zero;    /* what they were at the last "zero" */
	int pipes[MAX_PROCESSES];
	pid_t pids[MAX_PROCESSES];
	uint64_t began_ns; /* of the last "connect" */
};

static uint64_t get(const _Atomic uint64_t *p)
{
	return atomic_load_explicit(p, memory_order_relaxed);
}

/* A sum over all processes, since the last zero unless that is NULL. */
static uint64_t sum(const struct load *l, size_t offset, bool since_zero)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < l->n; i++) {
		const char *now = (const char *)&l->tallies[i] + offset;
		const char *then = (const char *)&l->zero[i] + offset;

		n += get((const _Atomic uint64_t *)(const void *)now);
		if (since_zero)
			n -= get((const _Atomic uint64_t *)(const void *)then);
	}
	return n;
}

#define TOTAL(l, field) sum(l, offsetof(struct tally, field), true)
#define STATE(l, field) sum(l, offsetof(struct tally, field), false)

/* The value below which that fraction lies, in microseconds. */
static double quantile(const struct load *l, size_t histogram, double fraction)
{
	uint64_t n = 0, below = 0;

	for (unsigned b = 0; b < N_BUCKETS; b++)
		n += sum(l, histogram + b * sizeof(uint64_t), true);
	for (unsigned b = 0; b < N_BUCKETS; b++) {
		below += sum(l, histogram + b * sizeof(uint64_t), true);
		if (n && (double)below >= fraction * (double)n)
			return bucket_us(b);
	}
	return 0;
}

static double span_s(const struct load *l)
{
	uint64_t last = 0;

	for (unsigned i = 0; i < l->n; i++)
		if (get(&l->tallies[i].last_event_ns) > last)
			last = get(&l->tallies[i].last_event_ns);
	return last > l->began_ns ? (double)(last - l->began_ns) / 1e9 : 0;
}

static double connect_s(const struct load *l)
{
	uint64_t last = 0;

	for (unsigned i = 0; i < l->n; i++)
		if (get(&l->tallies[i].last_up_ns) > last)
			last = get(&l->tallies[i].last_up_ns);
	return last > l->began_ns ? (double)(last - l->began_ns) / 1e9 : 0;
}

/* When the first or the last stream was told to fetch again; seconds since 1970, 0 = none was. */
static double resync_s(const struct load *l, bool first)
{
	uint64_t best = 0;

	for (unsigned i = 0; i < l->n; i++) {
		uint64_t ns =
			get(first ? &l->tallies[i].first_resync_ns : &l->tallies[i].last_resync_ns);

		if (ns && (!best || (ns < best) == first))
			best = ns;
	}
	return (double)best / 1e9;
}

static void report(const struct load *l)
{
	size_t lat = offsetof(struct tally, latency), open = offsetof(struct tally, opening);

	printf("{\"up\": %llu, \"connects\": %llu, \"failed\": %llu, \"closed\": %llu, "
	       "\"events\": %llu, \"others\": %llu, \"resyncs\": %llu, \"missing\": %llu, "
	       "\"backward\": %llu, \"bytes\": %llu, \"reads\": %llu, \"last_status\": %llu, ",
	       (unsigned long long)STATE(l, up), (unsigned long long)TOTAL(l, connects),
	       (unsigned long long)TOTAL(l, failed), (unsigned long long)TOTAL(l, closed),
	       (unsigned long long)TOTAL(l, events), (unsigned long long)TOTAL(l, others),
	       (unsigned long long)TOTAL(l, resyncs), (unsigned long long)TOTAL(l, missing),
	       (unsigned long long)TOTAL(l, backward), (unsigned long long)TOTAL(l, bytes),
	       (unsigned long long)TOTAL(l, reads), (unsigned long long)STATE(l, last_status));
	printf("\"latency_us\": {\"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}, ",
	       quantile(l, lat, 0.5), quantile(l, lat, 0.99), quantile(l, lat, 0.999),
	       quantile(l, lat, 1));
	printf("\"opening_us\": {\"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}, "
	       "\"connect_s\": %.4f, \"events_s\": %.4f, \"first_resync\": %.6f, "
	       "\"last_resync\": %.6f, \"id\": \"%s\"}\n",
	       quantile(l, open, 0.5), quantile(l, open, 0.99), quantile(l, open, 1), connect_s(l),
	       span_s(l), resync_s(l, true), resync_s(l, false), l->tallies[0].id);
	fflush(stdout);
}

static void tell(struct load *l, char command)
{
	if (command == 'c')
		l->began_ns = now_ns();
	for (unsigned i = 0; i < l->n; i++)
		if (write(l->pipes[i], &command, 1) != 1)
			perror("load: a process has gone");
}

static void pause_ms(long ms)
{
	const struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

/* Until so many are up (or have failed) and so much has come, or the time is over. */
static void wait_for(const struct load *l, uint64_t up, uint64_t events, uint64_t resyncs,
		     uint64_t ms)
{
	uint64_t limit = now_ns() + ms * 1000000;

	while (now_ns() < limit && (STATE(l, up) + TOTAL(l, failed) + TOTAL(l, closed) < up ||
				    TOTAL(l, events) < events || TOTAL(l, resyncs) < resyncs))
		pause_ms(1);
}

static void zero(struct load *l)
{
	memcpy(l->zero, l->tallies, l->n * sizeof(*l->zero));
	for (unsigned i = 0; i < l->n; i++) {
		atomic_store(&l->tallies[i].first_resync_ns, 0);
		atomic_store(&l->tallies[i].last_resync_ns, 0);
	}
}

/* False at the end. */
static bool obey(struct load *l, const char *line)
{
	unsigned long long a = 0, b = 0;

	if (!strncmp(line, "quit", 4))
		return false;
	if (!strncmp(line, "zero", 4))
		zero(l);
	else if (!strncmp(line, "drop", 4)) {
		tell(l, 'd');
		for (int i = 0; i < 10000 && STATE(l, up); i++)
			pause_ms(1);
	} else if (!strncmp(line, "connect", 7))
		tell(l, 'c');
	else if (!strncmp(line, "storm", 5)) {
		tell(l, 'd');
		tell(l, 'c');
	} else if (sscanf(line, "up %llu", &a) == 1)
		wait_for(l, l->streams, 0, 0, a);
	else if (sscanf(line, "gone %llu", &a) == 1)
		for (; a && STATE(l, up); a--)
			pause_ms(1);
	else if (sscanf(line, "wait %llu %llu", &a, &b) == 2)
		wait_for(l, 0, a, 0, b);
	else if (sscanf(line, "resyncs %llu %llu", &a, &b) == 2)
		wait_for(l, 0, 0, a, b);
	else if (strncmp(line, "report", 6) != 0)
		fprintf(stderr, "load: what is \"%.20s\"?\n", line);
	report(l);
	return true;
}

static void start(struct load *l, unsigned limit_s)
{
	uint32_t first = 0;

	l->tallies = mmap(NULL, MAX_PROCESSES * sizeof(struct tally), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	l->zero = calloc(MAX_PROCESSES, sizeof(struct tally));
	if (l->tallies == MAP_FAILED || !l->zero) {
		perror("load");
		exit(1);
	}
	for (unsigned i = 0; i < l->n; i++) {
		uint32_t share = l->streams / l->n + (i < l->streams % l->n);
		pid_t parent = getpid();
		int p[2];

		if (pipe(p)) {
			perror("load: pipe");
			exit(1);
		}
		l->pids[i] = fork();
		if (l->pids[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getppid() != parent)
				exit(1);
			alarm(limit_s);
			close(p[1]);
			clients_run(&l->o, &l->tallies[i], first, share, i, p[0]);
			exit(0);
		}
		close(p[0]);
		l->pipes[i] = p[1];
		first += share;
	}
}

static char **read_tokens(const char *path, uint32_t *ret_n)
{
	FILE *f = fopen(path, "r");
	char **list = NULL, *line = NULL;
	size_t cap = 0;
	uint32_t n = 0;

	if (!f) {
		perror(path);
		exit(2);
	}
	while (getline(&line, &cap, f) > 0) {
		line[strcspn(line, "\r\n")] = '\0';
		list = realloc(list, (n + 1) * sizeof(*list));
		if (!list)
			abort();
		list[n++] = strdup(line);
	}
	free(line);
	fclose(f);
	*ret_n = n;
	return list;
}

static unsigned long number(const char *s)
{
	char *end;
	unsigned long n = strtoul(s, &end, 10);

	if (!*s || *end) {
		fputs(usage, stderr);
		exit(2);
	}
	return n;
}

int main(int argc, char **argv)
{
	enum {
		PORT = 1,
		STREAMS,
		PROCESSES,
		PATH,
		WIRE,
		FORMAT,
		TOKENS,
		LAST,
		SLOW,
		STRICT,
		FLIGHT,
		SECONDS,
		LIMIT
	};
	static const struct option options[] = {
		{"port", 1, NULL, PORT},	   {"streams", 1, NULL, STREAMS},
		{"processes", 1, NULL, PROCESSES}, {"path", 1, NULL, PATH},
		{"wire", 1, NULL, WIRE},	   {"token-format", 1, NULL, FORMAT},
		{"token-file", 1, NULL, TOKENS},   {"last-id", 1, NULL, LAST},
		{"slow", 1, NULL, SLOW},	   {"consecutive", 0, NULL, STRICT},
		{"in-flight", 1, NULL, FLIGHT},	   {"seconds", 1, NULL, SECONDS},
		{"limit", 1, NULL, LIMIT},	   {NULL, 0, NULL, 0},
	};
	struct load l = {.o = {.wire = wire_find("sse"), .path = "/", .in_flight = 64}};
	unsigned long seconds = 0, limit = 600;
	struct rlimit files;
	char line[256];

	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;)
		switch (c) {
		case PORT:
			l.o.port = (uint16_t)number(optarg);
			break;
		case STREAMS:
			l.streams = (uint32_t)number(optarg);
			break;
		case PROCESSES:
			l.n = (unsigned)number(optarg);
			break;
		case PATH:
			l.o.path = optarg;
			break;
		case WIRE:
			l.o.wire = wire_find(optarg);
			break;
		case FORMAT:
			l.o.token_format = optarg;
			break;
		case TOKENS:
			l.o.tokens = read_tokens(optarg, &l.o.n_tokens);
			break;
		case LAST:
			l.o.last_id = optarg;
			break;
		case SLOW:
			l.o.slow = strtod(optarg, NULL);
			break;
		case STRICT:
			l.o.consecutive = true;
			break;
		case FLIGHT:
			l.o.in_flight = (unsigned)number(optarg);
			break;
		case SECONDS:
			seconds = number(optarg);
			break;
		case LIMIT:
			limit = number(optarg);
			break;
		default:
			l.o.wire = NULL;
		}
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (!l.n) /* as few as the limit of open files allows */
		l.n = 1 + (unsigned)(l.streams / (files.rlim_cur - FILES_KEPT));
	if (!l.o.wire || !l.o.port || !l.streams || l.n > MAX_PROCESSES) {
		fputs(usage, stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	alarm((unsigned)limit); /* it ends by itself, whatever happens */
	start(&l, (unsigned)limit);
	if (seconds) {
		tell(&l, 'c');
		pause_ms((long)seconds * 1000);
		report(&l);
	} else
		while (fgets(line, sizeof(line), stdin) && obey(&l, line))
			;
	for (unsigned i = 0; i < l.n; i++) {
		close(l.pipes[i]);
		kill(l.pids[i], SIGKILL); /* ours, by its id; its sockets are reset */
		waitpid(l.pids[i], NULL, 0);
	}
	return 0;
}
