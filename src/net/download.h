/* SPDX-License-Identifier: PostgreSQL
 * Documents from HTTPS servers that the administrator names, by libcurl in a thread of its own:
 * however long a server takes, whoever asked goes on. Knows nothing of what a document says. */
#ifndef PGHERALD_NET_DOWNLOAD_H
#define PGHERALD_NET_DOWNLOAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/inbox.h"
#include "base/loop.h"
#include "base/mem.h"

#define DOWNLOAD_TIME_MS     5000  /* for all of it, names and TLS included … */
#define DOWNLOAD_CONNECT_MS  3000  /* … and to the end of the handshake */
#define DOWNLOAD_HEADERS_MAX 32768 /* bytes */
#define DOWNLOAD_ETAG_MAX    256   /* bytes; a longer one is not remembered */
#define DOWNLOAD_WHY_MAX     256

/* One document: asked for by whoever makes it, to whom it goes back. */
struct download {
	struct letter letter;
	char *url;	  /* https://, or http:// of this machine */
	char *ca_file;	  /* PEM; NULL = the system's authorities */
	char *etag;	  /* of what one has already, or NULL; then that of the answer */
	size_t max_bytes; /* of the document */
	void (*done)(struct download *d); /* on the asker's loop; takes it */
	void *arg;
	/* The answer. */
	bool ok;	/* there is a document, or what one has is the current one */
	bool unchanged; /* the second of these (304) */
	char *body;
	size_t len;
	int64_t max_age_s; /* what Cache-Control allows; -1 when it says nothing, 0 for no-store */
	char why[DOWNLOAD_WHY_MAX]; /* without ok: a sentence without its period */
};

struct downloads {
	struct inbox inbox; /* those that are done */
	pthread_t thread;
	bool runs;
	void *multi; /* libcurl's */
	pthread_mutex_t lock;
	struct list wanted; /* under the lock, as is: */
	bool stopping;
};

/* Whether this program was built with libcurl. */
bool downloads_possible(void) MUST_CHECK;
/* Whether a URL is one that is asked: https://HOST[:PORT][/PATH] or, for 127.0.0.1, [::1] and
 * localhost only, http://; without a user's name. */
bool download_url_valid(const char *url) MUST_CHECK;
/* On the loop to which answers come; no thread yet. False with errno. */
bool downloads_init(struct downloads *all, struct loop *loop) MUST_CHECK;
/* Takes it. Its done() is called in any case but for downloads_stop(). */
void downloads_ask(struct downloads *all, struct download *d);
/* What is under way is broken off and freed; nobody is called any more. */
void downloads_stop(struct downloads *all);
void download_free(struct download *d);
/* What a Cache-Control header allows: seconds, 0 for no-store and no-cache, -1 for nothing said. */
int64_t download_max_age(const char *value, size_t len) MUST_CHECK;

#endif
