/* SPDX-License-Identifier: PostgreSQL
 * See table.h. */
#include "config.h"
#include "conf/table.h"

#include <string.h>

#include "auth/verifier.h"
#include "base/mem.h"
#include "conf/value.h"
#include "wire/posting.h"

static const char *const receives_names[] = {"none", "own", "all", NULL};
static const char *const socket_modes[] = {"0666", "0660", "0600", NULL};
static const char *const client_address_names[] = {"x-forwarded-for", "forwarded", NULL};
static const char *const level_names[] = {"error", "warning", "info", "debug", NULL};
static const char *const format_names[] = {"text", "json", NULL};
static const char *const users_names[] = {"table", "claims", "preset", NULL};
static const char *const role_from_names[] = {"column", "groups", "staff", NULL};
static const char *const line_ends_names[] = {"lf", "crlf", NULL};
static const char *const capture_names[] = {"journal", "notify", NULL};
static const char *const doorbell_names[] = {"auto", "notify", "poll", NULL};
static const char *const listen_kinds[] = {"notify", "pubsub", "stream", "kafka", NULL};
static const char *const listen_starts[] = {"end", "beginning", NULL};
static const char *const kind_names[] = {
	"events",  "stats",	"ticket",      "renew",	  "broadcast",	 "send",       "page",
	"explain", "subscribe", "unsubscribe", "metrics", "connections", "disconnect", NULL};

/* [role] is hub/scope.h's struct; each two fields of its lists lie as a conf_list does. */
_Static_assert(offsetof(struct scope_policy, n_patterns) -
				       offsetof(struct scope_policy, patterns) ==
			       offsetof(struct conf_list, n) &&
		       offsetof(struct scope_policy, n_channels) -
				       offsetof(struct scope_policy, channels) ==
			       offsetof(struct conf_list, n) &&
		       offsetof(struct scope_policy, n_publishes) -
				       offsetof(struct scope_policy, publishes) ==
			       offsetof(struct conf_list, n),
	       "the lists of scope_policy must look like a conf_list");

#define AT(type, field) offsetof(struct type, field)

static const struct setting server_settings[] = {
	{"listen", TYPE_LIST, AT(conf, listen), "127.0.0.1:8080", RESTART, NULL, 0, 0},
	{"socket_mode", TYPE_CHOICE, AT(conf, socket_mode), "0666", RESTART, socket_modes, 0, 0},
	{"workers", TYPE_COUNT, AT(conf, workers), "0", RESTART, NULL, 0, 256},
	{"max_streams", TYPE_COUNT, AT(conf, max_streams), "0", 0, NULL, 0, 0},
	{"max_streams_per_user", TYPE_COUNT, AT(conf, max_streams_per_user), "200", 0, NULL, 0, 0},
	{"max_tickets", TYPE_COUNT, AT(conf, max_tickets), "10000", 0, NULL, 0, 1000000},
	{"max_tickets_per_user", TYPE_COUNT, AT(conf, max_tickets_per_user), "100", 0, NULL, 0,
	 1000000},
	{"max_tickets_per_address", TYPE_COUNT, AT(conf, max_tickets_per_address), "0", 0, NULL, 0,
	 1000000},
	{"max_requests", TYPE_COUNT, AT(conf, max_requests), "0", 0, NULL, 0, 0},
	{"max_requests_per_address", TYPE_COUNT, AT(conf, max_requests_per_address), "100", 0, NULL,
	 0, 0},
	{"ring_events", TYPE_COUNT, AT(conf, ring_events), "20000", RESTART, NULL, 1, 10000000},
	{"ring_bytes", TYPE_SIZE, AT(conf, ring_bytes), "64MiB", RESTART, NULL, 65536, 0},
	{"client_memory", TYPE_SIZE, AT(conf, client_memory), "512MiB", 0, NULL, 0, 0},
	{"send_buffer", TYPE_SIZE, AT(conf, send_buffer), "32KiB", 0, NULL, 0, 1 << 30},
	{"flush", TYPE_DURATION, AT(conf, flush_ms), "5ms", 0, NULL, 0, 1000},
	{"drain", TYPE_DURATION, AT(conf, drain_ms), "5s", 0, NULL, 0, 3600000},
	{"request_timeout", TYPE_DURATION, AT(conf, request_ms), "10s", 0, NULL, 100, 3600000},
	{"cors_origins", TYPE_LIST, AT(conf, cors_origins), "", 0, NULL, 0, 0},
	{"trusted_proxies", TYPE_LIST, AT(conf, trusted_proxies), "", 0, NULL, 0, 0},
	{"client_address", TYPE_CHOICE, AT(conf, client_address), "x-forwarded-for", 0,
	 client_address_names, 0, 0},
	{"auth_failures", TYPE_COUNT, AT(conf, auth_failures), "100", 0, NULL, 0, 1000000},
	{"auth_failures_window", TYPE_DURATION, AT(conf, auth_failures_ms), "1m", 0, NULL, 1000,
	 86400000},
	{"developer", TYPE_YESNO, AT(conf, developer), "no", 0, NULL, 0, 0},
	{"allow_insecure", TYPE_YESNO, AT(conf, allow_insecure), "no", 0, NULL, 0, 0},
	{0},
};

