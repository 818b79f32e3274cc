/* SPDX-License-Identifier: PostgreSQL
 * See conf.h. To add a setting: a field in conf.h, a row here, a paragraph in pgherald.conf(5). */
#include "config.h"
#include "conf.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/secret.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "wire/json.h"

#define FILE_MAX  (1 << 20) /* bytes */
#define VALUE_MAX (1 << 16)
#define NAMED_MAX 64 /* sections of one kind */

enum type {
	TYPE_TEXT,
	TYPE_SECRET,
	TYPE_LIST,
	TYPE_COUNT,
	TYPE_SIZE,
	TYPE_DURATION,
	TYPE_YESNO,
	TYPE_CHOICE
};
enum flag { RELOADABLE = 0, RESTART = 1, REQUIRED = 2 };

struct setting {
	const char *name;
	enum type type;
	size_t offset;
	const char *def; /* as it would stand in the file; NULL = none */
	unsigned flags;
	const char *const *choices; /* of TYPE_CHOICE, in the order of the enum */
	uint64_t min, max;	    /* of numbers, in bytes, milliseconds or pieces; max 0 = none */
};

static const char *const receives_names[] = {"none", "own", "all", NULL};
static const char *const level_names[] = {"error", "warning", "info", "debug", NULL};
static const char *const format_names[] = {"text", "json", NULL};
static const char *const preset_names[] = {"drf", "knox", "custom", "session", NULL};
static const char *const role_from_names[] = {"column", "groups", "staff", NULL};
static const char *const capture_names[] = {"journal", "notify", NULL};
static const char *const doorbell_names[] = {"auto", "notify", "poll", NULL};
static const char *const kind_names[] = {"events", "stats", NULL};

/* [role] is hub/scope.h's struct; its two pattern fields lie as a conf_list does. */
_Static_assert(offsetof(struct scope_policy, n_patterns) -
			       offsetof(struct scope_policy, patterns) ==
		       offsetof(struct conf_list, n),
	       "scope_policy.patterns must look like a conf_list");

#define AT(type, field) offsetof(struct type, field)

static const struct setting server_settings[] = {
	{"listen", TYPE_LIST, AT(conf, listen), "127.0.0.1:8080", RESTART, NULL, 0, 0},
	{"workers", TYPE_COUNT, AT(conf, workers), "0", RESTART, NULL, 0, 256},
	{"max_streams", TYPE_COUNT, AT(conf, max_streams), "0", 0, NULL, 0, 0},
	{"max_streams_per_user", TYPE_COUNT, AT(conf, max_streams_per_user), "0", 0, NULL, 0, 0},
	{"ring_events", TYPE_COUNT, AT(conf, ring_events), "20000", RESTART, NULL, 1, 10000000},
	{"ring_bytes", TYPE_SIZE, AT(conf, ring_bytes), "64MiB", RESTART, NULL, 65536, 0},
	{"send_buffer", TYPE_SIZE, AT(conf, send_buffer), "32KiB", 0, NULL, 0, 1 << 30},
	{"flush", TYPE_DURATION, AT(conf, flush_ms), "5ms", 0, NULL, 0, 1000},
	{"drain", TYPE_DURATION, AT(conf, drain_ms), "5s", 0, NULL, 0, 3600000},
	{"request_timeout", TYPE_DURATION, AT(conf, request_ms), "10s", 0, NULL, 100, 3600000},
	{"cors_origins", TYPE_LIST, AT(conf, cors_origins), "", 0, NULL, 0, 0},
	{0},
};

static const struct setting log_settings[] = {
	{"level", TYPE_CHOICE, AT(conf, log_level), "info", 0, level_names, 0, 0},
	{"format", TYPE_CHOICE, AT(conf, log_format), "text", 0, format_names, 0, 0},
	{0},
};

