/* SPDX-License-Identifier: PostgreSQL
 * Tickets: a name that is good once, for a credential that must not stand in a URL. What is kept of
 * one is sealed with the ticket itself: who reads where it is kept learns nothing. */
#ifndef PGHERALD_AUTH_TICKET_H
#define PGHERALD_AUTH_TICKET_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/mem.h"

#define TICKET_LIFE_S 30
#define TICKET_SIZE   47 /* bytes: "pgt_" and 32 random bytes in base64url */
#define TICKET_NAME   64 /* digits under which one is kept */

/* A new one. False when there is no randomness. */
bool ticket_make(char out[TICKET_SIZE + 1]) MUST_CHECK;
/* Whether a text can be one. */
bool ticket_plausible(const char *text) MUST_CHECK;
/* Under which name it is kept. */
bool ticket_name(const char *ticket, char out[TICKET_NAME + 1]) MUST_CHECK;
/* A door's name and a credential for it, sealed, as text. */
bool ticket_seal(const char *ticket, const char *door, const char *token,
		 struct buf *out) MUST_CHECK;
/* Both again, which the caller frees; false for what was not sealed with this ticket. */
bool ticket_open(const char *ticket, const char *sealed, char **ret_door,
		 char **ret_token) MUST_CHECK;

#endif