static const struct setting log_settings[] = {
	{"level", TYPE_CHOICE, AT(conf, log_level), "info", 0, level_names, 0, 0},
	{"format", TYPE_CHOICE, AT(conf, log_format), "text", 0, format_names, 0, 0},
	{"file", TYPE_TEXT, AT(conf, log_file), "", 0, NULL, 0, 0},
	{0},
};

static const struct setting database_settings[] = {
	{"conninfo", TYPE_SECRET, AT(conf, conninfo), "", 0, NULL, 0, 0},
	{"poll", TYPE_DURATION, AT(conf, poll_ms), "1s", 0, NULL, 10, 60000},
	{"recheck", TYPE_DURATION, AT(conf, recheck_ms), "30s", 0, NULL, 1000, 86400000},
	{"verify", TYPE_DURATION, AT(conf, verify_ms), "10s", 0, NULL, 100, 86400000},
	{"retention", TYPE_DURATION, AT(conf, retention_ms), "24h", 0, NULL, 0, 0},
	{"journal_size", TYPE_SIZE, AT(conf, journal_size), "1GiB", 0, NULL, 65536, 0},
	{"doorbell", TYPE_CHOICE, AT(conf, doorbell), "auto", 0, doorbell_names, 0, 0},
	{"login", TYPE_TEXT, AT(conf, login), "pgherald", 0, NULL, 0, 0},
	{"trusted_owners", TYPE_LIST, AT(conf, trusted_owners), "", 0, NULL, 0, 0},
	{0},
};

static const struct setting publish_settings[] = {
	{"roles", TYPE_LIST, AT(conf, publishers), "", 0, NULL, 0, 0},
	{0},
};

static const struct setting role_settings[] = {
	{"receives", TYPE_CHOICE, AT(scope_policy, receives), "none", REQUIRED, receives_names, 0,
	 0},
	{"events", TYPE_LIST, AT(scope_policy, patterns), "", 0, NULL, 0, 0},
	{"channels", TYPE_LIST, AT(scope_policy, channels), "", 0, NULL, 0, 0},
	{"publish", TYPE_LIST, AT(scope_policy, publishes), "", 0, NULL, 0, 0},
	{0},
};

