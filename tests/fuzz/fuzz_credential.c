/* SPDX-License-Identifier: PostgreSQL
 * auth/credential: a token or a cookie lies inside the header; a plausible one is short and
 * visible. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "auth/credential.h"
#include "target.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *header = xstrndup((const char *)data, size);
	enum credential_scheme scheme = SCHEME_TOKEN;
	const char *token = credential_from_header(header, &scheme), *cookie, *offered;
	size_t len = 0;

	if (token) {
		assert(token > header && token <= header + strlen(header));
		assert(token - header >= 5 && *token != ' ' && scheme <= SCHEME_API_KEY);
	}
	cookie = credential_from_cookie(header, "sessionid", &len);
	if (cookie) {
		assert(cookie - header >= 10 && len <= strlen(cookie));
		assert(!memchr(cookie, ';', len));
	}
	offered = credential_from_protocol(header, &len);
	if (offered) {
		assert(offered[-1] == '.' && len <= strlen(offered));
		assert(!memchr(offered, ',', len) && !memchr(offered, ' ', len));
	}
	token = token ? token : header;
	if (credential_plausible(token, TOKEN_MAX)) {
		assert(*token && strlen(token) <= TOKEN_MAX);
		for (; *token; token++)
			assert(*token > ' ' && *token < 0x7f);
	}
	free(header);
	return 0;
}
