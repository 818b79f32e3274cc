/* SPDX-License-Identifier: PostgreSQL
 * The sources that a configuration has (source.h): which run, which have to end. On main's thread.
 */
#ifndef PGHERALD_SOURCE_SOURCES_H
#define PGHERALD_SOURCE_SOURCES_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/inbox.h"
#include "base/list.h"
#include "conf.h"
#include "hub/vitals.h"

struct sources {
	struct inbox *db;
	struct vitals *vitals;
	const atomic_size_t *in_flight;
	struct list running, leaving; /* struct source; the latter have been asked to end */
};

/* Whether the libraries take what their sections say. False with `error`. */
bool sources_valid(const struct conf *conf, struct buf *error) MUST_CHECK;
/* Starts those of the configuration. What is pointed to outlives them. */
void sources_start(struct sources *s, struct conf *conf, struct inbox *db,
		   const atomic_size_t *in_flight, struct vitals *vitals);
/* Those whose section, or what else they go by, has changed are started anew. */
void sources_reload(struct sources *s, struct conf *conf, const struct conf *old);
/* A struct post_source has come, after every other letter of it: it has ended, and is freed. */
void sources_ended(struct sources *s, void *source);
/* All of them end. False when one has not within some seconds; then it may go on, and the process
 * has to end as it is. */
bool sources_stop(struct sources *s) MUST_CHECK;
/* After that, once their letters are gone. */
void sources_free(struct sources *s);

#endif