static const struct setting database_settings[] = {
	{"conninfo", TYPE_SECRET, AT(conf, conninfo), "", 0, NULL, 0, 0},
	{"poll", TYPE_DURATION, AT(conf, poll_ms), "1s", 0, NULL, 10, 60000},
	{"recheck", TYPE_DURATION, AT(conf, recheck_ms), "30s", 0, NULL, 1000, 86400000},
	{"retention", TYPE_DURATION, AT(conf, retention_ms), "24h", 0, NULL, 0, 0},
	{"journal_size", TYPE_SIZE, AT(conf, journal_size), "1GiB", 0, NULL, 65536, 0},
	{"doorbell", TYPE_CHOICE, AT(conf, doorbell), "auto", 0, doorbell_names, 0, 0},
	{"login", TYPE_TEXT, AT(conf, login), "pgherald", 0, NULL, 0, 0},
	{0},
};

static const struct setting role_settings[] = {
	{"receives", TYPE_CHOICE, AT(scope_policy, receives), "none", REQUIRED, receives_names, 0,
	 0},
	{"events", TYPE_LIST, AT(scope_policy, patterns), "", 0, NULL, 0, 0},
	{0},
};

static const struct setting auth_settings[] = {
	{"preset", TYPE_CHOICE, AT(conf_auth, preset), "drf", 0, preset_names, 0, 0},
	{"token_table", TYPE_TEXT, AT(conf_auth, token_table), "public.authtoken_token", 0, NULL, 0,
	 0},
	{"token_column", TYPE_TEXT, AT(conf_auth, token_column), "key", 0, NULL, 0, 0},
	{"token_user", TYPE_TEXT, AT(conf_auth, token_user), "user_id", 0, NULL, 0, 0},
	{"token_expires", TYPE_TEXT, AT(conf_auth, token_expires), "", 0, NULL, 0, 0},
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
	{"fields", TYPE_TEXT, AT(conf_watch, fields), NULL, REQUIRED, NULL, 0, 0},
	{"leave", TYPE_TEXT, AT(conf_watch, leave), "", 0, NULL, 0, 0},
	{"rescope", TYPE_LIST, AT(conf_watch, rescope), "", 0, NULL, 0, 0},
	{"capture", TYPE_CHOICE, AT(conf_watch, capture), "journal", 0, capture_names, 0, 0},
	{0},
};

static const struct setting listen_settings[] = {
	{"channel", TYPE_TEXT, AT(conf_listen, channel), NULL, REQUIRED, NULL, 0, 0},
	{"event_key", TYPE_TEXT, AT(conf_listen, event_key), "event", 0, NULL, 0, 0},
	{"data_key", TYPE_TEXT, AT(conf_listen, data_key), "", 0, NULL, 0, 0},
	{"owner_keys", TYPE_LIST, AT(conf_listen, owner_keys), "", 0, NULL, 0, 0},
	{0},
};

static const struct setting route_settings[] = {
	{"path", TYPE_TEXT, AT(conf_route, path), NULL, REQUIRED, NULL, 0, 0},
	{"kind", TYPE_CHOICE, AT(conf_route, kind), "events", 0, kind_names, 0, 0},
	{"auth", TYPE_TEXT, AT(conf_route, auth), "", 0, NULL, 0, 0},
	{"query_token", TYPE_YESNO, AT(conf_route, query_token), "yes", 0, NULL, 0, 0},
	{"roles", TYPE_LIST, AT(conf_route, roles), "", 0, NULL, 0, 0},
	{"keepalive", TYPE_DURATION, AT(conf_route, keepalive_ms), "30s", 0, NULL, 1000, 3600000},
	{"retry", TYPE_DURATION, AT(conf_route, retry_ms), "3s", 0, NULL, 1, 3600000},
	{"queue_events", TYPE_COUNT, AT(conf_route, queue_events), "100", 0, NULL, 1, 1000000},
	{"queue_bytes", TYPE_SIZE, AT(conf_route, queue_bytes), "1MiB", 0, NULL, 1024, 1 << 30},
	{0},
};

enum {
	SECTION_SERVER,
	SECTION_LOG,
	SECTION_DATABASE,
	SECTION_ROLE,
	SECTION_AUTH,
	SECTION_WATCH,
	SECTION_LISTEN,
	SECTION_ROUTE,
	N_SECTIONS
};

