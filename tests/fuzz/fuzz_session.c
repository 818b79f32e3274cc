/* SPDX-License-Identifier: PostgreSQL
 * auth/session: what nobody signed is never read, whatever it is; and with a signature put under
 * it, whatever is read is a user with a hash. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/sign.h"
#include "auth/session.h"
#include "target.h"

static struct secrets *secrets;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char file[] = "the key of the fuzz target\nits predecessor\n";
	autobuf error = {0};

	(void)argc;
	(void)argv;
	buf_init(&error, 1000);
	secrets = secrets_parse(file, strlen(file), "django.contrib.sessions.SessionStore", &error);
	assert(secrets);
	return 0;
}

static void read_signed(const char *text, size_t len)
{
	autofree char *data = sign_text(secrets, text, len);
	struct session s = {0};
	enum session_verdict verdict = session_read(secrets, data, len + 44, &s);

	assert((verdict == SESSION_FOREIGN) == (len + 44 > SESSION_DATA_MAX));
	assert((verdict == SESSION_OK) == (s.user_id && s.auth_hash));
	if (verdict == SESSION_OK)
		assert(*s.user_id && session_hash_is(&s, s.auth_hash));
	session_clear(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct session s = {0};
	autobuf payload = {0};

	if (size > (1 << 17))
		return 0;
	assert(session_read(secrets, text, size, &s) == SESSION_FOREIGN);
	read_signed(text, size); /* as PAYLOAD:TIME */
	buf_init(&payload, 1 << 20);
	sign_base64(&payload, data, size); /* as the JSON, and as what zlib made of it */
	buf_str(&payload, ":1r31eq");
	read_signed(buf_cstr(&payload), payload.len);
	buf_clear(&payload);
	buf_char(&payload, '.');
	sign_base64(&payload, data, size);
	buf_str(&payload, ":1r31eq");
	read_signed(buf_cstr(&payload), payload.len);
	return 0;
}
