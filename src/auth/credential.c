/* SPDX-License-Identifier: PostgreSQL
 * See credential.h. */
#include "config.h"
#include "auth/credential.h"

#include <string.h>
#include <strings.h>

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

const char *credential_from_header(const char *header, enum credential_scheme *ret_scheme)
{
	static const char *const schemes[] = {
		[SCHEME_TOKEN] = "Token", [SCHEME_BEARER] = "Bearer", [SCHEME_API_KEY] = "Api-Key"};

	for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		size_t len = strlen(schemes[i]);

		/* One of which nothing is left is one, too: its client is no guest. */
		if (strncasecmp(header, schemes[i], len) != 0 ||
		    (header[len] && !blank(header[len])))
			continue;
		*ret_scheme = (enum credential_scheme)i;
		return header + len + strspn(header + len, " ");
	}
	return NULL;
}

const char *credential_from_cookie(const char *header, const char *name, size_t *ret_len)
{
	size_t name_len = strlen(name);
	const char *found = NULL;

	while (*header) {
		const char *end = header + strcspn(header, ";"), *p = header, *stop = end;

		header = end + (*end == ';');
		while (p < stop && blank(*p))
			p++;
		while (stop > p && blank(stop[-1]))
			stop--;
		if ((size_t)(stop - p) <= name_len || memcmp(p, name, name_len) != 0 ||
		    p[name_len] != '=')
			continue;
		p += name_len + 1;
		if (stop - p >= 2 && *p == '"' && stop[-1] == '"') {
			p++;
			stop--;
		}
		found = p;
		*ret_len = (size_t)(stop - p);
	}
	return found;
}

const char *credential_from_protocol(const char *header, size_t *ret_len)
{
	static const char mark[] = "bearer.";

	while (*header) {
		const char *p = header + strspn(header, " \t,");
		size_t len = strcspn(p, " \t,");

		if (len >= sizeof(mark) - 1 && !strncmp(p, mark, sizeof(mark) - 1)) {
			*ret_len = len - (sizeof(mark) - 1);
			return p + sizeof(mark) - 1;
		}
		header = p + len;
	}
	return NULL;
}

bool credential_plausible(const char *token, size_t max)
{
	size_t len = 0;

	for (; token[len]; len++)
		if (len == max || token[len] < '!' || token[len] > '~')
			return false;
	return len > 0;
}
