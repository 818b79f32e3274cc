/* SPDX-License-Identifier: PostgreSQL
 * See explanation.h. */
#include "config.h"
#include "pg/explanation.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/api_key.h"
#include "hub/filter.h"
#include "hub/reason.h"
#include "hub/subscription.h"

#define KEYS_SHOWN	100 /* of a row's; how many there are is told */
#define VERDICTS_SHOWN	200 /* of a row */
#define MAX_PERMISSIONS 64  /* questions to functions */

static const struct {
	const char *name, *sentence;
} states[N_DOOR_STATES] = {
	[DOOR_NOT_ASKED] = {"not-asked", "It was not asked."},
	[DOOR_ROLE] = {"role", NULL},
	[DOOR_NO_ROLE] = {"no-role", "It has this user, and no role for him: he is refused."},
	[DOOR_NO_USER] = {"no-user", "Nobody is called so there: his credentials are refused."},
	[DOOR_INACTIVE] = {"inactive", "The user is deactivated: his credentials are refused."},
	[DOOR_TWICE] = {"twice", "It has this user more than once, and the rows do not say the "
				 "same: his credentials are refused."},
	[DOOR_SAYS_ITSELF] = {"unknown", "What he may stands in his credential, which is not "
					 "here: each role is explained."},
	[DOOR_KNOWS_NOBODY] = {"anonymous", "Everybody who comes without a credential is "
					    "anonymous@ADDRESS there, and not this user."},
	[DOOR_OUTDATED] = {"outdated", "It cannot be asked by user: what is installed in the "
				       "database is of an earlier version (pgherald sql upgrade)."},
	[DOOR_FAILED] = {"failed", "It could not be asked."},
};

void explanation_begin(struct explanation *x, const struct conf *conf, const struct question *q)
{
	*x = (struct explanation){.conf = conf, .question = q};
	x->doors = xcalloc(conf->n_auths, sizeof(*x->doors));
	for (size_t i = 0; i < conf->n_auths; i++)
		x->doors[i].auth = &conf->auths[i];
	x->notes = json_object_new_array();
}

void explanation_end(struct explanation *x)
{
	for (size_t i = 0; i < x->n_rows; i++) {
		free(x->rows[i].topic);
		free(x->rows[i].key);
		event_unref(x->rows[i].event);
	}
	free(x->rows);
	for (size_t i = 0; x->doors && i < x->conf->n_auths; i++) {
		free(x->doors[i].user);
		free(x->doors[i].role);
	}
	free(x->doors);
	for (size_t i = 0; i < x->n_permissions; i++) {
		free(x->permissions[i].user);
		free(x->permissions[i].role);
		free(x->permissions[i].channels);
	}
	free(x->permissions);
	json_object_put(x->notes);
	*x = (struct explanation){0};
}

void explanation_note(struct explanation *x, const char *fmt, ...)
{
	char text[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	json_object_array_add(x->notes, json_object_new_string(text));
}

static void add_text(struct json_object *to, const char *name, const char *text)
{
	json_object_object_add(to, name, text ? json_object_new_string(text) : NULL);
}

static const struct scope_policy *policy_of(const struct conf *c, const char *role)
{
	for (size_t i = 0; i < c->n_roles; i++)
		if (!strcmp(c->roles[i].name, role))
			return &c->roles[i];
	return NULL;
}

static struct json_object *keys_of(const struct keys *k)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < k->n && i < KEYS_SHOWN; i++)
		json_object_array_add(list, json_object_new_string(k->list[i]));
	return list;
}

