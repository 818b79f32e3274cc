/* SPDX-License-Identifier: PostgreSQL
 * The configuration file. One table (conf/table.c) of sections and settings drives parsing,
 * checking, printing, reloading and the lint that every setting is in pgherald.conf(5). A struct
 * conf is an immutable, counted snapshot: a reload makes a new one. */
#ifndef PGHERALD_CONF_H
#define PGHERALD_CONF_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/forwarded.h"
#include "auth/place.h"
#include "auth/verifier.h"
#include "base/buf.h"
#include "hub/scope.h"
#include "sql/watch.h"
#include "wire/form.h"
#include "wire/pattern.h"

enum route_kind {
	ROUTE_EVENTS,
	ROUTE_STATS,
	ROUTE_TICKET,
	ROUTE_RENEW,
	ROUTE_BROADCAST,
	ROUTE_SEND,
	ROUTE_PAGE,
	ROUTE_EXPLAIN,
	ROUTE_SUBSCRIBE,
	ROUTE_UNSUBSCRIBE,
	ROUTE_METRICS,
	ROUTE_CONNECTIONS,
	ROUTE_DISCONNECT
};
enum line_ends { LINE_ENDS_LF, LINE_ENDS_CRLF };
enum socket_mode { SOCKET_MODE_ALL, SOCKET_MODE_GROUP, SOCKET_MODE_OWNER };
enum capture { CAPTURE_JOURNAL, CAPTURE_NOTIFY };
/* What the preset says has become one of the others when the configuration has been checked. */
enum auth_users { USERS_TABLE, USERS_CLAIMS, USERS_PRESET };
enum auth_role_from { ROLE_FROM_COLUMN, ROLE_FROM_GROUPS, ROLE_FROM_STAFF };

#define ROUTE_CHANNELS_MAX 16 /* in a [route] */
#define NAMED_MAX	   64 /* sections of one kind */

struct conf_list {
	char **items;
	size_t n;
};

/* [route NAME]: where clients come in. */
struct conf_route {
	char *name;
	char *path;	       /* as wire/pattern.h says, e.g. /api/v1/sse/events/ */
	int kind;	       /* enum route_kind */
	struct conf_list auth; /* names of [auth] sections, in the order in which they are asked */
	const char *opened_by; /* the variable that lets everybody in; or NULL */
	char *opens; /* of ROUTE_TICKET, ROUTE_PAGE: the name of the route that it is for */
	int dialect; /* enum wire_dialect */
	struct conf_list transports; /* by name; empty = all that can carry the dialect */
	unsigned carried;	     /* what they are, a bit for each enum wire_transport */
	enum wire_transport first;   /* for who names none: the first in the list */
	bool ids, txid, retry_each;
	int line_ends;	  /* enum line_ends: of SSE */
	bool test_mode;	  /* a stream is one message that says so */
	bool query_token; /* whether ?token= is accepted besides the Authorization header */
	struct conf_list channels; /* what is heard here, and nothing else; empty = one's own */
	bool own_too;		   /* besides them */
	bool by_role;		   /* one of them has the user's role in its name */
	char *authorize;	   /* a function that is asked who may hear them; "" = none */
	struct conf_list types;	   /* as in a filter; empty = every type */
	struct conf_list roles;	   /* who may use it; empty = every configured role */
	uint64_t keepalive_ms;
	uint64_t retry_ms;
	uint64_t queue_events;
	uint64_t queue_bytes;
	uint64_t stall_ms; /* a client that takes nothing for so long is let go */
	struct conf_list allow_ips;
	struct forwarded_trust allowed; /* what they mean; from everywhere without any */
	uint64_t max_streams, max_streams_per_address, max_streams_per_channel;
	uint64_t opens_in_all, opens_per_address, opens_per_user, opens_per_channel; /* a minute */
	uint64_t publishes, publishes_per_address, publishes_per_user, publishes_per_channel;
	uint64_t subscribes, subscribes_per_address, subscribes_per_user, subscribes_per_channel;
	bool enabled;		      /* else nobody finds it */
	uint64_t max_body;	      /* bytes of what is posted to be published */
	struct conf_list environment; /* families of variables that set some of this */
};