/* A kind of section. Named ones are arrays of structs whose first field is the name. */
static const struct section {
	const char *name;
	const struct setting *settings;
	size_t size;	     /* of one struct; 0 = the section stands in struct conf itself */
	size_t array, count; /* where struct conf keeps the array */
} sections[N_SECTIONS] = {
	[SECTION_SERVER] = {"server", server_settings, 0, 0, 0},
	[SECTION_LOG] = {"log", log_settings, 0, 0, 0},
	[SECTION_DATABASE] = {"database", database_settings, 0, 0, 0},
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

static void *field(void *base, size_t offset)
{
	return (char *)base + offset;
}

static const void *field_const(const void *base, size_t offset)
{
	return (const char *)base + offset;
}

static void list_free(struct conf_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->items[i]);
	free(l->items);
	*l = (struct conf_list){0};
}

/* "a, b , c": items without the spaces around them; empty ones are an error. */
static bool list_parse(struct conf_list *l, const char *text)
{
	list_free(l);
	text += strspn(text, " \t\n");
	while (*text) {
		size_t len = strcspn(text, ",");
		size_t end = len;

		while (end && strchr(" \t\n", text[end - 1]))
			end--;
		if (!end)
			return false;
		l->items = xrealloc(l->items, l->n + 1, sizeof(*l->items));
		l->items[l->n++] = xstrndup(text, end);
		text += len;
		if (*text == ',') {
			text++;
			text += strspn(text, " \t\n");
			if (!*text)
				return false;
		}
	}
	return true;
}

static bool number_in_range(const struct setting *s, uint64_t n, struct buf *error)
{
	if (n >= s->min && (!s->max || n <= s->max))
		return true;
	if (s->max)
		buf_printf(error, "%s must be between %" PRIu64 " and %" PRIu64, s->name, s->min,
			   s->max);
	else
		buf_printf(error, "%s must be at least %" PRIu64, s->name, s->min);
	if (s->type == TYPE_DURATION)
		buf_str(error, " milliseconds");
	return false;
}

/* Puts a value where it belongs; `error` gets what is wrong with it. */
static bool set(const struct setting *s, void *base, const char *value, struct buf *error)
{
	void *at = field(base, s->offset);
	uint64_t n;

	switch (s->type) {
	case TYPE_TEXT:
	case TYPE_SECRET:
		free(*(char **)at);
		*(char **)at = xstrdup(value);
		return true;
	case TYPE_LIST:
		if (list_parse(at, value))
			return true;
		buf_printf(error, "%s: a comma without an item", s->name);
		return false;
	case TYPE_COUNT:
		if (!num_u64(value, strlen(value), &n)) {
			buf_printf(error, "%s must be a number, not \"%.80s\"", s->name, value);
			return false;
		}
		break;
	case TYPE_SIZE:
		if (!num_size(value, &n)) {
			buf_printf(error, "%s must be a size such as 512KiB, not \"%.80s\"",
				   s->name, value);
			return false;
		}
		break;
	case TYPE_DURATION:
		if (!num_duration_ms(value, &n)) {
			buf_printf(error,
				   "%s must be a time such as 250ms, 30s or 24h, not \"%.80s\"",
				   s->name, value);
			return false;
		}
		break;
	case TYPE_YESNO:
		if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0) {
			buf_printf(error, "%s must be yes or no, not \"%.80s\"", s->name, value);
			return false;
		}
		*(bool *)at = *value == 'y';
		return true;
	case TYPE_CHOICE:
		for (int i = 0; s->choices[i]; i++)
			if (!strcmp(s->choices[i], value)) {
				*(int *)at = i;
				return true;
			}
		buf_printf(error, "%s must be", s->name);
		for (int i = 0; s->choices[i]; i++)
			buf_printf(error, "%s%s", i ? " or " : " ", s->choices[i]);
		buf_printf(error, ", not \"%.80s\"", value);
		return false;
	}
	if (!number_in_range(s, n, error))
		return false;
	*(uint64_t *)at = n;
	return true;
}

static void set_defaults(const struct setting *s, void *base)
{
	autobuf error = {0};

	buf_init(&error, VALUE_MAX);
	for (; s->name; s++)
		if (s->def && !set(s, base, s->def, &error))
			abort(); /* our own table is wrong */
}

