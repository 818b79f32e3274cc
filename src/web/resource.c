/* SPDX-License-Identifier: PostgreSQL
 * See resource.h. */
#include "config.h"
#include "web/resource.h"

#include <string.h>

#include "conf.h"
#include "web/admin.h"

static const struct open_path {
	const char *path;
	enum MHD_Result (*answer)(struct worker *w, struct MHD_Connection *c);
} open_paths[] = {
	{"/healthz", admin_healthz},
	{"/readyz", admin_readyz},
};

static void allow_for(struct resource *r)
{
	r->method = MHD_HTTP_METHOD_GET;
	r->allow = "GET, OPTIONS";
	if (!r->route) { /* load balancers like HEAD, and no page sends what CORS asks for */
		r->allow = "GET, HEAD";
	} else if (conf_route_is_posted(r->route)) {
		r->method = MHD_HTTP_METHOD_POST;
		r->allow = "POST, OPTIONS";
	} else if (r->route->kind == ROUTE_DISCONNECT) {
		r->method = MHD_HTTP_METHOD_DELETE;
		r->allow = "DELETE, OPTIONS";
	}
}

char *resource_complaint(const struct resource *r)
{
	return xasprintf("Method not allowed: use %s.", r->method);
}

/* "http://host/path" is a target too (RFC 9112 section 3.2.2); its host is that of the Host header.
 */
static const char *path_of(const char *target)
{
	const char *host = *target == '/' ? NULL : strstr(target, "://"), *path;

	if (!host)
		return target;
	path = strchr(host + 3, '/');
	return path ? path : "/";
}

bool resource_at(struct resource *ret, const struct conf *conf, const char *target,
		 struct pattern_piece ret_values[PATTERN_VARIABLES_MAX])
{
	const char *path = path_of(target);

	*ret = (struct resource){.route = conf_route_at(conf, path, ret_values)};
	for (size_t i = 0; !ret->route && i < sizeof(open_paths) / sizeof(*open_paths); i++)
		if (!strcmp(open_paths[i].path, path))
			ret->answer = open_paths[i].answer;
	allow_for(ret);
	return ret->route || ret->answer;
}

bool resource_named(struct resource *ret, const struct conf *conf, const char *target, size_t len)
{
	const char *query = memchr(target, '?', len);
	autofree char *path = xstrndup(target, query ? (size_t)(query - target) : len);
	struct pattern_piece values[PATTERN_VARIABLES_MAX];

	MHD_http_unescape(path);
	return resource_at(ret, conf, path, values);
}