/* [auth NAME]: a door: how a credential becomes a user and a role. */
struct conf_auth {
	char *name;
	char *token_table, *token_column, *token_user;
	char *user_table, *user_key, *user_active;
	int preset;		 /* enum auth_preset */
	struct conf_list places; /* where it looks, as text */
	struct place where[PLACES_MAX];
	size_t n_where;
	char *token_expires;  /* column, "" for tokens without end */
	char *token_channels; /* another, "" for tokens that hear what their user's role may */
	/* with PRESET_SESSION: */
	char *cookie, *session_salt, *secret_key_file, *user_password;
	struct secrets *secrets; /* by conf_load_secrets() */
	/* of a JWT: */
	char *key_file, *algorithm, *issuer, *audience;
	char *jwks_url, *jwks_ca_file;
	uint64_t jwks_refresh_ms, jwks_pause_ms, jwks_grace_ms;
	uint64_t leeway_ms;
	int users; /* enum auth_users */
	char *user_claim, *role_claim, *channels_claim;
	struct conf_list claims;   /* NAME=VALUE each */
	struct jwks *jwks;	   /* of key_file, by conf_load_secrets() */
	struct api_keys *api_keys; /* of PRESET_APIKEY with a key_file, by the same */
	char *role;		   /* with PRESET_NONE */
	int role_from;		   /* enum auth_role_from */
	char *role_column;
	char *group_table, *membership_table, *membership_user, *membership_group;
	char *staff_role, *other_role;
};

/* [watch NAME]: a table whose changes are events; NAME is the topic. */
struct conf_watch {
	char *name;
	char *table, *key, *owners, *channels, *fields, *leave;
	struct conf_list rescope; /* topics to fetch again when a row changes its owners */
	int capture;		  /* enum capture */
	bool follow;
	struct watch *parsed; /* what the strings mean */
};

/* Where a [listen] section hears it from. */
enum listen_kind { LISTEN_NOTIFY, LISTEN_PUBSUB, LISTEN_STREAM, LISTEN_KAFKA };
enum listen_start { LISTEN_END, LISTEN_BEGINNING };

/* [listen NAME]: where the application itself sends JSON. */
struct conf_listen {
	char *name;
	int kind;      /* enum listen_kind */
	char *channel; /* of LISTEN_NOTIFY, and of the others: */
	char *server;  /* a URL of Redis, or brokers of Kafka */
	char *password_file, *ca_file, *properties_file;
	char *password, *properties; /* by conf_load_secrets(), or NULL */
	struct conf_list from;
	char *to;
	bool journal;
	char *group;
	int start; /* enum listen_start */
	char *payload_field, *type_field;
	char *event_key, *data_key;
	struct conf_list owner_keys;
};

struct conf {
	atomic_int refs;
	char *path; /* the file, for messages */

	/* [server] */
	struct conf_list listen;
	int socket_mode;  /* enum socket_mode: of Unix sockets */
	uint64_t workers; /* 0 = one per processor */
	uint64_t max_streams;
	uint64_t max_streams_per_user;
	uint64_t max_tickets, max_tickets_per_user, max_tickets_per_address; /* 0: any number */
	uint64_t max_requests; /* without a verdict, over all workers; 0 = by descriptors */
	uint64_t max_requests_per_address;
	uint64_t ring_events, ring_bytes;
	uint64_t client_memory; /* bytes, over all workers; 0: any number */
	uint64_t send_buffer;	/* SO_SNDBUF of a stream, bytes */
	uint64_t flush_ms;
	uint64_t drain_ms;
	uint64_t request_ms; /* an HTTP request must be complete, and its token looked up, in this
				time */
	struct conf_list cors_origins;
	struct conf_list trusted_proxies;
	struct forwarded_trust trust; /* what they mean */
	int client_address;	      /* enum forwarded_header */
	uint64_t auth_failures, auth_failures_ms;
	bool developer;	     /* whether there are test pages */
	bool allow_insecure; /* variables may let everybody in, wherever it listens */

	/* [log] */
	int log_level, log_format;
	char *log_file; /* "" = standard error */

	/* [database] */
	char *conninfo;
	uint64_t poll_ms;
	uint64_t recheck_ms; /* tokens of open streams are looked up again this often */
	uint64_t verify_ms;  /* the watched tables are compared with the configuration this often */
	uint64_t retention_ms;
	uint64_t journal_size; /* bytes */
	int doorbell;	       /* enum watch_doorbell: whether writers ring */
	char *login; /* the role the daemon connects as; granted the reader's rights on install */

	/* [publish] */
	struct conf_list publishers;	 /* roles of the database */
	struct conf_list trusted_owners; /* may read each other's tokens, see sql/auth_owners.sql */

	struct scope_policy *roles; /* [role NAME], in the file's order */
	size_t n_roles;
	struct conf_auth *auths;
	size_t n_auths;
	struct conf_watch *watches;
	size_t n_watches;
	struct conf_listen *listens;
	size_t n_listens;
	struct conf_route *routes;
	size_t n_routes;
};

/* Reads and checks a file; after one whose name is pgherald.conf, those of conf.d beside it, which
 * may set anew what stands in [server], [log] and [database]. On NULL, `error` says "file:line:
 * what". One reference is the caller's.
 */