static void add_time(struct json_object *to, int64_t at)
{
	time_t t = (time_t)at;
	struct tm tm;
	char text[32];

	if (gmtime_r(&t, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		add_text(to, "at", text);
}

/* One who comes to a route by a door, with a role; and what fills its channels. */
struct view {
	const struct conf_route *route;
	const char *door;
	struct principal who;
	bool by_url; /* one of its channels needs the path of a URL */
};

/* What stands in a channel's name without a word of the URL. */
static const char *value_of_user(void *arg, const char *name, size_t len)
{
	struct view *v = arg;

	if ((len == 2 && !memcmp(name, "id", 2)) || (len == 4 && !memcmp(name, "user", 4)))
		return v->who.user_id;
	if (len == 4 && !memcmp(name, "role", 4))
		return v->who.role;
	v->by_url |= *name != '?';
	return NULL;
}

/* The channels that every stream of this route has. */
static struct keys *channels_of(struct view *v)
{
	const struct conf_route *route = v->route;
	struct subscription all = {.n = 0};
	struct keys *keys;

	for (size_t i = 0; i < route->channels.n; i++) {
		const char *channel = route->channels.items[i];
		autobuf name = {.max = CHANNEL_MAX};

		if (strcmp(channel, "{id}") != 0 && strcmp(channel, "{user}") != 0 &&
		    pattern_expand(channel, value_of_user, v, &name) && buf_ok(&name) &&
		    channel_is_name(buf_cstr(&name), name.len))
			(void)!subscription_add(&all, buf_cstr(&name));
	}
	keys = subscription_keys(&all);
	subscription_clear(&all);
	return keys;
}

/* What is decided of an event on a stream that asks for nothing else. */
struct decision {
	const char *told, *rule, *why;
	const char *key; /* or NULL */
	bool is_told;
};

static struct decision nothing(const char *rule, const char *why)
{
	return (struct decision){"nothing", rule, why, NULL, false};
}

/* Without the route's function. */
static struct decision decide(const struct explanation *x, const struct event *e,
			      const struct view *v)
{
	const struct scope_policy *policy = policy_of(x->conf, v->who.role);
	struct filter *filter = NULL;
	struct reason r;

	if (policy && !conf_role_allowed(x->conf, v->route, v->who.role))
		return nothing("route-roles", "The route is not for his role (roles).");
	if (policy && subscription_refused(v->who.channels, policy, &v->who))
		return nothing("role-channels",
			       "His role may not hear a channel that every stream of the route has "
			       "(channels): he is refused.");
	filter_limit(&filter, v->route->types.items, v->route->types.n);
	r = reason_of(e, policy, &v->who, filter);
	filter_free(filter);
	return (struct decision){reason_told(e, r.view), reason_name(r.rule),
				 reason_sentence(r.rule), r.key, r.view != VIEW_NOTHING};
}

static struct explained_permission *permission_of(const struct explanation *x, const struct view *v)
{
	for (size_t i = 0; i < x->n_permissions; i++) {
		struct explained_permission *p = &x->permissions[i];

		if (p->route == v->route && !strcmp(p->user, v->who.user_id) &&
		    !strcmp(p->role, v->who.role))
			return p;
	}
	return NULL;
}

/* It is asked about the channels of a URL there, which are not known here. */
static bool is_asked(const struct view *v)
{
	return *v->route->authorize && !v->by_url;
}

/* What the route's function leaves of it. */
static struct decision permit(const struct explanation *x, const struct view *v, struct decision d)
{
	const struct explained_permission *p = permission_of(x, v);

	if (!d.is_told || !is_asked(v) || (p && p->asked && p->verdict == LOOKUP_OK))
		return d;
	if (p && p->asked && p->verdict == LOOKUP_FORBIDDEN)
		return nothing("authorize",
			       "The route's function says that he may not (authorize).");
	if (p && p->asked && p->verdict == LOOKUP_NOTHING)
		return nothing("authorize",
			       "The route's function knows no such thing (authorize).");
	return nothing("authorize-failed",
		       "The route's function could not be asked (authorize): who comes is told to "
		       "come again, and a stream that is open stays.");
}

/* What somebody is told of an event by a route. */
static void add_verdict(struct explanation *x, const struct event *e, const struct view *view,
			void *arg)
{
	struct json_object *all = arg, *v;
	struct decision d;

	if (json_object_array_length(all) == VERDICTS_SHOWN)
		return;
	v = json_object_new_object();
	d = permit(x, view, decide(x, e, view));
	add_text(v, "route", view->route->name);
	add_text(v, "door", view->door);
	add_text(v, "role", view->who.role);
	add_text(v, "told", d.told);
	add_text(v, "rule", d.rule);
	add_text(v, "why", d.why);
	if (d.key)
		add_text(v, "key", d.key);
	json_object_array_add(all, v);
}

static void plan(struct explanation *x, const struct event *e, const struct view *v, void *arg)
{
	struct explained_permission *p;

	(void)arg;
	if (!is_asked(v) || x->n_permissions == MAX_PERMISSIONS || permission_of(x, v) ||
	    !decide(x, e, v).is_told)
		return;
	x->permissions = xrealloc(x->permissions, x->n_permissions + 1, sizeof(*x->permissions));
	p = &x->permissions[x->n_permissions++];
	*p = (struct explained_permission){
		.route = v->route,
		.user = xstrdup(v->who.user_id),
		.role = xstrdup(v->who.role),
		.channels = keys_copy(v->who.channels),
	};
}

static const struct explained_door *door_called(const struct explanation *x, const char *name)
{
	size_t i = 0;

	while (strcmp(x->doors[i].auth->name, name) != 0)
		i++;
	return &x->doors[i];
}

typedef void each_view_fn(struct explanation *x, const struct event *e, const struct view *v,
			  void *arg);

static bool refuses(const struct explained_door *d)
{
	return d->state == DOOR_NO_USER || d->state == DOOR_NO_ROLE || d->state == DOOR_INACTIVE ||
	       d->state == DOOR_TWICE;
}

/* Of one door of a route. A ticket stands for one of the others. */
static void each_of_door(struct explanation *x, const struct event *e,
			 const struct conf_route *route, const struct explained_door *d,
			 each_view_fn *each, void *arg)
{
	char *role = x->question->role ? x->question->role : d->role;

	if (d->auth->preset == PRESET_TICKET || d->state == DOOR_KNOWS_NOBODY ||
	    (!x->question->role && refuses(d)))
		return;
	for (size_t i = 0; i < (role ? 1 : x->conf->n_roles); i++) {
		struct view v = {.route = route, .door = d->auth->name};

		v.who.user_id = d->user ? d->user : x->question->user;
		v.who.role = role ? role : x->conf->roles[i].name;
		v.who.channels = channels_of(&v);
		v.who.channels_only = route->channels.n && !route->own_too;
		each(x, e, &v, arg);
		free(v.who.channels);
	}
}

/* All who could come as this user. */
static void each_view(struct explanation *x, const struct event *e, each_view_fn *each, void *arg)
{
	for (size_t i = 0; i < x->conf->n_routes; i++) {
		const struct conf_route *route = &x->conf->routes[i];

		for (size_t k = 0; route->kind == ROUTE_EVENTS && k < route->auth.n; k++)
			each_of_door(x, e, route, door_called(x, route->auth.items[k]), each, arg);
	}
}

static bool needs_url(const struct explanation *x, const struct conf_route *route)
{
	struct view v = {.route = route};

	v.who.user_id = x->question->user;
	v.who.role = (char *)(uintptr_t) "";
	free(channels_of(&v));
	return v.by_url;
}

void explanation_plan(struct explanation *x)
{
	for (size_t i = 0; i < x->n_rows; i++)
		each_view(x, x->rows[i].event, plan, NULL);
	for (size_t i = 0; x->n_rows && i < x->conf->n_routes; i++) {
		const struct conf_route *route = &x->conf->routes[i];

		if (route->kind == ROUTE_EVENTS && *route->authorize && needs_url(x, route))
			explanation_note(
				x,
				"Route %s asks its function (authorize) about the channels "
				"of a stream's URL, which are not known here.",
				route->name);
	}
}

static struct json_object *row_document(struct explanation *x, const struct explained_row *r)
{
	struct json_object *row = json_object_new_object(), *all = json_object_new_array();
	const struct event *e = r->event;
	const char op[] = {e->op, '\0'};

	json_object_object_add(row, "row", json_object_new_int64((int64_t)r->id));
	json_object_object_add(row, "txid", json_object_new_int64((int64_t)r->txid));
	add_time(row, r->at);
	add_text(row, "topic", r->topic);
	add_text(row, "key", r->key);
	add_text(row, "op", op);
	add_text(row, "type", e->type);
	if (e->op == 'r' || e->op == 'f')
		add_text(row, "reason", e->doc);
	json_object_object_add(row, "before", keys_of(&e->before));
	json_object_object_add(row, "n_before", json_object_new_int64((int64_t)e->before.n));
	json_object_object_add(row, "after", keys_of(&e->after));
	json_object_object_add(row, "n_after", json_object_new_int64((int64_t)e->after.n));
	each_view(x, e, add_verdict, all);
	if (json_object_array_length(all) == VERDICTS_SHOWN)
		explanation_note(x,
				 "Row %llu has more than %d verdicts, of which these are left "
				 "out: --role leaves those of one role.",
				 (unsigned long long)r->id, VERDICTS_SHOWN - 1);
	json_object_object_add(row, "verdicts", all);
	return row;
}

/* Whether a credential there may be limited to channels. */
static bool limits_channels(const struct conf_auth *a)
{
	bool limits = *a->token_channels || *a->channels_claim;

	for (size_t i = 0; a->api_keys && i < a->api_keys->n; i++)
		limits |= a->api_keys->items[i].channels != NULL;
	return limits;
}

static struct json_object *door_document(const struct explanation *x,
					 const struct explained_door *d)
{
	struct json_object *door = json_object_new_object();
	const struct scope_policy *policy = d->role ? policy_of(x->conf, d->role) : NULL;
	static const char *const receives[] = {
		[RECEIVES_NONE] = "none", [RECEIVES_OWN] = "own", [RECEIVES_ALL] = "all"};
	struct json_object *types;

	add_text(door, "door", d->auth->name);
	add_text(door, "preset", verifier_presets[d->auth->preset]);
	add_text(door, "state", states[d->state].name);
	if (states[d->state].sentence)
		add_text(door, "why", states[d->state].sentence);
	if (*d->error)
		add_text(door, "sqlstate", d->error);
	if (d->user)
		add_text(door, "user", d->user);
	add_text(door, "role", d->role);
	if (d->role && !policy)
		add_text(door, "why",
			 "The configuration has no [role] of that name: he is "
			 "refused.");
	if (!policy)
		return door;
	add_text(door, "receives", receives[policy->receives]);
	types = json_object_new_array();
	for (size_t i = 0; i < policy->n_patterns; i++)
		json_object_array_add(types, json_object_new_string(policy->patterns[i]));
	json_object_object_add(door, "events", types);
	return door;
}

struct json_object *explanation_document(struct explanation *x)
{
	struct json_object *all = json_object_new_object(), *doors = json_object_new_array(),
			   *rows = json_object_new_array();

	add_text(all, "user", x->question->user);
	for (size_t i = 0; i < x->conf->n_auths; i++)
		if (limits_channels(x->doors[i].auth))
			explanation_note(x,
					 "A credential of door %s may name the channels that it "
					 "hears, which are not known here.",
					 x->doors[i].auth->name);
	for (size_t i = 0; i < x->conf->n_auths; i++)
		if (x->doors[i].auth->preset != PRESET_TICKET)
			json_object_array_add(doors, door_document(x, &x->doors[i]));
	for (size_t i = 0; i < x->n_rows; i++) {
		if (!x->rows[i].told)
			explanation_note(x,
					 "Row %llu could not be told by the database just now: "
					 "clients are told to fetch again, and whose it is is not "
					 "known.",
					 (unsigned long long)x->rows[i].id);
		json_object_array_add(rows, row_document(x, &x->rows[i]));
	}
	json_object_object_add(all, "doors", doors);
	json_object_object_add(all, "events", rows);
	json_object_object_add(all, "notes", json_object_get(x->notes));
	return all;
}
