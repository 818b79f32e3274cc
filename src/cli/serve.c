/* SPDX-License-Identifier: PostgreSQL
 * See serve.h. The readable list of what is started and stopped, and the signals. */
#include "config.h"
#include "cli/serve.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/address.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/sd.h"
#include "cli/settings.h"
#include "conf.h"
#include "hub/registry.h"
#include "pg/db.h"
#include "source/sources.h"
#include "web/arrival.h"
#include "web/commons.h"
#include "web/departure.h"
#include "web/listen.h"
#include "web/worker.h"

#define TEXT_MAX       65536
#define KEPT_BACK      32   /* descriptors: three connections, their resolvers, certificates, log */
#define KEPT_BY_SOURCE 8    /* loop, inbox, its server, its connection to the database */
#define KEPT_BY_WORKER 8    /* loop, inbox, libmicrohttpd, spare */
#define USUAL_REQUESTS 4096 /* times 32 KiB is 128 MiB, if all of them wait for the database */
#define LOG_END_MS     1000 /* for the last lines, if somebody reads them */

struct server {
	const char *conf_path;
	struct conf *conf;
	struct loop *loop;
	struct loop_fd signals;
	struct loop_timer watchdog;
	struct sd_fd *passed; /* by systemd: sockets to listen on, streams of the process before */
	size_t n_passed;
	struct listen_set listen;
	struct commons commons;
	struct db db;
	struct sources sources;
	struct worker **workers;
	struct inbox **inboxes;
	size_t n_workers, n_drained;
	bool draining;
	bool restart_follows; /* the stop that comes is followed by a start */
};

static size_t processors(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return (size_t)CPU_COUNT(&set);
	return 1;
}

/* How many descriptors clients may take: what the system lets us have, but for those of the
 * database, the log, the listeners and the loops. They are never lent. */
static uint64_t descriptor_budget(const struct server *s)
{
	uint64_t kept = KEPT_BACK + s->n_workers * (KEPT_BY_WORKER + s->conf->listen.n) +
			s->conf->n_listens * KEPT_BY_SOURCE;
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r))
		return 1000;
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r) || getrlimit(RLIMIT_NOFILE, &r))
		log_warn("cannot raise the limit of open files: %m");
	return r.rlim_cur > kept + 2 ? r.rlim_cur - kept : 2;
}

/* What is configured, if it may be so much; 0 is `usual`. */
static uint64_t limited(const char *name, uint64_t configured, uint64_t usual, uint64_t most)
{
	if (configured > most)
		log_warn("%s = %" PRIu64 ", but the limit of open files allows %" PRIu64, name,
			 configured, most);
	if (!configured)
		configured = usual;
	return configured < most ? configured : most;
}

static void apply_limits(struct server *s)
{
	const struct conf *c = s->conf;
	uint64_t budget = descriptor_budget(s), usual = budget / 8 + 1, requests, streams;

	requests = limited("max_requests", c->max_requests,
			   usual < USUAL_REQUESTS ? usual : USUAL_REQUESTS, budget / 2);
	streams = budget - requests;
	streams = limited("max_streams", c->max_streams, streams, streams);
	registry_limit(s->commons.registry, streams, c->max_streams_per_user);
	budget_limit(&s->commons.budget, c->client_memory);
	attempts_limit(s->commons.attempts, c->auth_failures, c->auth_failures_ms);
	lobby_limit(&s->commons.lobby, requests, c->max_requests_per_address);
}

/* Where a variable lets everybody in [server] listen has loopback addresses only: what is listened
 * on in its place must be no other. */
static bool may_listen(const struct server *s, struct buf *error)
{
	const char *by = NULL;

	for (size_t i = 0; i < s->conf->n_routes && !s->conf->allow_insecure; i++)
		if (s->conf->routes[i].opened_by)
			by = s->conf->routes[i].opened_by;
	for (size_t i = 0; by && i < s->listen.n; i++) {
		struct address a = address_of((const struct sockaddr *)&s->listen.items[i].sa);

		if (address_is_none(&a) || !address_is_loopback(&a)) {
			buf_printf(error,
				   "%s in the environment: the socket that was passed is reached "
				   "from elsewhere, and [server] allow_insecure is not yes",
				   by);
			return false;
		}
	}
	return true;
}

/* On what systemd has passed, if there is any; then [server] listen has no meaning. */
static bool adopt_listeners(struct server *s, size_t *ret_n, struct buf *error)
{
	autofree int *fds = xcalloc(s->n_passed + 1, sizeof(*fds));

	*ret_n = 0;
	for (size_t i = 0; i < s->n_passed; i++)
		if (!arrival_is(&s->passed[i]))
			fds[(*ret_n)++] = s->passed[i].fd;
	return !*ret_n ||
	       (listen_adopt(&s->listen, fds, *ret_n, s->n_workers, error) && may_listen(s, error));
}