static void free_settings(const struct setting *s, void *base)
{
	for (; s->name; s++) {
		void *at = field(base, s->offset);

		if (s->type == TYPE_TEXT || s->type == TYPE_SECRET)
			free(*(char **)at);
		else if (s->type == TYPE_LIST)
			list_free(at);
	}
}

/* The array of a named kind, as bytes. */
static char **array_of(struct conf *c, const struct section *k)
{
	return field(c, k->array);
}

static size_t *count_of(struct conf *c, const struct section *k)
{
	return field(c, k->count);
}

static void *element(struct conf *c, const struct section *k, size_t i)
{
	return *array_of(c, k) + i * k->size;
}

static void *add_element(struct conf *c, const struct section *k, const char *name)
{
	char **array = array_of(c, k);
	size_t *n = count_of(c, k);
	char *e;

	*array = xrealloc(*array, *n + 1, k->size);
	e = *array + (*n)++ * k->size;
	memset(e, 0, k->size);
	*(char **)(void *)e = xstrdup(name);
	set_defaults(k->settings, e);
	return e;
}

struct conf *conf_ref(struct conf *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

void conf_unref(struct conf *c)
{
	if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	for (size_t i = 0; i < c->n_watches; i++)
		watch_free(c->watches[i].parsed);
	for (size_t i = 0; i < c->n_auths; i++)
		secrets_free(c->auths[i].secrets);
	for (size_t i = 0; i < N_SECTIONS; i++) {
		const struct section *k = &sections[i];

		if (!k->size) {
			free_settings(k->settings, c);
			continue;
		}
		for (size_t e = 0; e < *count_of(c, k); e++) {
			free_settings(k->settings, element(c, k, e));
			free(*(char **)element(c, k, e));
		}
		free(*array_of(c, k));
	}
	free(c->path);
	free(c);
}

/* What the parser is in the middle of. */
struct parser {
	struct conf *conf;
	struct buf *error;
	unsigned line;
	const struct section *kind; /* NULL before the first section */
	void *base;
	const struct setting *setting; /* of the value being read */
	unsigned setting_line;
	struct buf value;
	unsigned seen[N_SECTIONS][32]; /* [singleton][setting]: the line, against doubles */
	unsigned *seen_here;
	unsigned named_seen[32];
	unsigned lines[N_SECTIONS][NAMED_MAX]; /* where each named section begins */
};

static bool fail(struct parser *p, unsigned line, const char *fmt, ...) PRINTF(3, 4);
static bool fail(struct parser *p, unsigned line, const char *fmt, ...)
{
	va_list ap;

	buf_clear(p->error);
	buf_printf(p->error, "%s:%u: ", p->conf->path, line);
	va_start(ap, fmt);
	buf_vprintf(p->error, fmt, ap);
	va_end(ap);
	return false;
}

static bool finish_value(struct parser *p)
{
	struct buf why;
	bool ok;

	if (!p->setting)
		return true;
	buf_init(&why, 512);
	if (!buf_ok(&p->value))
		ok = fail(p, p->setting_line, "%s is longer than %d bytes", p->setting->name,
			  VALUE_MAX);
	else {
		ok = set(p->setting, p->base, buf_cstr(&p->value), &why);
		if (!ok)
			fail(p, p->setting_line, "%s", buf_cstr(&why));
	}
	buf_free(&why);
	buf_clear(&p->value);
	p->setting = NULL;
	return ok;
}

static bool finish_section(struct parser *p)
{
	const struct setting *s;

	if (!finish_value(p))
		return false;
	if (!p->kind || !p->kind->size)
		return true;
	for (s = p->kind->settings; s->name; s++)
		if (s->flags & REQUIRED && !p->seen_here[s - p->kind->settings])
			return fail(p, p->line, "[%s %s] has no %s", p->kind->name,
				    *(char **)p->base, s->name);
	return true;
}

static bool valid_name(const char *s)
{
	size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return len && len <= 40 && !s[len];
}

static bool begin_section(struct parser *p, char *text)
{
	char *end = strchr(text, ']'), *name;
	const struct section *k = NULL;

	if (!end || end[1 + strspn(end + 1, " \t\r")])
		return fail(p, p->line, "a section is written [name] on a line of its own");
	*end = '\0';
	name = text + strcspn(text, " \t");
	if (*name) {
		*name++ = '\0';
		name += strspn(name, " \t");
	}
	for (size_t i = 0; i < N_SECTIONS && !k; i++)
		if (!strcmp(sections[i].name, text))
			k = &sections[i];
	if (!k)
		return fail(p, p->line, "unknown section [%.80s]", text);
	if (!k->size && *name)
		return fail(p, p->line, "[%.80s] takes no name", text);
	p->kind = k;
	if (!k->size) {
		p->base = p->conf;
		p->seen_here = p->seen[k - sections];
		return true;
	}
	if (!valid_name(name))
		return fail(p, p->line, "[%s NAME] needs a name of letters, digits, - and _", text);
	for (size_t i = 0; i < *count_of(p->conf, k); i++)
		if (!strcmp(*(char **)element(p->conf, k, i), name))
			return fail(p, p->line, "[%s %s] is there twice", text, name);
	if (*count_of(p->conf, k) == NAMED_MAX)
		return fail(p, p->line, "more than %d [%s] sections", NAMED_MAX, text);
	p->lines[k - sections][*count_of(p->conf, k)] = p->line;
	p->base = add_element(p->conf, k, name);
	memset(p->named_seen, 0, sizeof(p->named_seen));
	p->seen_here = p->named_seen;
	return true;
}

static bool begin_setting(struct parser *p, char *text)
{
	char *equals = strchr(text, '='), *end;
	const struct setting *s;

	if (!equals)
		return fail(p, p->line, "expected \"name = value\"");
	for (end = equals; end > text && strchr(" \t", end[-1]); end--)
		;
	*end = '\0';
	if (!p->kind)
		return fail(p, p->line, "%.80s stands before the first section", text);
	for (s = p->kind->settings; s->name && strcmp(s->name, text) != 0; s++)
		;
	if (!s->name)
		return fail(p, p->line, "unknown setting %.80s in [%s]", text, p->kind->name);
	if (p->seen_here[s - p->kind->settings])
		return fail(p, p->line, "%s is set twice, first in line %u", text,
			    p->seen_here[s - p->kind->settings]);
	p->seen_here[s - p->kind->settings] = p->line;
	p->setting = s;
	p->setting_line = p->line;
	buf_str(&p->value, equals + 1 + strspn(equals + 1, " \t"));
	return true;
}

static bool parse_line(struct parser *p, char *text)
{
	size_t len = strlen(text);

	while (len && strchr(" \t\r", text[len - 1]))
		text[--len] = '\0';
	if (!len || *text == '#' || *text == ';')
		return true;
	if (*text == ' ' || *text == '\t') {
		text += strspn(text, " \t");
		if (*text == '#' || *text == ';')
			return true;
		if (!p->setting)
			return fail(p, p->line,
				    "an indented line continues a value, and there is "
				    "none above it");
		if (p->value.len)
			buf_char(&p->value, ' ');
		buf_str(&p->value, text);
		return true;
	}
	if (*text == '[')
		return finish_section(p) && begin_section(p, text + 1);
	return finish_value(p) && begin_setting(p, text);
}

const struct conf_auth *conf_find_auth(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->n_auths; i++)
		if (!strcmp(c->auths[i].name, name))
			return &c->auths[i];
	return NULL;
}

