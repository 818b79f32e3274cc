/* SPDX-License-Identifier: PostgreSQL
 * Numbers that the threads of a daemon count for whoever watches it (web/metrics.c). Atomic and
 * relaxed: each is right by itself. Touched when a stream comes or goes, or a message of a source
 * cannot be told; never per event. */
#ifndef PGHERALD_HUB_VITALS_H
#define PGHERALD_HUB_VITALS_H

#include <stdatomic.h>
#include <stdint.h>

#include "wire/form.h"

/* What the functions of the application have said (authorize in [route]). */
enum vitals_asked { ASKED_YES, ASKED_NO, ASKED_UNKNOWN, ASKED_UNAVAILABLE, N_ASKED };

struct vitals {
	_Atomic uint64_t streams[N_TRANSPORTS]; /* open */
	_Atomic uint64_t opened[N_TRANSPORTS];	/* since the start */
	_Atomic uint64_t asked[N_ASKED];	/* since the start */
	atomic_int doorbell_taken; /* the session that holds the lock of the doorbell and is no
				      daemon's; or 0 */
	_Atomic uint64_t refused;  /* messages of sources that are no events */
	_Atomic uint64_t dropped;  /* ... that there was no room for */
};

#endif
