/* SPDX-License-Identifier: PostgreSQL
 * See verifier.h. */
#include "config.h"
#include "auth/verifier.h"

#include "auth/jwt.h"
#include "auth/ticket.h"

#define IN_TOKENS                                                                                  \
	{                                                                                          \
		"authorization", "query"                                                           \
	}

const char *const verifier_presets[N_PRESETS + 1] = {
	[PRESET_DRF] = "drf",		[PRESET_KNOX] = "knox",
	[PRESET_CUSTOM] = "custom",	[PRESET_SESSION] = "session",
	[PRESET_JWT] = "jwt",		[PRESET_SIMPLEJWT] = "simplejwt",
	[PRESET_SUPABASE] = "supabase", [PRESET_APIKEY] = "apikey",
	[PRESET_TICKET] = "ticket",	[PRESET_NONE] = "none",
};

const struct verifier verifiers[N_PRESETS] = {
	[PRESET_DRF] = {IN_TOKENS, NULL, "Token", false},
	[PRESET_KNOX] = {IN_TOKENS, NULL, "Token", false},
	[PRESET_CUSTOM] = {IN_TOKENS, NULL, "Token", false},
	[PRESET_SESSION] = {{NULL}, NULL, "Cookie", false},
	[PRESET_JWT] = {IN_TOKENS, jwt_plausible, "Bearer", true},
	[PRESET_SIMPLEJWT] = {IN_TOKENS, jwt_plausible, "Bearer", true},
	[PRESET_SUPABASE] = {IN_TOKENS, jwt_plausible, "Bearer", true},
	[PRESET_APIKEY] = {{"header:X-API-Key", "authorization"}, NULL, "Api-Key", false},
	[PRESET_TICKET] = {IN_TOKENS, ticket_plausible, "Token", false},
	[PRESET_NONE] = {{NULL}, NULL, NULL, false},
};