static bool check_route(struct parser *p, struct conf_route *r, unsigned line)
{
	struct conf *c = p->conf;

	if (*r->path != '/')
		return fail(p, line, "[route %s] path must begin with /", r->name);
	if (!strcmp(r->path, "/healthz") || !strcmp(r->path, "/readyz"))
		return fail(p, line, "[route %s] path %s is the daemon's own", r->name, r->path);
	for (const struct conf_route *o = c->routes; o < r; o++)
		if (!strcmp(o->path, r->path))
			return fail(p, line, "[route %s] path %s is [route %s]'s", r->name, r->path,
				    o->name);
	if (!*r->auth && c->n_auths) {
		free(r->auth);
		r->auth = xstrdup(c->auths[0].name);
	}
	if (!conf_find_auth(c, r->auth))
		return fail(p, line, "[route %s] needs auth = the name of an [auth] section",
			    r->name);
	for (size_t i = 0; i < r->roles.n; i++) {
		size_t k = 0;

		while (k < c->n_roles && strcmp(c->roles[k].name, r->roles.items[i]) != 0)
			k++;
		if (k == c->n_roles)
			return fail(p, line, "[route %s] roles: there is no [role %s]", r->name,
				    r->roles.items[i]);
	}
	return true;
}

static void default_routes(struct conf *c)
{
	const struct section *k = &sections[SECTION_ROUTE];
	struct conf_route *r = add_element(c, k, "events");

	r->path = xstrdup("/api/v1/sse/events/");
	r->kind = ROUTE_EVENTS;
	r = add_element(c, k, "stats");
	r->path = xstrdup("/api/v1/sse/stats/");
	r->kind = ROUTE_STATS;
	r->query_token = false;
}

