/* SPDX-License-Identifier: PostgreSQL
 * See address.h. */
#include "config.h"
#include "base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/num.h"

#define V4_BITS 96 /* of the prefix ::ffff:0:0 */

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool is_v4(const struct address *a)
{
	return !memcmp(a->bytes, v4_prefix, sizeof(v4_prefix));
}

static struct address of_v4(const void *in_addr)
{
	struct address a;

	memcpy(a.bytes, v4_prefix, sizeof(v4_prefix));
	memcpy(a.bytes + sizeof(v4_prefix), in_addr, 4);
	return a;
}

struct address address_of(const struct sockaddr *sa)
{
	struct address a = {{0}};

	if (sa->sa_family == AF_INET)
		return of_v4(&((const struct sockaddr_in *)(const void *)sa)->sin_addr);
	if (sa->sa_family == AF_INET6)
		memcpy(a.bytes, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
	return a;
}

bool address_parse(struct address *ret, const char *text, size_t len)
{
	char copy[ADDRESS_TEXT_MAX];
	struct in_addr v4;
	struct address a;

	if (!len || len >= sizeof(copy) || memchr(text, '\0', len))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (inet_pton(AF_INET, copy, &v4) == 1)
		a = of_v4(&v4);
	else if (inet_pton(AF_INET6, copy, a.bytes) != 1 || address_is_none(&a))
		return false;
	*ret = a;
	return true;
}

void address_text(const struct address *a, char out[ADDRESS_TEXT_MAX])
{
	if (is_v4(a))
		inet_ntop(AF_INET, a->bytes + sizeof(v4_prefix), out, ADDRESS_TEXT_MAX);
	else
		inet_ntop(AF_INET6, a->bytes, out, ADDRESS_TEXT_MAX);
}

bool address_is_none(const struct address *a)
{
	static const struct address none;

	return !memcmp(a, &none, sizeof(none));
}

bool address_is_loopback(const struct address *a)
{
	static const struct address one = {{[15] = 1}};

	return is_v4(a) ? a->bytes[12] == 127 : !memcmp(a, &one, sizeof(one));
}

struct address address_block(const struct address *a)
{
	struct address block = *a;

	if (!is_v4(a))
		memset(block.bytes + 8, 0, 8);
	return block;
}

static bool rest_is_zero(const struct address_range *r)
{
	for (unsigned bit = r->bits; bit < 128; bit++)
		if (r->base.bytes[bit / 8] & 0x80 >> bit % 8)
			return false;
	return true;
}

bool address_range_parse(struct address_range *ret, const char *text)
{
	size_t len = strcspn(text, "/");
	struct address_range r = {.bits = 128};
	uint64_t bits;

	if (!address_parse(&r.base, text, len)) {
		if (len != 2 || memcmp(text, "::", 2) != 0 || !text[len])
			return false; /* "::/0" is a range, though :: is no address */
	}
	if (text[len]) {
		bool v4 = !memchr(text, ':', len);

		if (!num_u64(text + len + 1, strlen(text + len + 1), &bits) ||
		    bits > (v4 ? 32 : 128))
			return false;
		r.bits = (unsigned)bits + (v4 ? V4_BITS : 0);
	}
	if (!rest_is_zero(&r))
		return false;
	*ret = r;
	return true;
}

bool address_in_range(const struct address *a, const struct address_range *r)
{
	unsigned whole = r->bits / 8, left = r->bits % 8;

	return !memcmp(a->bytes, r->base.bytes, whole) &&
	       (!left || !((a->bytes[whole] ^ r->base.bytes[whole]) & (0xff00 >> left & 0xff)));
}
