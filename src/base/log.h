/* SPDX-License-Identifier: PostgreSQL
 * The daemon's log: one line per event to stderr or a file, as text (with a <N> priority for
 * journald when stderr is the journal) or as JSON. Values are escaped, so a request can never forge
 * a line. Callable from every thread; the level and format are set once at start and on reload. */
#ifndef PGHERALD_BASE_LOG_H
#define PGHERALD_BASE_LOG_H

#include "base/mem.h"
#include <stdbool.h>

#define LOG_SPOOL_BYTES (256 * 1024)

enum log_level { LOG_L_ERROR, LOG_L_WARN, LOG_L_INFO, LOG_L_DEBUG };
enum log_format { LOG_F_TEXT, LOG_F_JSON };

struct log_field {
	const char *key;
	const char *value; /* NULL leaves the field out */
};

void log_setup(enum log_level level, enum log_format format);
/* From here on all that goes to standard error goes to the end of this file, "" for where it went
 * at first; made when it is missing, and opened anew in each call, for who has moved it away. False
 * with errno, and then nothing changes. */
bool log_open(const char *path) MUST_CHECK;
void log_error(const char *fmt, ...) PRINTF(1, 2);
void log_warn(const char *fmt, ...) PRINTF(1, 2);
void log_info(const char *fmt, ...) PRINTF(1, 2);
void log_debug(const char *fmt, ...) PRINTF(1, 2);
/* `message` and its fields: key=value in text, members in JSON. Ends at a field without key. */
void log_with(enum log_level level, const char *message, const struct log_field *fields);
bool log_enabled(enum log_level level);
/* From here on a thread of its own writes: whoever reads stderr and stops, stops nothing else. What
 * does not fit into LOG_SPOOL_BYTES in between is lost, counted, and told of once it goes on. */
bool log_spool(void) MUST_CHECK;
/* Waits at most so long until all is written; before the process ends. */
void log_flush(unsigned wait_ms);

#endif