static bool check_watch(struct parser *p, struct conf_watch *w, unsigned line)
{
	struct buf why;
	bool ok = true;

	buf_init(&why, 512);
	w->parsed = watch_parse(w->name, w->table, w->key, *w->owners ? w->owners : NULL, w->fields,
				*w->leave ? w->leave : NULL, &why);
	if (!w->parsed)
		ok = fail(p, line, "[watch %s] %s", w->name, buf_cstr(&why));
	else {
		w->parsed->doorbell = (enum watch_doorbell)p->conf->doorbell;
		w->parsed->notify = w->capture == CAPTURE_NOTIFY;
		w->parsed->rescope = (const char *const *)w->rescope.items;
		w->parsed->n_rescope = w->rescope.n;
	}
	buf_free(&why);
	return ok;
}

static bool has_watch(const struct conf *c, const char *topic)
{
	for (size_t i = 0; i < c->n_watches; i++)
		if (!strcmp(c->watches[i].name, topic))
			return true;
	return false;
}

static bool check_rescope(struct parser *p, const struct conf_watch *w, unsigned line)
{
	for (size_t i = 0; i < w->rescope.n; i++)
		if (!has_watch(p->conf, w->rescope.items[i]))
			return fail(p, line, "[watch %s] rescope: there is no [watch %s]", w->name,
				    w->rescope.items[i]);
	return true;
}

static void preset_column(char **setting, const char *def, const char *preset)
{
	if (strcmp(*setting, def) != 0)
		return;
	free(*setting);
	*setting = xstrdup(preset);
}

/* The preset's names where the file says nothing else. */
static void apply_preset(struct conf_auth *a)
{
	static const struct {
		const char *table, *column, *expires;
	} names[] = {
		[PRESET_KNOX] = {"public.knox_authtoken", "digest", "expiry"},
		[PRESET_SESSION] = {"public.django_session", "session_key", "expire_date"},
	};

	if (a->preset != PRESET_KNOX && a->preset != PRESET_SESSION)
		return;
	preset_column(&a->token_table, "public.authtoken_token", names[a->preset].table);
	preset_column(&a->token_column, "key", names[a->preset].column);
	preset_column(&a->token_expires, "", names[a->preset].expires);
}

/* A token of RFC 9110 section 5.6.2, which is what a cookie's name is. */
static bool valid_cookie_name(const char *s)
{
	for (const char *p = s; *p; p++)
		if (*p <= ' ' || *p > '~' || strchr("()<>@,;:\\\"/[]?={}", *p))
			return false;
	return *s != '\0';
}

static bool check_auth(struct parser *p, struct conf_auth *a, unsigned line)
{
	apply_preset(a);
	if (a->preset != PRESET_SESSION) {
		if (*a->secret_key_file)
			return fail(p, line, "[auth %s] secret_key_file is for preset = session",
				    a->name);
		return true;
	}
	if (!*a->secret_key_file)
		return fail(p, line,
			    "[auth %s] preset = session needs secret_key_file, a file with the "
			    "SECRET_KEY that Django signs with",
			    a->name);
	if (*a->secret_key_file != '/')
		return fail(p, line, "[auth %s] secret_key_file must begin with /", a->name);
	if (!valid_cookie_name(a->cookie))
		return fail(p, line, "[auth %s] cookie is no name of a cookie", a->name);
	return true;
}

