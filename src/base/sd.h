/* SPDX-License-Identifier: PostgreSQL
 * What systemd wants to hear: sd_notify(3)'s protocol, twenty lines instead of a library. */
#ifndef PGHERALD_BASE_SD_H
#define PGHERALD_BASE_SD_H

#include <stddef.h>
#include <stdint.h>

#define SD_NAME_MAX 256 /* bytes of a descriptor's name, with its end */

struct sd_fd {
	int fd; /* close-on-exec */
	char name[SD_NAME_MAX];
};

/* Sends lines such as "READY=1\nSTATUS=…" to $NOTIFY_SOCKET; nothing happens without one. */
void sd_notify_text(const char *lines);
/* Milliseconds between "WATCHDOG=1" lines (half of $WATCHDOG_USEC), 0 when none is wanted. */
uint64_t sd_watchdog_ms(void);
/* The descriptors that were passed to this process, by sd_listen_fds(3)'s protocol: sockets, and
 * what it has stored. Once: they are taken out of the environment. The caller frees the array. */
size_t sd_passed(struct sd_fd **ret);

#endif