static const struct setting auth_settings[] = {
	{"preset", TYPE_CHOICE, AT(conf_auth, preset), "drf", 0, verifier_presets, 0, 0},
	{"places", TYPE_LIST, AT(conf_auth, places), "", 0, NULL, 0, 0},
	{"token_table", TYPE_TEXT, AT(conf_auth, token_table), "public.authtoken_token", 0, NULL, 0,
	 0},
	{"token_column", TYPE_TEXT, AT(conf_auth, token_column), "key", 0, NULL, 0, 0},
	{"token_user", TYPE_TEXT, AT(conf_auth, token_user), "user_id", 0, NULL, 0, 0},
	{"token_expires", TYPE_TEXT, AT(conf_auth, token_expires), "", 0, NULL, 0, 0},
	{"token_channels", TYPE_TEXT, AT(conf_auth, token_channels), "", 0, NULL, 0, 0},
	{"key_file", TYPE_TEXT, AT(conf_auth, key_file), "", 0, NULL, 0, 0},
	{"jwks_url", TYPE_TEXT, AT(conf_auth, jwks_url), "", 0, NULL, 0, 0},
	{"jwks_ca_file", TYPE_TEXT, AT(conf_auth, jwks_ca_file), "", 0, NULL, 0, 0},
	{"jwks_refresh", TYPE_DURATION, AT(conf_auth, jwks_refresh_ms), "1h", 0, NULL, 1000,
	 604800000},
	{"jwks_pause", TYPE_DURATION, AT(conf_auth, jwks_pause_ms), "10s", 0, NULL, 1000, 3600000},
	{"jwks_grace", TYPE_DURATION, AT(conf_auth, jwks_grace_ms), "0s", 0, NULL, 0, 604800000},
	{"algorithm", TYPE_TEXT, AT(conf_auth, algorithm), "", 0, NULL, 0, 0},
	{"issuer", TYPE_TEXT, AT(conf_auth, issuer), "", 0, NULL, 0, 0},
	{"audience", TYPE_TEXT, AT(conf_auth, audience), "", 0, NULL, 0, 0},
	{"leeway", TYPE_DURATION, AT(conf_auth, leeway_ms), "0s", 0, NULL, 0, 600000},
	{"users", TYPE_CHOICE, AT(conf_auth, users), "preset", 0, users_names, 0, 0},
	{"user_claim", TYPE_TEXT, AT(conf_auth, user_claim), "sub", 0, NULL, 0, 0},
	{"role_claim", TYPE_TEXT, AT(conf_auth, role_claim), "role", 0, NULL, 0, 0},
	{"channels_claim", TYPE_TEXT, AT(conf_auth, channels_claim), "", 0, NULL, 0, 0},
	{"claims", TYPE_LIST, AT(conf_auth, claims), "", 0, NULL, 0, 0},
	{"role", TYPE_TEXT, AT(conf_auth, role), "", 0, NULL, 0, 0},
	{"cookie", TYPE_TEXT, AT(conf_auth, cookie), "sessionid", 0, NULL, 0, 0},
	{"secret_key_file", TYPE_TEXT, AT(conf_auth, secret_key_file), "", 0, NULL, 0, 0},
	{"session_salt", TYPE_TEXT, AT(conf_auth, session_salt),
	 "django.contrib.sessions.SessionStore", 0, NULL, 0, 0},
	{"user_table", TYPE_TEXT, AT(conf_auth, user_table), "public.auth_user", 0, NULL, 0, 0},
	{"user_key", TYPE_TEXT, AT(conf_auth, user_key), "id", 0, NULL, 0, 0},
	{"user_active", TYPE_TEXT, AT(conf_auth, user_active), "is_active", 0, NULL, 0, 0},
	{"user_password", TYPE_TEXT, AT(conf_auth, user_password), "password", 0, NULL, 0, 0},
	{"role_from", TYPE_CHOICE, AT(conf_auth, role_from), "column", 0, role_from_names, 0, 0},
	{"role_column", TYPE_TEXT, AT(conf_auth, role_column), "role", 0, NULL, 0, 0},
	{"group_table", TYPE_TEXT, AT(conf_auth, group_table), "public.auth_group", 0, NULL, 0, 0},
	{"membership_table", TYPE_TEXT, AT(conf_auth, membership_table), "public.auth_user_groups",
	 0, NULL, 0, 0},
	{"membership_user", TYPE_TEXT, AT(conf_auth, membership_user), "user_id", 0, NULL, 0, 0},
	{"membership_group", TYPE_TEXT, AT(conf_auth, membership_group), "group_id", 0, NULL, 0, 0},
	{"staff_role", TYPE_TEXT, AT(conf_auth, staff_role), "manager", 0, NULL, 0, 0},
	{"other_role", TYPE_TEXT, AT(conf_auth, other_role), "foreman", 0, NULL, 0, 0},
	{0},
};

static const struct setting watch_settings[] = {
	{"table", TYPE_TEXT, AT(conf_watch, table), NULL, REQUIRED, NULL, 0, 0},
	{"key", TYPE_TEXT, AT(conf_watch, key), "id", 0, NULL, 0, 0},
	{"owners", TYPE_TEXT, AT(conf_watch, owners), "", 0, NULL, 0, 0},
	{"channels", TYPE_TEXT, AT(conf_watch, channels), "", 0, NULL, 0, 0},
	{"fields", TYPE_TEXT, AT(conf_watch, fields), NULL, REQUIRED, NULL, 0, 0},
	{"leave", TYPE_TEXT, AT(conf_watch, leave), "", 0, NULL, 0, 0},
	{"follow", TYPE_YESNO, AT(conf_watch, follow), "no", 0, NULL, 0, 0},
	{"rescope", TYPE_LIST, AT(conf_watch, rescope), "", 0, NULL, 0, 0},
	{"capture", TYPE_CHOICE, AT(conf_watch, capture), "journal", 0, capture_names, 0, 0},
	{0},
};

