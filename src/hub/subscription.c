/* SPDX-License-Identifier: PostgreSQL
 * See subscription.h. */
#include "config.h"
#include "hub/subscription.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

bool channel_is_name(const char *name, size_t len)
{
	if (!len || len > CHANNEL_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!memchr(CHANNEL_BYTES, name[i], sizeof(CHANNEL_BYTES) - 1))
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

static bool may_hear(const char *channel, const struct scope_policy *policy,
		     const struct principal *who)
{
	const struct keys *g = who->granted;

	return any_matches(policy->channels, policy->n_channels, channel, who->user_id) &&
	       (!g || any_matches(g->list, g->n, channel, who->user_id));
}

const char *subscription_refused(const struct keys *channels, const struct scope_policy *policy,
				 const struct principal *who)
{
	for (size_t i = 0; channels && i < channels->n; i++)
		if (!may_hear(channels->list[i] + 1, policy, who))
			return channels->list[i] + 1;
	return NULL;
}

struct keys *subscription_grants(const char *text)
{
	static const char between[] = ", \t\"{}";
	char *list[SUBSCRIPTION_MAX] = {NULL}, *sorted[SUBSCRIPTION_MAX];
	struct keys k = {.list = sorted}, *copy = NULL;
	size_t n = 0;
	bool ok = true;

	for (text += strspn(text, between); ok && *text; text += strspn(text, between)) {
		size_t len = strcspn(text, between), name = len - (text[len - 1] == '*');

		ok = n < SUBSCRIPTION_MAX && len <= CHANNEL_MAX &&
		     (!name || channel_is_name(text, name));
		if (ok)
			list[n++] = xstrndup(text, len);
		text += len;
	}
	memcpy(sorted, list, sizeof(sorted));
	k.n = n;
	keys_sort(&k);
	copy = ok ? keys_copy(&k) : NULL;
	while (n)
		free(list[--n]);
	return copy;
}

char *subscription_grants_text(const struct keys *granted)
{
	struct buf b;

	buf_init(&b, (size_t)SUBSCRIPTION_MAX * (CHANNEL_MAX + 1) + 1);
	for (size_t i = 0; granted && i < granted->n; i++)
		buf_printf(&b, "%s%s", i ? "," : "=", granted->list[i]);
	if (granted && !granted->n)
		buf_char(&b, '=');
	return buf_steal(&b);
}

bool subscription_join(struct subscription *s, const struct scope_policy *policy,
		       const struct principal *who)
{
	for (size_t i = 0; who->granted && i < who->granted->n; i++) {
		const char *name = who->granted->list[i];

		if (name[strlen(name) - 1] != '*' && may_hear(name, policy, who) &&
		    !subscription_add(s, name))
			return false;
	}
	return true;
}

char *subscription_text(const struct keys *channels)
{
	struct buf b;

	buf_init(&b, (size_t)SUBSCRIPTION_MAX * (CHANNEL_MAX + 1));
	for (size_t i = 0; channels && i < channels->n; i++)
		buf_printf(&b, "%s%s", i ? "," : "", channels->list[i] + 1);
	return buf_steal(&b);
}