static bool open_configured(struct server *s, struct buf *error)
{
	static const mode_t modes[] = {
		[SOCKET_MODE_ALL] = 0666, [SOCKET_MODE_GROUP] = 0660, [SOCKET_MODE_OWNER] = 0600};

	return listen_resolve(&s->listen, s->conf->listen.items, s->conf->listen.n, error) &&
	       listen_open(&s->listen, s->n_workers, modes[s->conf->socket_mode], error);
}

static bool open_listeners(struct server *s)
{
	autobuf text = {0};
	size_t n;

	buf_init(&text, TEXT_MAX);
	if (!adopt_listeners(s, &n, &text) || (!n && !open_configured(s, &text))) {
		log_error("%s", buf_cstr(&text));
		return false;
	}
	for (size_t i = 0; i < s->listen.n; i++) {
		buf_clear(&text);
		listen_text(&s->listen.items[i], &text);
		log_info("listening on %s%s", buf_cstr(&text), n ? ", which was passed to us" : "");
	}
	return true;
}

static void post_all(struct server *s, enum post_kind kind)
{
	for (size_t i = 0; i < s->n_workers; i++) {
		struct letter *l = xcalloc(1, sizeof(*l));

		l->kind = (int)kind;
		inbox_post(s->inboxes[i], l);
	}
}

/* Its file is opened anew: it may have been moved away, or be another one. */
static void open_log(const char *path)
{
	if (!log_open(path))
		log_error("cannot write the log to %s: %s", path,
			  errno == EINVAL ? "it is no ordinary file" : strerror(errno));
}

static void reload(struct server *s)
{
	char stamp[96];
	struct buf error, restart;
	struct conf *conf, *old = s->conf;
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	snprintf(stamp, sizeof(stamp), "RELOADING=1\nMONOTONIC_USEC=%lld",
		 (long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
	sd_notify_text(stamp);
	open_log(s->conf->log_file); /* also when the configuration has an error */
	buf_init(&error, TEXT_MAX);
	buf_init(&restart, TEXT_MAX);
	conf = settings_load(s->conf_path, true, &error);
	if (!conf) {
		log_error("not reloaded, the old configuration stays: %s", buf_cstr(&error));
	} else {
		conf_restart_needed(old, conf, &restart);
		if (restart.len)
			log_warn("these changes need a restart: %s", buf_cstr(&restart));
		log_setup((enum log_level)conf->log_level, (enum log_format)conf->log_format);
		if (strcmp(conf->log_file, old->log_file) != 0)
			open_log(conf->log_file);
		s->conf = conf;
		apply_limits(s);
		db_reload(&s->db, conf);
		sources_reload(&s->sources, conf, old);
		for (size_t i = 0; i < s->n_workers; i++) {
			struct post_conf *p = xcalloc(1, sizeof(*p));

			p->letter.kind = POST_CONF;
			p->conf = conf_ref(conf);
			inbox_post(s->inboxes[i], &p->letter);
		}
		conf_unref(old);
		log_info("configuration reloaded from %s", s->conf_path);
		settings_tell(conf);
	}
	buf_free(&error);
	buf_free(&restart);
	sd_notify_text("READY=1");
}

static void on_signal(void *arg, uint32_t events)
{
	struct server *s = arg;
	struct signalfd_siginfo info;

	(void)events;
	while (read(s->signals.fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP) {
			if (!s->draining)
				reload(s);
			continue;
		}
		if (info.ssi_signo == SIGUSR2) {
			s->restart_follows = sd_store_max() >= DEPARTURE_STORE;
			continue;
		}
		if (s->draining) {
			log_info("stopping at once");
			loop_stop(s->loop);
			continue;
		}
		s->draining = true;
		log_info("stopping: %zu streams; a second signal ends at once",
			 registry_streams(s->commons.registry));
		sd_notify_text("STOPPING=1");
		if (s->restart_follows)
			s->commons.departure = departure_new();
		post_all(s, POST_DRAIN);
	}
}

/* A letter that is not for the database: a worker has drained, or a source has ended. */
static void on_letter(void *arg, struct letter *l)
{
	struct server *s = arg;

	if (l->kind == POST_SOURCE)
		sources_ended(&s->sources, ((struct post_source *)l)->source);
	else if (l->kind == POST_DRAINED && ++s->n_drained == s->n_workers)
		loop_stop(s->loop);
	free(l);
}

static void on_watchdog(void *arg)
{
	struct server *s = arg;

	sd_notify_text("WATCHDOG=1");
	loop_timer_set(s->loop, &s->watchdog, sd_watchdog_ms());
}

static bool watch_signals(struct server *s)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* the workers' threads inherit it */
	s->signals = (struct loop_fd){
		.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), .ready = on_signal, .arg = s};
	return s->signals.fd >= 0 && loop_add(s->loop, &s->signals, EPOLLIN);
}