static const struct setting listen_settings[] = {
	{"kind", TYPE_CHOICE, AT(conf_listen, kind), "notify", 0, listen_kinds, 0, 0},
	{"channel", TYPE_TEXT, AT(conf_listen, channel), "", 0, NULL, 0, 0},
	{"server", TYPE_SECRET, AT(conf_listen, server), "", 0, NULL, 0, 0},
	{"password_file", TYPE_TEXT, AT(conf_listen, password_file), "", 0, NULL, 0, 0},
	{"ca_file", TYPE_TEXT, AT(conf_listen, ca_file), "", 0, NULL, 0, 0},
	{"properties_file", TYPE_TEXT, AT(conf_listen, properties_file), "", 0, NULL, 0, 0},
	{"from", TYPE_LIST, AT(conf_listen, from), "", 0, NULL, 0, 0},
	{"to", TYPE_TEXT, AT(conf_listen, to), "", 0, NULL, 0, 0},
	{"journal", TYPE_YESNO, AT(conf_listen, journal), "no", 0, NULL, 0, 0},
	{"group", TYPE_TEXT, AT(conf_listen, group), "pgherald", 0, NULL, 0, 0},
	{"start", TYPE_CHOICE, AT(conf_listen, start), "end", 0, listen_starts, 0, 0},
	{"payload_field", TYPE_TEXT, AT(conf_listen, payload_field), "data", 0, NULL, 0, 0},
	{"type_field", TYPE_TEXT, AT(conf_listen, type_field), "type", 0, NULL, 0, 0},
	{"event_key", TYPE_TEXT, AT(conf_listen, event_key), "event", 0, NULL, 0, 0},
	{"data_key", TYPE_TEXT, AT(conf_listen, data_key), "", 0, NULL, 0, 0},
	{"owner_keys", TYPE_LIST, AT(conf_listen, owner_keys), "", 0, NULL, 0, 0},
	{0},
};

static const struct setting route_settings[] = {
	{"path", TYPE_TEXT, AT(conf_route, path), NULL, REQUIRED, NULL, 0, 0},
	{"kind", TYPE_CHOICE, AT(conf_route, kind), "events", 0, kind_names, 0, 0},
	{"enabled", TYPE_YESNO, AT(conf_route, enabled), "yes", 0, NULL, 0, 0},
	{"environment", TYPE_LIST, AT(conf_route, environment), "", 0, NULL, 0, 0},
	{"transports", TYPE_LIST, AT(conf_route, transports), "", 0, NULL, 0, 0},
	{"dialect", TYPE_CHOICE, AT(conf_route, dialect), "django", 0, dialect_names, 0, 0},
	{"ids", TYPE_YESNO, AT(conf_route, ids), "yes", 0, NULL, 0, 0},
	{"txid", TYPE_YESNO, AT(conf_route, txid), "no", 0, NULL, 0, 0},
	{"retry_each", TYPE_YESNO, AT(conf_route, retry_each), "no", 0, NULL, 0, 0},
	{"line_ends", TYPE_CHOICE, AT(conf_route, line_ends), "lf", 0, line_ends_names, 0, 0},
	{"test_mode", TYPE_YESNO, AT(conf_route, test_mode), "no", 0, NULL, 0, 0},
	{"channels", TYPE_LIST, AT(conf_route, channels), "", 0, NULL, 0, 0},
	{"authorize", TYPE_TEXT, AT(conf_route, authorize), "", 0, NULL, 0, 0},
	{"types", TYPE_LIST, AT(conf_route, types), "", 0, NULL, 0, 0},
	{"auth", TYPE_LIST, AT(conf_route, auth), "", 0, NULL, 0, 0},
	{"opens", TYPE_TEXT, AT(conf_route, opens), "", 0, NULL, 0, 0},
	{"query_token", TYPE_YESNO, AT(conf_route, query_token), "yes", 0, NULL, 0, 0},
	{"roles", TYPE_LIST, AT(conf_route, roles), "", 0, NULL, 0, 0},
	{"keepalive", TYPE_DURATION, AT(conf_route, keepalive_ms), "30s", 0, NULL, 1000, 3600000},
	{"retry", TYPE_DURATION, AT(conf_route, retry_ms), "3s", 0, NULL, 1, FORM_RETRY_MAX_MS},
	{"queue_events", TYPE_COUNT, AT(conf_route, queue_events), "100", 0, NULL, 1, 1000000},
	{"queue_bytes", TYPE_SIZE, AT(conf_route, queue_bytes), "1MiB", 0, NULL, 1024, 1 << 30},
	{"max_body", TYPE_SIZE, AT(conf_route, max_body), "1MiB", 0, NULL, 1024, POSTING_MAX},
	{"allow_ips", TYPE_LIST, AT(conf_route, allow_ips), "", 0, NULL, 0, 0},
	{"max_streams", TYPE_COUNT, AT(conf_route, max_streams), "0", 0, NULL, 0, 0},
	{"max_streams_per_address", TYPE_COUNT, AT(conf_route, max_streams_per_address), "0", 0,
	 NULL, 0, 0},
	{"max_streams_per_channel", TYPE_COUNT, AT(conf_route, max_streams_per_channel), "0", 0,
	 NULL, 0, 0},
	{"opens_in_all", TYPE_COUNT, AT(conf_route, opens_in_all), "0", 0, NULL, 0, 1000000},
	{"opens_per_channel", TYPE_COUNT, AT(conf_route, opens_per_channel), "0", 0, NULL, 0,
	 1000000},
	{"opens_per_address", TYPE_COUNT, AT(conf_route, opens_per_address), "0", 0, NULL, 0,
	 1000000},
	{"opens_per_user", TYPE_COUNT, AT(conf_route, opens_per_user), "0", 0, NULL, 0, 1000000},
	{"publishes", TYPE_COUNT, AT(conf_route, publishes), "0", 0, NULL, 0, 1000000},
	{"publishes_per_address", TYPE_COUNT, AT(conf_route, publishes_per_address), "0", 0, NULL,
	 0, 1000000},
	{"publishes_per_user", TYPE_COUNT, AT(conf_route, publishes_per_user), "0", 0, NULL, 0,
	 1000000},
	{"publishes_per_channel", TYPE_COUNT, AT(conf_route, publishes_per_channel), "0", 0, NULL,
	 0, 1000000},
	{"subscribes", TYPE_COUNT, AT(conf_route, subscribes), "0", 0, NULL, 0, 1000000},
	{"subscribes_per_address", TYPE_COUNT, AT(conf_route, subscribes_per_address), "0", 0, NULL,
	 0, 1000000},
	{"subscribes_per_channel", TYPE_COUNT, AT(conf_route, subscribes_per_channel), "0", 0, NULL,
	 0, 1000000},
	{"subscribes_per_user", TYPE_COUNT, AT(conf_route, subscribes_per_user), "0", 0, NULL, 0,
	 1000000},
	{"stall", TYPE_DURATION, AT(conf_route, stall_ms), "60s", 0, NULL, 1000, 3600000},
	{0},
};

