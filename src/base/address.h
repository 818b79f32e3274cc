/* SPDX-License-Identifier: PostgreSQL
 * Internet addresses as values: IPv4 ones as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2), none as ::.
 * And ranges of them. */
#ifndef PGHERALD_BASE_ADDRESS_H
#define PGHERALD_BASE_ADDRESS_H

#include "base/mem.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDRESS_TEXT_MAX 46 /* bytes, with the NUL */

struct address {
	uint8_t bytes[16];
};

struct address_range {
	struct address base;
	unsigned bits; /* that must be equal, of 128 */
};

/* None for anything but IPv4 and IPv6. */
struct address address_of(const struct sockaddr *sa) MUST_CHECK;
/* "192.0.2.1" or "2001:db8::1", nothing around it. */
bool address_parse(struct address *ret, const char *text, size_t len) MUST_CHECK;
void address_text(const struct address *a, char out[ADDRESS_TEXT_MAX]);
bool address_is_none(const struct address *a) MUST_CHECK;
bool address_is_loopback(const struct address *a) MUST_CHECK;
/* The addresses that one client has for himself: of IPv6 his network of 64 bits, which he can
 * number as he likes. */
struct address address_block(const struct address *a) MUST_CHECK;
/* An address, or one with the number of its leading bits that count: "10.0.0.0/8". False also when
 * the rest is not zero. */
bool address_range_parse(struct address_range *ret, const char *text) MUST_CHECK;
bool address_in_range(const struct address *a, const struct address_range *r) MUST_CHECK;

#endif
