/* SPDX-License-Identifier: PostgreSQL
 * The kinds of credentials: one row for each preset of an [auth] section. How one is verified is
 * its own file's affair (auth/jwt.c, auth/session.c, pg/auth*.c). */
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
	PRESET_NONE,
	N_PRESETS
};

/* Where a credential stands in a request. */
enum verifier_place {
	PLACE_NOWHERE,	     /* everybody has it */
	PLACE_COOKIE,	     /* which browsers send by themselves */
	PLACE_AUTHORIZATION, /* "Token …" or "Bearer …"; or ?token=, where a route takes that */
};

struct verifier {
	enum verifier_place place;
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
