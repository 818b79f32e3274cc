/* SPDX-License-Identifier: PostgreSQL
 * What systemd listens on instead of the daemon: an active socket unit. */
#ifndef PGHERALD_DOCTOR_SOCKET_H
#define PGHERALD_DOCTOR_SOCKET_H

#include <stddef.h>

#define SOCKET_MAX 16

/* The addresses of the unit, as [server] listen writes them, into `ret`, at most SOCKET_MAX; the
 * caller frees each. None where the unit is not active, or there is no systemd. */
size_t socket_addresses(const char *unit, char *ret[SOCKET_MAX]);

#endif
