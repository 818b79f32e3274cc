/* SPDX-License-Identifier: PostgreSQL
 * Live streams on their way into the store of systemd, from where the next process gets them. The
 * store has two descriptors, however many they are: a bag with their sockets (bag.h), and a sealed
 * memfd with what is known of them. (systemd compares each descriptor that it is given with all it
 * has.) */
#ifndef PGHERALD_WEB_DEPARTURE_H
#define PGHERALD_WEB_DEPARTURE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"
#include "web/bag.h"
#include "web/luggage.h"

/* Names in the store. */
#define DEPARTURE_BAG	"pgherald-streams"
#define DEPARTURE_STATE "pgherald-state"
#define DEPARTURE_STORE 2 /* descriptors that the store must have room for */

struct departure;

struct departure *departure_new(void);
/* Takes a stream's socket, with what is known of it (`l->socket` is filled in here) and how it ends
 * if nobody can read that. False when it cannot, and then it is the caller's as before. From every
 * thread. */
bool departure_take(struct departure *d, int fd, const struct bag_end *end,
		    struct luggage *l) MUST_CHECK;
/* Sends all of it and waits until it has arrived. How many streams they are; false with errno when
 * it was not possible, and then all of them have got a farewell. Frees. */
bool departure_finish(struct departure *d, size_t *ret_n) MUST_CHECK;

/* The whole of a state, to be read with luggage_read(); the caller frees. NULL when it is none. */
char *departure_state(int fd, size_t *ret_len);

#endif
