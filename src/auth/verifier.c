/* SPDX-License-Identifier: PostgreSQL
 * See verifier.h. */
#include "config.h"
#include "auth/verifier.h"

#include "auth/jwt.h"

const char *const verifier_presets[N_PRESETS + 1] = {
	[PRESET_DRF] = "drf",		[PRESET_KNOX] = "knox", [PRESET_CUSTOM] = "custom",
	[PRESET_SESSION] = "session",	[PRESET_JWT] = "jwt",	[PRESET_SIMPLEJWT] = "simplejwt",
	[PRESET_SUPABASE] = "supabase", [PRESET_NONE] = "none",
};

const struct verifier verifiers[N_PRESETS] = {
	[PRESET_DRF] = {PLACE_AUTHORIZATION, NULL, "Token", false},
	[PRESET_KNOX] = {PLACE_AUTHORIZATION, NULL, "Token", false},
	[PRESET_CUSTOM] = {PLACE_AUTHORIZATION, NULL, "Token", false},
	[PRESET_SESSION] = {PLACE_COOKIE, NULL, "Cookie", false},
	[PRESET_JWT] = {PLACE_AUTHORIZATION, jwt_plausible, "Bearer", true},
	[PRESET_SIMPLEJWT] = {PLACE_AUTHORIZATION, jwt_plausible, "Bearer", true},
	[PRESET_SUPABASE] = {PLACE_AUTHORIZATION, jwt_plausible, "Bearer", true},
	[PRESET_NONE] = {PLACE_NOWHERE, NULL, NULL, false},
};