static bool start(struct server *s)
{
	size_t n = s->conf->workers ? (size_t)s->conf->workers : processors();

	s->loop = loop_new();
	commons_init(&s->commons);
	if (!s->loop || !watch_signals(s)) {
		log_error("no event loop: %m");
		return false;
	}
	s->n_workers = n;
	apply_limits(s);
	s->n_passed = sd_passed(&s->passed);
	if (!open_listeners(s))
		return false;
	s->workers = xcalloc(n, sizeof(struct worker *));
	s->inboxes = xcalloc(n, sizeof(struct inbox *));
	for (size_t i = 0; i < n; i++) {
		s->workers[i] = worker_new((unsigned)i, s->conf, s->listen.fds + i * s->listen.n,
					   s->listen.n, &s->db.inbox, &s->commons);
		if (!s->workers[i])
			return false;
		s->inboxes[i] = &s->workers[i]->inbox;
	}
	arrivals_take(s->passed, s->n_passed, s->workers, n);
	s->db.vitals = &s->commons.vitals;
	s->db.on_other = on_letter;
	s->db.arg = s;
	s->commons.workers = s->inboxes;
	s->commons.n_workers = n;
	if (!db_start(&s->db, s->loop, s->conf, s->inboxes, n)) {
		log_error("no event loop: %m");
		return false;
	}
	for (size_t i = 0; i < n; i++)
		if (!worker_start(s->workers[i]))
			return false;
	sources_start(&s->sources, s->conf, &s->db.inbox, &s->db.in_flight, &s->commons.vitals);
	s->watchdog = (struct loop_timer){.fire = on_watchdog, .arg = s};
	if (sd_watchdog_ms())
		loop_timer_set(s->loop, &s->watchdog, sd_watchdog_ms());
	return true;
}

/* What is known of the streams that have gone to the next process follows them. */
static void hand_over(struct server *s)
{
	size_t n;

	if (!s->commons.departure)
		return;
	if (departure_finish(s->commons.departure, &n))
		log_info("%zu streams are handed over to the next process", n);
	else
		log_warn("%zu streams are told to come back, since they could not be handed over: "
			 "%m",
			 n);
	s->commons.departure = NULL;
}

/* False when a source is still at work: then the kernel tidies up what it may use. */
static bool stop(struct server *s)
{
	bool ended = sources_stop(&s->sources);

	db_stop(&s->db); /* its last letters reach workers that still live */
	post_all(s, POST_STOP);
	for (size_t i = 0; i < s->n_workers; i++)
		worker_join(s->workers[i]);
	for (size_t i = 0; i < s->n_workers; i++)
		worker_free(s->workers[i]);
	hand_over(s);
	if (!ended)
		return false;
	db_free(&s->db);
	sources_free(&s->sources);
	listen_free(&s->listen);
	free(s->workers);
	free(s->inboxes);
	free(s->passed);
	commons_free(&s->commons);
	loop_del(s->loop, &s->signals);
	close(s->signals.fd);
	loop_timer_clear(s->loop, &s->watchdog);
	loop_free(s->loop);
	conf_unref(s->conf);
	return true;
}

int cli_serve(const char *conf_path)
{
	struct server s = {.conf_path = conf_path};
	bool ended;

	if (geteuid() == 0) {
		fputs("pgherald: refusing to serve as root: start it as a user of its own "
		      "(packages make one named pgherald)\n",
		      stderr);
		return EXIT_FAILURE;
	}
	s.conf = settings_load_or_say(conf_path, true);
	if (!s.conf)
		return EXIT_FAILURE;
	log_setup((enum log_level)s.conf->log_level, (enum log_format)s.conf->log_format);
	if (*s.conf->log_file && !log_open(s.conf->log_file)) {
		fprintf(stderr, "pgherald: cannot write the log to %s: %s\n", s.conf->log_file,
			errno == EINVAL ? "it is no ordinary file" : strerror(errno));
		conf_unref(s.conf);
		return EXIT_FAILURE;
	}
	if (!log_spool()) {
		log_error("no thread for the log: %m");
		conf_unref(s.conf);
		return EXIT_FAILURE;
	}
	log_info("pgherald %s starts with %s", PACKAGE_VERSION, conf_path);
	settings_tell(s.conf);
	if (!start(&s)) {
		log_flush(LOG_END_MS);
		_exit(EXIT_FAILURE); /* threads may run already: the kernel tidies up */
	}
	sd_notify_text("READY=1");
	loop_run(s.loop);
	ended = stop(&s);
	log_info("stopped");
	log_flush(LOG_END_MS);
	if (!ended)
		_exit(EXIT_SUCCESS);
	return EXIT_SUCCESS;
}
