/* SPDX-License-Identifier: PostgreSQL
 * The kinds of credentials: one row for each preset of an [auth] section. How one is verified is
 * its own file's affair (auth/jwt.c, auth/api_key.c, auth/session.c, pg/auth*.c). */
#ifndef PGHERALD_AUTH_VERIFIER_H
#define PGHERALD_AUTH_VERIFIER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

/* In the order of the table, and of the file's names. */
enum auth_preset {
	PRESET_DRF,
	PRESET_KNOX,
	PRESET_CUSTOM,
	PRESET_SESSION,
	PRESET_JWT,
	PRESET_SIMPLEJWT,
	PRESET_SUPABASE,
	PRESET_APIKEY,
	PRESET_TICKET,
	PRESET_NONE,
	N_PRESETS
};

struct verifier {
	/* Where it looks, in this order, unless the file says otherwise: see place.h. A session's
	 * cookie has a setting of its own. */
	const char *places[2];
	/* Whether a text can be one; what cannot be is looked at by the next door. NULL: all can.
	 */
	bool (*takes)(const char *token);
	const char *challenge; /* of WWW-Authenticate (RFC 9110 section 11.6.1) */
	bool jwt;
};

extern const struct verifier verifiers[N_PRESETS];
/* Their names, up to NULL, for the configuration. */
extern const char *const verifier_presets[N_PRESETS + 1];

#endif
