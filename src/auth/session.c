/* SPDX-License-Identifier: PostgreSQL
 * See session.h. [.]PAYLOAD:TIME:SIGNATURE, as django.core.signing.dumps() makes it: payload and
 * signature in base64url without padding, a dot for zlib, the time in base 62. */
#include "config.h"
#include "auth/session.h"

#include <ctype.h>
#include <json-c/json.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "auth/base64url.h"

#define JSON_DEPTH    32
#define SIGNATURE_LEN 43 /* base64url of SECRET_MAC bytes */

static bool signed_by(const struct secret *k, const char *text, size_t len, const char *signature)
{
	unsigned char mac[SECRET_MAC];
	char want[SIGNATURE_LEN + 1];
	unsigned n = 0;

	if (!HMAC(EVP_sha256(), k->signing, sizeof(k->signing), (const unsigned char *)text, len,
		  mac, &n) ||
	    n != sizeof(mac))
		return false;
	base64url_encode(want, mac, SECRET_MAC);
	return CRYPTO_memcmp(want, signature, SIGNATURE_LEN) == 0;
}

static bool base62(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]))
			return false;
	return len > 0;
}

/* zlib's (RFC 1950) `in` into `out`, at most `max` bytes of it. */
static bool inflate_all(unsigned char *out, size_t max, size_t *ret_n, unsigned char *in, size_t n)
{
	z_stream z = {.next_in = in, .avail_in = (uInt)n, .next_out = out, .avail_out = (uInt)max};
	bool ok = inflateInit(&z) == Z_OK && inflate(&z, Z_FINISH) == Z_STREAM_END;

	inflateEnd(&z);
	*ret_n = max - z.avail_out;
	return ok;
}

/* A string member without NUL; the caller frees. NULL when there is none. */
static char *text_of(struct json_object *o, const char *name)
{
	struct json_object *v;
	const char *s;
	size_t len;

	if (!json_object_object_get_ex(o, name, &v) || !json_object_is_type(v, json_type_string))
		return NULL;
	s = json_object_get_string(v);
	len = (size_t)json_object_get_string_len(v);
	return len && !memchr(s, '\0', len) ? xstrndup(s, len) : NULL;
}

/* Django takes nobody for logged in who lacks one of the three. */
static enum session_verdict read_json(const char *json, size_t len, struct session *out)
{
	struct json_tokener *t = json_tokener_new_ex(JSON_DEPTH);
	enum session_verdict verdict = SESSION_BROKEN;
	struct json_object *o;

	if (!t)
		return verdict;
	o = json_tokener_parse_ex(t, json, (int)len);
	if (json_tokener_get_error(t) == json_tokener_success &&
	    json_object_is_type(o, json_type_object)) {
		autofree char *backend = text_of(o, "_auth_user_backend");
		struct session s = {text_of(o, "_auth_user_id"), text_of(o, "_auth_user_hash")};

		verdict = SESSION_ANONYMOUS;
		if (backend && s.user_id && s.auth_hash) {
			*out = s;
			verdict = SESSION_OK;
		} else {
			session_clear(&s);
		}
	}
	json_object_put(o);
	json_tokener_free(t);
	return verdict;
}

/* [.]PAYLOAD, whose signature is right. */
static enum session_verdict read_payload(const char *payload, size_t len, struct session *out)
{
	bool deflated = len && *payload == '.';
	unsigned char *bytes = xcalloc(1, SESSION_DATA_MAX + SESSION_JSON_MAX), *json = bytes;
	enum session_verdict verdict = SESSION_BROKEN;
	size_t n;

	if (base64url_decode(bytes, &n, payload + deflated, len - deflated)) {
		if (deflated)
			json += SESSION_DATA_MAX;
		if (!deflated || inflate_all(json, SESSION_JSON_MAX, &n, bytes, n))
			verdict = read_json((const char *)json, n, out);
	}
	free(bytes);
	return verdict;
}

enum session_verdict session_read(const struct secrets *s, const char *data, size_t len,
				  struct session *out)
{
	const char *mark = len <= SESSION_DATA_MAX ? memrchr(data, ':', len) : NULL, *time;
	size_t n = mark ? (size_t)(mark - data) : 0;

	if (!mark || len - n - 1 != SIGNATURE_LEN)
		return SESSION_FOREIGN;
	for (size_t i = 0; !signed_by(&s->items[i], data, n, mark + 1);)
		if (++i == s->n)
			return SESSION_FOREIGN;
	time = memrchr(data, ':', n);
	if (!time || !base62(time + 1, (size_t)(mark - time) - 1))
		return SESSION_BROKEN;
	return read_payload(data, (size_t)(time - data), out);
}

void session_clear(struct session *s)
{
	free(s->user_id);
	free(s->auth_hash);
	*s = (struct session){0};
}

bool session_hash_is(const struct session *s, const char *hash)
{
	size_t len = strlen(hash);

	return len && len == strlen(s->auth_hash) && CRYPTO_memcmp(s->auth_hash, hash, len) == 0;
}

bool session_name(char out[SESSION_NAME_SIZE], const char *key)
{
	static const char prefix[] = "session:", hex[] = "0123456789abcdef";
	unsigned char digest[SECRET_MAC];
	char *p = out + sizeof(prefix) - 1;

	if (EVP_Digest(key, strlen(key), digest, NULL, EVP_sha256(), NULL) != 1)
		return false;
	memcpy(out, prefix, sizeof(prefix) - 1);
	for (size_t i = 0; i < sizeof(digest); i++) {
		*p++ = hex[digest[i] >> 4];
		*p++ = hex[digest[i] & 15];
	}
	*p = '\0';
	return true;
}