const struct section section_table[N_SECTIONS] = {
	[SECTION_SERVER] = {"server", server_settings, 0, 0, 0},
	[SECTION_LOG] = {"log", log_settings, 0, 0, 0},
	[SECTION_DATABASE] = {"database", database_settings, 0, 0, 0},
	[SECTION_PUBLISH] = {"publish", publish_settings, 0, 0, 0},
	[SECTION_ROLE] = {"role", role_settings, sizeof(struct scope_policy), AT(conf, roles),
			  AT(conf, n_roles)},
	[SECTION_AUTH] = {"auth", auth_settings, sizeof(struct conf_auth), AT(conf, auths),
			  AT(conf, n_auths)},
	[SECTION_WATCH] = {"watch", watch_settings, sizeof(struct conf_watch), AT(conf, watches),
			   AT(conf, n_watches)},
	[SECTION_LISTEN] = {"listen", listen_settings, sizeof(struct conf_listen),
			    AT(conf, listens), AT(conf, n_listens)},
	[SECTION_ROUTE] = {"route", route_settings, sizeof(struct conf_route), AT(conf, routes),
			   AT(conf, n_routes)},
};

_Static_assert(offsetof(struct scope_policy, name) == 0 && offsetof(struct conf_auth, name) == 0 &&
		       offsetof(struct conf_watch, name) == 0 &&
		       offsetof(struct conf_listen, name) == 0 &&
		       offsetof(struct conf_route, name) == 0,
	       "a named section's struct begins with its name");

char **section_array(struct conf *c, const struct section *k)
{
	return value_at(c, k->array);
}

size_t *section_count(struct conf *c, const struct section *k)
{
	return value_at(c, k->count);
}

void *section_element(struct conf *c, const struct section *k, size_t i)
{
	return *section_array(c, k) + i * k->size;
}

void *section_add(struct conf *c, const struct section *k, const char *name)
{
	char **array = section_array(c, k);
	size_t *n = section_count(c, k);
	char *e;

	*array = xrealloc(*array, *n + 1, k->size);
	e = *array + (*n)++ * k->size;
	memset(e, 0, k->size);
	*(char **)(void *)e = xstrdup(name);
	value_defaults(k->settings, e);
	return e;
}
