/* SPDX-License-Identifier: PostgreSQL
 * See origin.h. */
#include "config.h"
#include "auth/origin.h"

#include <string.h>
#include <strings.h>

#include "base/num.h"

bool origin_listed(const char *origin, char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], "*") != 0 && !strcmp(list[i], origin))
			return true;
	return false;
}

static const char lower[] = "abcdefghijklmnopqrstuvwxyz0123456789";

static size_t scheme_len(const char *text)
{
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789+-.");

	return strncmp(text + len, "://", 3) ? 0 : len;
}

/* Past a host, or NULL. */
static const char *after_host(const char *at)
{
	const char *end = at;

	if (*at == '[') {
		end = at + 1 + strspn(at + 1, "0123456789abcdef:.");
		return *end == ']' && end > at + 1 ? end + 1 : NULL;
	}
	while (*end && (strchr(lower, *end) || strchr("-._", *end)))
		end++;
	return end > at ? end : NULL;
}

static const char *port_complaint(const char *scheme, size_t len, const char *port)
{
	uint64_t n;

	if (*port == '0' || !num_u64(port, strlen(port), &n) || n > 65535)
		return "has no port behind its colon";
	if ((len == 5 && !strncmp(scheme, "https", 5) && n == 443) ||
	    (len == 4 && !strncmp(scheme, "http", 4) && n == 80))
		return "has its scheme's own port, which no browser writes";
	return NULL;
}

const char *origin_complaint(const char *text)
{
	size_t scheme = scheme_len(text);
	const char *end;

	if (!strcmp(text, "*"))
		return NULL;
	if (!strcmp(text, "null"))
		return "is what every page has that hides where it is from";
	end = scheme ? after_host(text + scheme + 3) : NULL;
	if (end && *end == ':')
		return port_complaint(text, scheme, end + 1);
	if (!end || *end)
		return "is not written SCHEME://HOST[:PORT], in lower case, with nothing behind it";
	return NULL;
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