/* The triggers' names are fixed, so a table can have one watch. */
static bool check_same_table(struct parser *p, size_t n)
{
	const struct conf_watch *w = p->conf->watches;

	for (size_t i = 0; i < n; i++)
		if (strcmp(w[i].parsed->schema, w[n].parsed->schema) == 0 &&
		    strcmp(w[i].parsed->table, w[n].parsed->table) == 0)
			return fail(p, p->lines[SECTION_WATCH][n],
				    "[watch %s] and [watch %s] have the same table", w[n].name,
				    w[i].name);
	return true;
}

/* What one line alone cannot tell. Messages name the section: its lines are past. */
static bool check_whole(struct parser *p)
{
	struct conf *c = p->conf;

	if (!c->n_roles)
		return fail(p, p->line, "there is no [role] section: nobody would hear anything");
	if (!c->n_auths)
		return fail(p, p->line, "there is no [auth] section: nobody could connect");
	if (!c->listen.n)
		return fail(p, p->line, "[server] listen names no address");
	if (!c->n_routes)
		default_routes(c);
	for (size_t i = 0; i < c->n_routes; i++)
		if (!check_route(p, &c->routes[i], p->lines[SECTION_ROUTE][i]))
			return false;
	for (size_t i = 0; i < c->n_listens; i++)
		if (!*c->listens[i].channel || strlen(c->listens[i].channel) > 63)
			return fail(p, p->lines[SECTION_LISTEN][i],
				    "[listen %s] channel must have 1 to 63 bytes",
				    c->listens[i].name);
	for (size_t i = 0; i < c->n_watches; i++)
		if (!check_watch(p, &c->watches[i], p->lines[SECTION_WATCH][i]) ||
		    !check_rescope(p, &c->watches[i], p->lines[SECTION_WATCH][i]) ||
		    !check_same_table(p, i))
			return false;
	for (size_t i = 0; i < c->n_auths; i++)
		if (!check_auth(p, &c->auths[i], p->lines[SECTION_AUTH][i]))
			return false;
	return true;
}

static bool parse_text(struct parser *p, const char *text, size_t len)
{
	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;
		autofree char *line = xstrndup(text, n);

		p->line++;
		if (strlen(line) != n)
			return fail(p, p->line, "a NUL byte");
		if (!parse_line(p, line))
			return false;
		text += n + (end != NULL);
		len -= n + (end != NULL);
	}
	return finish_section(p) && check_whole(p);
}

struct conf *conf_parse(const char *path, const char *text, size_t len, struct buf *error)
{
	struct parser *p = xcalloc(1, sizeof(*p));
	struct conf *c = p->conf = xcalloc(1, sizeof(*c));
	bool ok;

	c->refs = 1;
	c->path = xstrdup(path);
	p->error = error;
	buf_init(&p->value, VALUE_MAX);
	for (size_t i = 0; i < N_SECTIONS; i++)
		if (!sections[i].size)
			set_defaults(sections[i].settings, c);
	ok = parse_text(p, text, len);
	buf_free(&p->value);
	free(p);
	if (ok)
		return c;
	conf_unref(c);
	return NULL;
}

struct conf *conf_load(const char *path, struct buf *error)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	autofree char *text = xcalloc(FILE_MAX + 1, 1);
	size_t len = 0;
	ssize_t n = -1;

	while (fd >= 0 && len <= FILE_MAX && (n = read(fd, text + len, FILE_MAX + 1 - len)) > 0)
		len += (size_t)n;
	if (fd < 0 || n < 0) {
		buf_printf(error, "%s: %s", path, strerror(errno));
		return NULL;
	}
	if (len > FILE_MAX) {
		buf_printf(error, "%s: longer than %d bytes", path, FILE_MAX);
		return NULL;
	}
	return conf_parse(path, text, len, error);
}

