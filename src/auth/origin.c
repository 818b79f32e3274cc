/* SPDX-License-Identifier: PostgreSQL
 * See origin.h. */
#include "config.h"
#include "auth/origin.h"

#include <string.h>
#include <strings.h>

bool origin_listed(const char *origin, char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], "*") != 0 && !strcmp(list[i], origin))
			return true;
	return false;
}

/* "https://shop.example:8443" is of host "shop.example:8443"; the scheme is the proxy's. */
static bool same_host(const char *origin, const char *host)
{
	const char *mark = strstr(origin, "://");

	return mark && *host && !strcasecmp(mark + 3, host);
}

bool origin_may_use_cookie(const char *origin, const char *host, const char *sec_fetch_site,
			   char *const *list, size_t n)
{
	/* The browser knows by which scheme it asks us: a page of our name that is not of our site
	 * has come over HTTP without TLS, from whoever is on the way. */
	if (origin)
		return origin_listed(origin, list, n) ||
		       (host && same_host(origin, host) &&
			!(sec_fetch_site && !strcmp(sec_fetch_site, "cross-site")));
	/* Browsers send no Origin with a GET of the same origin, nor with one whose answer the page
	 * cannot read (<img>, <script>); they tell the two apart with Sec-Fetch-Site. */
	return !sec_fetch_site || !strcmp(sec_fetch_site, "same-origin") ||
	       !strcmp(sec_fetch_site, "none");
}
