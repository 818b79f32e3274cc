/* SPDX-License-Identifier: PostgreSQL
 * Lines on their way to a descriptor whose reader may stop. A thread of its own writes and waits;
 * whoever has a line never does: what does not fit in between is lost and counted. The descriptor's
 * flags stay as they are, since they may be shared with the shell that started us. */
#ifndef PGHERALD_BASE_SPOOL_H
#define PGHERALD_BASE_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"

#define SPOOL_LINE_MAX 8192 /* bytes of one line */

struct spool;

/* Starts a thread, with all signals blocked, that writes to `fd` what spool_add() takes, of which
 * `max` bytes wait at most. `lost` makes the line that says how many were; it stands where they
 * would have stood. The spool lives as long as the process. NULL with errno without a thread. */
struct spool *spool_start(int fd, size_t max,
			  void (*lost)(struct buf *line, uint64_t n)) MUST_CHECK;
/* Takes a line, or counts it as lost. From every thread, never waits for the descriptor. */
void spool_add(struct spool *s, const char *line, size_t len);
/* Waits at most `wait_ms` until all of it is written; whether it is. */
bool spool_flush(struct spool *s, unsigned wait_ms);

#endif