bool conf_load_secrets(struct conf *c, struct buf *error)
{
	autobuf why = {0};

	buf_init(&why, 8192);
	for (size_t i = 0; i < c->n_auths; i++) {
		struct conf_auth *a = &c->auths[i];

		if (a->preset != PRESET_SESSION)
			continue;
		a->secrets = secrets_load(a->secret_key_file, a->session_salt, &why);
		if (!a->secrets) {
			buf_printf(error, "%s: [auth %s] secret_key_file: %s", c->path, a->name,
				   buf_cstr(&why));
			return false;
		}
	}
	return true;
}

bool conf_takes_cookies(const struct conf *c)
{
	for (size_t i = 0; i < c->n_auths; i++)
		if (c->auths[i].preset == PRESET_SESSION)
			return true;
	return false;
}

static void print_value(const struct setting *s, const void *base, struct buf *out)
{
	const void *at = field_const(base, s->offset);
	const struct conf_list *l = at;
	uint64_t n;

	switch (s->type) {
	case TYPE_TEXT:
		buf_str(out, *(char *const *)at);
		break;
	case TYPE_SECRET: /* may hold a password */
		buf_str(out, **(char *const *)at ? "…" : "");
		break;
	case TYPE_LIST:
		for (size_t i = 0; i < l->n; i++)
			buf_printf(out, "%s%s", i ? ", " : "", l->items[i]);
		break;
	case TYPE_DURATION:
		n = *(const uint64_t *)at;
		if (n % 1000)
			buf_printf(out, "%" PRIu64 "ms", n);
		else
			buf_printf(out, "%" PRIu64 "s", n / 1000);
		break;
	case TYPE_COUNT:
	case TYPE_SIZE:
		buf_u64(out, *(const uint64_t *)at);
		break;
	case TYPE_YESNO:
		buf_str(out, *(const bool *)at ? "yes" : "no");
		break;
	case TYPE_CHOICE:
		buf_str(out, s->choices[*(const int *)at]);
		break;
	}
}

static void print_settings(const struct setting *s, const void *base, struct buf *out)
{
	for (; s->name; s++) {
		buf_printf(out, "%s = ", s->name);
		print_value(s, base, out);
		buf_char(out, '\n');
	}
	buf_char(out, '\n');
}

void conf_print(const struct conf *c, struct buf *out)
{
	for (size_t i = 0; i < N_SECTIONS; i++) {
		const struct section *k = &sections[i];
		const char *array;
		size_t n;

		if (!k->size) {
			buf_printf(out, "[%s]\n", k->name);
			print_settings(k->settings, c, out);
			continue;
		}
		array = *(char *const *)field_const(c, k->array);
		n = *(const size_t *)field_const(c, k->count);
		for (size_t e = 0; e < n; e++, array += k->size) {
			buf_printf(out, "[%s %s]\n", k->name, *(char *const *)(const void *)array);
			print_settings(k->settings, array, out);
		}
	}
}

char *conf_topics(const struct conf *c)
{
	struct buf b;

	buf_init(&b, VALUE_MAX);
	buf_char(&b, '[');
	for (size_t i = 0; i < c->n_watches; i++) {
		if (i)
			buf_str(&b, ", ");
		json_string(&b, c->watches[i].name, strlen(c->watches[i].name));
	}
	buf_char(&b, ']');
	return buf_steal(&b);
}

void conf_list_settings(struct buf *out)
{
	for (size_t i = 0; i < N_SECTIONS; i++)
		for (const struct setting *s = sections[i].settings; s->name; s++)
			buf_printf(out, "%s %s %s\n", sections[i].name, s->name,
				   s->def ? s->def : "");
}

void conf_restart_needed(const struct conf *old, const struct conf *new, struct buf *out)
{
	for (size_t i = 0; i < N_SECTIONS; i++)
		for (const struct setting *s = sections[i].settings; !sections[i].size && s->name;
		     s++) {
			struct buf a, b;

			if (!(s->flags & RESTART))
				continue;
			buf_init(&a, VALUE_MAX);
			buf_init(&b, VALUE_MAX);
			print_value(s, old, &a);
			print_value(s, new, &b);
			if (strcmp(buf_cstr(&a), buf_cstr(&b)) != 0)
				buf_printf(out, "%s%s", out->len ? ", " : "", s->name);
			buf_free(&a);
			buf_free(&b);
		}
}
