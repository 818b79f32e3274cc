/* SPDX-License-Identifier: PostgreSQL
 * See base64url.h. */
#include "config.h"
#include "auth/base64url.h"

#include <stdint.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

bool base64url_decode(unsigned char *out, size_t *ret_n, const char *text, size_t len)
{
	uint32_t bits = 0;
	unsigned n_bits = 0;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		const char *digit = text[i] ? strchr(digits, text[i]) : NULL;

		if (!digit)
			return false;
		bits = bits << 6 | (uint32_t)(digit - digits);
		n_bits += 6;
		if (n_bits >= 8) {
			n_bits -= 8;
			out[n++] = (unsigned char)(bits >> n_bits);
		}
	}
	*ret_n = n;
	return len % 4 != 1 && !(bits & ((1U << n_bits) - 1));
}

void base64url_encode(char *out, const unsigned char *bytes, size_t len)
{
	uint32_t bits = 0;
	unsigned n_bits = 0;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | bytes[i];
		for (n_bits += 8; n_bits >= 6; n_bits -= 6)
			out[n++] = digits[bits >> (n_bits - 6) & 63];
	}
	if (n_bits)
		out[n++] = digits[bits << (6 - n_bits) & 63];
	out[n] = '\0';
}
