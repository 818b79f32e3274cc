/* SPDX-License-Identifier: PostgreSQL
 * Channels: what a query or a message asks for, and what a claim or a line of keys grants. Whatever
 * stands there, nothing is heard that the role does not allow, and nothing that the credential does
 * not. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "hub/subscription.h"
#include "target.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static bool begins(const char *pattern, const char *name)
{
	size_t len = strlen(pattern);

	return len && pattern[len - 1] == '*' ? !strncmp(pattern, name, len - 1)
					      : !strcmp(pattern, name);
}

static bool granted(const struct keys *g, const char *name)
{
	bool yes = false;

	for (size_t i = 0; g && i < g->n; i++)
		yes |= begins(g->list[i], name);
	return yes || !g;
}

/* "ROLE'S PATTERN\nGRANTS\nASKED" */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autofree char *text = xstrndup((const char *)data, size);
	char *rest = text, *pattern = strsep(&rest, "\n"),
	     *grants = rest ? strsep(&rest, "\n") : NULL;
	struct scope_policy policy = {.channels = &pattern, .n_channels = 1};
	char user[] = "7";
	struct principal who = {.user_id = user};
	struct subscription s = {0};
	struct keys *k;

	if (grants) {
		who.granted = subscription_grants(grants);
		for (size_t i = 0; who.granted && i < who.granted->n; i++)
			assert(*who.granted->list[i] &&
			       !strpbrk(who.granted->list[i], " ,\t\"{}") &&
			       (!i || strcmp(who.granted->list[i - 1], who.granted->list[i]) < 0));
		assert(!who.granted || who.granted->n <= SUBSCRIPTION_MAX);
	}
	if (subscription_join(&s, &policy, &who)) {
		k = subscription_keys(&s);
		assert(!subscription_refused(k, &policy, &who));
		free(k);
	}
	if (rest && subscription_add(&s, rest)) {
		k = subscription_keys(&s);
		for (size_t i = 0; i < k->n; i++) {
			const struct keys one = {&k->list[i], 1};
			const char *name = k->list[i] + 1;

			assert(channel_is_name(name, strlen(name)));
			if (!subscription_refused(&one, &policy, &who))
				assert(granted(who.granted, name));
		}
		free(k);
	}
	assert(s.n <= SUBSCRIPTION_MAX);
	subscription_clear(&s);
	free(who.granted);
	return 0;
}
