/* SPDX-License-Identifier: PostgreSQL
 * Why somebody hears an event, or does not. What he sees is what event_view() and his filter say,
 * and nothing else; the rule is named by asking again what they asked. */
#ifndef PGHERALD_HUB_REASON_H
#define PGHERALD_HUB_REASON_H

#include <stdbool.h>

#include "hub/event.h"
#include "hub/scope.h"

struct filter;

enum reason_rule {
	/* He sees nothing, since … */
	RULE_ROLE,	     /* there is no such role */
	RULE_RECEIVES_NONE,  /* it receives nothing */
	RULE_NOBODY,	     /* the row is nobody's: rights, or told by another row */
	RULE_NOT_UNDERSTOOD, /* what it says is not known here */
	RULE_TYPES,	     /* his role does not hear that type … */
	RULE_ROUTE_TYPES,    /* … nor his route … */
	RULE_ASKED,	     /* … or he has asked for others */
	RULE_OWNERS_ONLY,    /* nothing but owners changed, and he hears of every row */
	RULE_STAYS,	     /* the same, and it was his before and is his after */
	RULE_CHANNELS_ONLY,  /* it is for his id, and his stream hears channels */
	RULE_CHANNEL,	     /* it is for a channel that he may hear and has not asked for … */
	RULE_ROLE_CHANNELS,  /* … or may not */
	RULE_NOT_HIS,	     /* none of its keys is his */
	/* He sees it, since … */
	RULE_REFETCH,	 /* everybody is told to fetch again whose role may hear of the topic */
	RULE_EVERYTHING, /* his role hears of every row */
	RULE_EVERYBODY,	 /* it is for everybody */
	RULE_HIS,	 /* it is for one of his keys */
	RULE_ENTER,	 /* it has become his */
	RULE_LEAVE,	 /* it is no longer his */
	N_RULES,
};

struct reason {
	enum scope_view view;
	enum reason_rule rule;
	const char *key; /* by which it is his, or was; the event's or the principal's; or NULL */
};

/* `policy` is that of his role, NULL when there is none; `filter` may be NULL. */
struct reason reason_of(const struct event *e, const struct scope_policy *policy,
			const struct principal *who, const struct filter *filter);
/* "not-his" */
const char *reason_name(enum reason_rule rule);
/* A sentence about him: "None of the row's keys is his." */
const char *reason_sentence(enum reason_rule rule);
/* "nothing", "whole", "enter", "leave", or "fetch again" */
const char *reason_told(const struct event *e, enum scope_view view);

#endif
