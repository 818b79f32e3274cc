/* SPDX-License-Identifier: PostgreSQL
 * What systemd wants to hear: sd_notify(3)'s protocol, twenty lines instead of a library. */
#ifndef PGHERALD_BASE_SD_H
#define PGHERALD_BASE_SD_H

#include <stdint.h>

/* Sends lines such as "READY=1\nSTATUS=…" to $NOTIFY_SOCKET; nothing happens without one. */
void sd_notify_text(const char *lines);
/* Milliseconds between "WATCHDOG=1" lines (half of $WATCHDOG_USEC), 0 when none is wanted. */
uint64_t sd_watchdog_ms(void);

#endif
