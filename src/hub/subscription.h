/* SPDX-License-Identifier: PostgreSQL
 * The channels that a client asks for, and whether his role may hear them. What is not a name of a
 * channel, or not permitted, is refused and never left out. */
#ifndef PGHERALD_HUB_SUBSCRIPTION_H
#define PGHERALD_HUB_SUBSCRIPTION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"
#include "hub/scope.h"
#include "wire/channel.h"

#define SUBSCRIPTION_MAX 32 /* channels of a stream */

/* Whether it is one: letters, digits and any of _ . : @ - */
bool channel_is_name(const char *name, size_t len) MUST_CHECK;

struct subscription {
	char *names[SUBSCRIPTION_MAX]; /* as keys */
	size_t n;
};

/* Adds names separated by commas. False when one is none, or there are too many. */
bool subscription_add(struct subscription *s, const char *list) MUST_CHECK;
/* Their keys, for struct principal; NULL without any. */
struct keys *subscription_keys(const struct subscription *s);
void subscription_clear(struct subscription *s);
/* The first of these channels that he may not hear, by his role or by his credential; NULL when
 * there is none. */
const char *subscription_refused(const struct keys *channels, const struct scope_policy *policy,
				 const struct principal *who);
/* What a credential says of channels: patterns between commas or blanks, each a name or the
 * beginning of names and a '*'; PostgreSQL's spelling of an array is such a list, too. No pattern,
 * so no channel, is a set as well. NULL when one is none, or there are more than SUBSCRIPTION_MAX.
 */
struct keys *subscription_grants(const char *text) MUST_CHECK;
/* The same as text, to be compared: "" for NULL. The caller frees. */
char *subscription_grants_text(const struct keys *granted);
/* Adds those that his credential names and his role may hear: he hears them without asking. False
 * when they are too many. */
bool subscription_join(struct subscription *s, const struct scope_policy *policy,
		       const struct principal *who) MUST_CHECK;
/* Whether a user of this role may publish to a channel, or to everybody ("*"). */
bool channel_may_publish(const struct scope_policy *policy, const char *channel,
			 const char *user_id) MUST_CHECK;
/* As subscription_add() reads it; the caller frees. */
char *subscription_text(const struct keys *channels);

#endif
