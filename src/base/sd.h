/* SPDX-License-Identifier: PostgreSQL
 * What systemd wants to hear: sd_notify(3)'s protocol, twenty lines instead of a library. */
#ifndef PGHERALD_BASE_SD_H
#define PGHERALD_BASE_SD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

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
/* How many descriptors systemd keeps for us while we are away, $FDSTORE; 0 without a store. */
uint64_t sd_store_max(void);
/* Gives it one to keep, whatever becomes of its other end, and to pass to the next process under
 * this name; ours stays open. False with errno when it could not be sent. */
bool sd_store(int fd, const char *name) MUST_CHECK;
/* Takes all of that name out of the store. */
void sd_unstore(const char *name);
/* Waits at most so long until everything that was sent has been read; whether it has. */
bool sd_barrier(int wait_ms) MUST_CHECK;

#endif
