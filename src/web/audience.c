/* SPDX-License-Identifier: PostgreSQL
 * See audience.h. */
#include "config.h"
#include "web/audience.h"

#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "hub/subscription.h"
#include "web/query.h"

struct source {
	const struct principal *who;
	const struct conf_route *route;
	const struct pattern_piece *values;
	const struct query *query;
	char text[PATTERN_VALUE_MAX + 1]; /* of a value in the path */
};

static bool is(const char *name, size_t len, const char *what)
{
	return strlen(what) == len && !memcmp(name, what, len);
}

static const char *value_of(void *arg, const char *name, size_t len)
{
	struct source *s = arg;
	int i;

	if (*name == '?')
		return query_given(s->query, name + 1, len - 1);
	if (is(name, len, "id") || is(name, len, "user"))
		return s->who->user_id;
	if (is(name, len, "role"))
		return s->who->role;
	i = pattern_variable(s->route->path, name, len);
	if (i < 0)
		return NULL; /* the configuration's check knows none such */
	memcpy(s->text, s->values[i].at, s->values[i].len);
	s->text[s->values[i].len] = '\0';
	return s->text;
}

/* One of the route's channels, unless the query leaves out what it needs. */
static bool add(struct subscription *all, const char *channel, struct source *s)
{
	autobuf name = {.max = CHANNEL_MAX};

	if (!strcmp(channel, "{id}") || !strcmp(channel, "{user}"))
		return true; /* by his id */
	if (!pattern_expand(channel, value_of, s, &name))
		return true;
	return buf_ok(&name) && channel_is_name(buf_cstr(&name), name.len) &&
	       subscription_add(all, buf_cstr(&name));
}

static bool add_all(struct subscription *all, struct source *s)
{
	for (size_t i = 0; i < s->query->channels.n; i++)
		if (!subscription_add(all, s->query->channels.names[i] + 1))
			return false;
	for (size_t i = 0; i < s->route->channels.n; i++)
		if (!add(all, s->route->channels.items[i], s))
			return false;
	return true;
}

unsigned audience_set(struct principal *who, const struct conf *conf,
		      const struct conf_route *route,
		      const struct pattern_piece values[PATTERN_VARIABLES_MAX],
		      const struct query *query, struct buf *why)
{
	struct source source = {who, route, values, query, ""};
	const struct scope_policy *policy = conf_find_role(conf, who->role);
	struct subscription all = {.n = 0};
	const char *refused;
	bool only = route->channels.n && !route->own_too;
	bool ok =
		add_all(&all, &source) && (only || !policy || subscription_join(&all, policy, who));

	free(who->channels); /* the verdict may be answered again after a wait */
	who->channels = ok ? subscription_keys(&all) : NULL;
	who->channels_only = only;
	subscription_clear(&all);
	if (!ok) {
		buf_str(why, "There is no such channel.");
		return MHD_HTTP_NOT_FOUND;
	}
	refused = policy ? subscription_refused(who->channels, policy, who) : NULL;
	if (!refused)
		return 0;
	buf_printf(why, "Your %s may not hear the channel \"%s\".",
		   who->granted ? "role or credential" : "role", refused);
	return MHD_HTTP_FORBIDDEN;
}
