/* SPDX-License-Identifier: PostgreSQL
 * See reason.h. */
#include "config.h"
#include "hub/reason.h"

#include <stdlib.h>
#include <string.h>

#include "hub/filter.h"
#include "hub/subscription.h"

static const struct {
	const char *name, *sentence;
} rules[N_RULES] = {
	[RULE_ROLE] = {"no-role", "The configuration has no [role] of that name."},
	[RULE_RECEIVES_NONE] = {"receives-none", "His role receives nothing."},
	[RULE_NOBODY] = {"nobody",
			 "The row is for nobody's eyes: it tells the daemon that rights have "
			 "changed, or another row of its transaction tells what became of it."},
	[RULE_NOT_UNDERSTOOD] = {"not-understood",
				 "What the row says is not understood, and so it is nobody's."},
	[RULE_TYPES] = {"role-types", "His role does not hear events of this type (events)."},
	[RULE_ROUTE_TYPES] = {"route-types", "The route does not tell events of this type "
					     "(types)."},
	[RULE_ASKED] = {"asked", "His client has asked for other types or topics only."},
	[RULE_OWNERS_ONLY] = {"owners-only", "Nothing but the row's owners changed, and who hears "
					     "of every row is not told that."},
	[RULE_STAYS] = {"still-his",
			"Nothing but the row's owners changed, and it was his and is his."},
	[RULE_CHANNELS_ONLY] = {"channels-only", "The row is for his id, and the stream hears "
						 "channels and nothing by his id (channels)."},
	[RULE_CHANNEL] = {"not-subscribed", "It is for a channel that his role may hear, and that "
					    "the stream does not hear."},
	[RULE_ROLE_CHANNELS] = {"role-channels",
				"It is for channels that his role may not hear (channels)."},
	[RULE_NOT_HIS] = {"not-his", "None of its keys is his, before or after."},
	[RULE_REFETCH] = {"fetch-again", "Everybody is told to fetch again whose role may hear of "
					 "the topic."},
	[RULE_EVERYTHING] = {"receives-all", "His role hears of every row (receives = all)."},
	[RULE_EVERYBODY] = {"everybody", "It is for everybody."},
	[RULE_HIS] = {"his", "It is for one of his keys."},
	[RULE_ENTER] = {"became-his", "It was for none of his keys before, and is for one after."},
	[RULE_LEAVE] = {"left-him", "It was for one of his keys before, and is for none after."},
};

const char *reason_name(enum reason_rule rule)
{
	return rules[rule].name;
}

const char *reason_sentence(enum reason_rule rule)
{
	return rules[rule].sentence;
}

const char *reason_told(const struct event *e, enum scope_view view)
{
	static const char *const told[] = {[VIEW_NOTHING] = "nothing",
					   [VIEW_WHOLE] = "whole",
					   [VIEW_ENTER] = "enter",
					   [VIEW_LEAVE] = "leave"};

	return view != VIEW_NOTHING && (e->op == 'r' || e->op == 'f') ? "fetch again" : told[view];
}

/* The one of his keys that is among these, or NULL. */
static const char *key_of(const struct principal *who, const struct keys *k)
{
	if (!who->channels_only && principal_is_named(who, k))
		return who->user_id;
	for (size_t i = 0; who->channels && i < who->channels->n; i++)
		if (keys_have(k, who->channels->list[i]))
			return who->channels->list[i];
	return keys_have(k, "*") ? "*" : NULL;
}

/* Whether one of these is a channel that he may hear; `*ret_any` when one is a channel at all. */
static bool has_channel_for(const struct keys *k, const struct scope_policy *policy,
			    const struct principal *who, bool *ret_any)
{
	for (size_t i = 0; i < k->n; i++) {
		const struct keys one = {&k->list[i], 1};

		if (*k->list[i] != '#')
			continue;
		*ret_any = true;
		if (!subscription_refused(&one, policy, who))
			return true;
	}
	return false;
}

static bool is_understood(char op)
{
	return scope_own_view(op, true, false) != VIEW_NOTHING ||
	       scope_own_view(op, false, true) != VIEW_NOTHING;
}

static enum reason_rule why_not_allowed(const struct event *e, const struct scope_policy *policy)
{
	if (e->op == 'a' || e->op == 'x')
		return RULE_NOBODY;
	return policy->receives == RECEIVES_NONE ? RULE_RECEIVES_NONE : RULE_TYPES;
}

static enum reason_rule why_nothing(const struct event *e, const struct scope_policy *policy,
				    const struct principal *who)
{
	bool channels = false;

	if (event_is_for_owners(e) && principal_hears_all(who, policy))
		return RULE_OWNERS_ONLY;
	if (!is_understood(e->op))
		return RULE_NOT_UNDERSTOOD;
	if (principal_is_among(who, &e->before) && principal_is_among(who, &e->after))
		return RULE_STAYS;
	if (who->channels_only &&
	    (principal_is_named(who, &e->before) || principal_is_named(who, &e->after)))
		return RULE_CHANNELS_ONLY;
	if (has_channel_for(&e->before, policy, who, &channels) ||
	    has_channel_for(&e->after, policy, who, &channels))
		return RULE_CHANNEL;
	return channels ? RULE_ROLE_CHANNELS : RULE_NOT_HIS;
}

static enum reason_rule why_seen(const struct event *e, const struct scope_policy *policy,
				 const struct principal *who, struct reason *r)
{
	if (e->op == 'r')
		return RULE_REFETCH;
	if (e->op != 'm' && principal_hears_all(who, policy))
		return RULE_EVERYTHING;
	r->key = key_of(who, &e->after);
	if (!r->key)
		r->key = key_of(who, &e->before);
	if (r->view == VIEW_WHOLE && r->key && !strcmp(r->key, "*"))
		return RULE_EVERYBODY;
	return r->view == VIEW_ENTER ? RULE_ENTER : r->view == VIEW_LEAVE ? RULE_LEAVE : RULE_HIS;
}

static bool wants(const struct filter *f, const struct event *e)
{
	autofree char *topics = NULL;

	return filter_wants_of(f, e, &topics);
}

struct reason reason_of(const struct event *e, const struct scope_policy *policy,
			const struct principal *who, const struct filter *filter)
{
	struct reason r = {VIEW_NOTHING, RULE_ROLE, NULL};

	if (!policy)
		return r;
	r.view = event_view(e, policy, who);
	if (!event_allowed(e, policy))
		r.rule = why_not_allowed(e, policy);
	else if (r.view == VIEW_NOTHING)
		r.rule = why_nothing(e, policy, who);
	else
		r.rule = why_seen(e, policy, who, &r);
	if (r.view != VIEW_NOTHING && filter && !wants(filter, e)) {
		const struct filter limits = {.limits = filter->limits,
					      .n_limits = filter->n_limits};

		r = (struct reason){VIEW_NOTHING, wants(&limits, e) ? RULE_ASKED : RULE_ROUTE_TYPES,
				    NULL};
	}
	return r;
}