struct conf *conf_load(const char *path, struct buf *error);
/* The same when the file has `text` in it; those of conf.d are read as they are. */
struct conf *conf_load_with(const char *path, const char *text, size_t len, struct buf *error);
/* The files of conf.d that are read after this one, in their order, NULL-terminated; the caller
 * frees each and the list. NULL with `error`. */
char **conf_files_after(const char *path, struct buf *error);
/* Reads the files that hold secrets, which only the daemon needs. False with `error`. */
bool conf_load_secrets(struct conf *c, struct buf *error) MUST_CHECK;
/* Reads of these the files of API keys alone. One that is no good has no keys, and a line in
 * `errors`. */
void conf_load_api_keys(struct conf *c, struct buf *errors);
/* The same as conf_load() from text, `path` being only a name for messages. */
struct conf *conf_parse(const char *path, const char *text, size_t len, struct buf *error);
/* The [route] section of that name, or NULL. */
const struct conf_route *conf_find_route(const struct conf *c, const char *name) MUST_CHECK;
/* The [auth] section of that name, or NULL. */
const struct conf_auth *conf_find_auth(const struct conf *c, const char *name) MUST_CHECK;
/* Whether the daemon itself verifies what that door takes, and so knows whose it is. */
bool conf_auth_verifies(const struct conf_auth *a) MUST_CHECK;
/* Whether that door asks the database who somebody is. */
bool conf_auth_asks(const struct conf_auth *a) MUST_CHECK;
/* Whether a role may use a route: those it names, or every configured one that hears something; the
 * statistics' and explanations' default is the roles that hear everything. */
bool conf_role_allowed(const struct conf *c, const struct conf_route *route,
		       const char *role) MUST_CHECK;
/* Whether a route is for clients who come from there; who is listed as a proxy stands for others,
 * of whom it has not said who they are: they are from nowhere. */
bool conf_route_admits(const struct conf *c, const struct conf_route *route,
		       const struct address *from) MUST_CHECK;
/* The route that has this path, with the values of its variables; NULL when there is none. */
const struct conf_route *conf_route_at(const struct conf *c, const char *path,
				       struct pattern_piece ret[PATTERN_VARIABLES_MAX]);
/* Whether a variable of the query fills one of a route's channels. */
bool conf_route_asks(const struct conf_route *route, const char *name) MUST_CHECK;
/* Whether a route has a transport, and in which form a client of it is told. */
bool conf_route_carries(const struct conf_route *route, enum wire_transport transport) MUST_CHECK;
uint32_t conf_route_form(const struct conf_route *route, enum wire_transport transport);
/* The [role] section of that name, or NULL. */
const struct scope_policy *conf_find_role(const struct conf *c, const char *name) MUST_CHECK;
/* Whether the daemon's own role may publish. */
bool conf_may_publish(const struct conf *c) MUST_CHECK;
/* Whether what is posted to a route is published. */
bool conf_route_publishes(const struct conf_route *route) MUST_CHECK;
/* Whether it is about a stream that is open, which the query names. */
bool conf_route_names_stream(const struct conf_route *route) MUST_CHECK;
/* Whether it is about who is connected, over all workers. */
bool conf_route_calls_roll(const struct conf_route *route) MUST_CHECK;
bool conf_route_takes_body(const struct conf_route *route) MUST_CHECK;
/* Whether it is for POST, with a body or without. */
bool conf_route_is_posted(const struct conf_route *route) MUST_CHECK;
/* Which of a route's doors that name is; false when it is none. */
bool conf_find_door(const struct conf_route *route, const char *name, unsigned *ret) MUST_CHECK;
/* Whether some [auth] takes cookies. */
bool conf_takes_cookies(const struct conf *c) MUST_CHECK;
struct conf *conf_ref(struct conf *c);
void conf_unref(struct conf *c);
/* The whole configuration with every default, as a file that reads back the same; secrets as "…".
 */
void conf_print(const struct conf *c, struct buf *out);
/* The watched topics as the text of a JSON array; the caller frees. */
char *conf_topics(const struct conf *c);
/* The same of those that are told live only, from NOTIFY payloads; NULL when there are none. */
char *conf_live_topics(const struct conf *c);
/* "NAME = value, …": the variables of the environment that are on top of the file. */
void environment_print(const struct conf *c, struct buf *out);
/* One line per setting: "section setting default", for the documentation lint. */
void conf_list_settings(struct buf *out);
/* Settings that a reload cannot change but that differ: their names in `out`, comma separated. */
void conf_restart_needed(const struct conf *old, const struct conf *new, struct buf *out);

#endif
