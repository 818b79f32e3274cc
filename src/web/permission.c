/* SPDX-License-Identifier: PostgreSQL
 * See permission.h. */
#include "config.h"
#include "web/permission.h"

#include <microhttpd.h>
#include <stdlib.h>

#include "conf.h"

bool permission_is_asked(const struct conf_route *route)
{
	return *route->authorize != '\0';
}

void permission_question(struct post_lookup *l, const struct conf_route *route)
{
	free(l->route);
	l->route = xstrdup(route->name);
	l->letter.kind = POST_AUTHORIZE;
	l->authorizing = true;
}

struct principal *permission_about(const struct principal *who, struct keys *channels)
{
	struct principal *p = xcalloc(1, sizeof(*p));

	p->user_id = xstrdup(who->user_id);
	p->role = xstrdup(who->role);
	p->channels = channels;
	return p;
}

unsigned permission_refusal(const struct post_lookup *l, struct buf *why)
{
	const struct keys *channels = l->who->channels;
	bool forbidden = l->verdict == LOOKUP_FORBIDDEN;

	if (l->verdict != LOOKUP_FORBIDDEN && l->verdict != LOOKUP_NOTHING)
		return 0;
	if (channels && l->refused < channels->n)
		buf_printf(why,
			   forbidden ? "You may not hear the channel \"%s\"."
				     : "There is no channel \"%s\".",
			   channels->list[l->refused] + 1);
	else
		buf_str(why, forbidden ? "You may not use this resource." : "Not found.");
	return forbidden ? MHD_HTTP_FORBIDDEN : MHD_HTTP_NOT_FOUND;
}
