/* SPDX-License-Identifier: PostgreSQL
 * See subscription.h. */
#include "config.h"
#include "hub/subscription.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

bool channel_is_name(const char *name, size_t len)
{
	static const char bytes[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:@-";

	if (!len || len > CHANNEL_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!memchr(bytes, name[i], sizeof(bytes) - 1))
			return false;
	return true;
}

bool subscription_add(struct subscription *s, const char *list)
{
	for (;;) {
		size_t len = strcspn(list, ",");

		if (!channel_is_name(list, len) || s->n == SUBSCRIPTION_MAX)
			return false;
		s->names[s->n++] = xasprintf("#%.*s", (int)len, list);
		if (!list[len])
			return true;
		list += len + 1;
	}
}

struct keys *subscription_keys(const struct subscription *s)
{
	char *list[SUBSCRIPTION_MAX];
	struct keys k = {list, s->n};

	if (!s->n)
		return NULL;
	memcpy(list, s->names, s->n * sizeof(*list));
	keys_sort(&k);
	return keys_copy(&k);
}

void subscription_clear(struct subscription *s)
{
	while (s->n)
		free(s->names[--s->n]);
}

/* A pattern is a name, with {user} for the user's id, and may end in a '*'. */
static bool matches(const char *pattern, const char *name, const char *user_id)
{
	static const char user[] = "{user}";

	for (; *pattern; pattern++) {
		if (*pattern == '*' && !pattern[1])
			return true;
		if (!strncmp(pattern, user, strlen(user))) {
			size_t len = strlen(user_id);

			if (strncmp(name, user_id, len) != 0)
				return false;
			name += len;
			pattern += strlen(user) - 1;
		} else if (*name++ != *pattern) {
			return false;
		}
	}
	return !*name;
}

static bool any_matches(char *const *patterns, size_t n, const char *name, const char *user_id)
{
	for (size_t i = 0; i < n; i++)
		if (matches(patterns[i], name, user_id))
			return true;
	return false;
}

bool channel_may_publish(const struct scope_policy *policy, const char *channel,
			 const char *user_id)
{
	return any_matches(policy->publishes, policy->n_publishes, channel, user_id);
}

const char *subscription_refused(const struct keys *channels, const struct scope_policy *policy,
				 const char *user_id)
{
	for (size_t i = 0; channels && i < channels->n; i++)
		if (!any_matches(policy->channels, policy->n_channels, channels->list[i] + 1,
				 user_id))
			return channels->list[i] + 1;
	return NULL;
}

char *subscription_text(const struct keys *channels)
{
	struct buf b;

	buf_init(&b, (size_t)SUBSCRIPTION_MAX * (CHANNEL_MAX + 1));
	for (size_t i = 0; channels && i < channels->n; i++)
		buf_printf(&b, "%s%s", i ? "," : "", channels->list[i] + 1);
	return buf_steal(&b);
}
