/* SPDX-License-Identifier: PostgreSQL
 * What a client says it can take, and what it would rather speak (RFC 9110 sections 12.5.1
 * and 7.8). */
#ifndef PGHERALD_WIRE_NEGOTIATE_H
#define PGHERALD_WIRE_NEGOTIATE_H

#include <stdbool.h>

#include "base/mem.h"

/* Whether an Accept header's value (several of them joined with commas) allows "type/subtype". The
 * most specific range decides; nothing but blanks allows everything. */
bool negotiate_accepts(const char *accept, const char *type) MUST_CHECK;
/* Whether it names that very type, and not only a range with it. */
bool negotiate_names(const char *accept, const char *type) MUST_CHECK;
/* Whether a comma-separated list has this item, in any case of its letters. */
bool negotiate_lists(const char *list, const char *item) MUST_CHECK;
/* Whether an Upgrade header's value asks for a protocol that a client does not only offer: for
 * anything but HTTP and TLS, which clients name by themselves and do well without. */
bool negotiate_upgrades(const char *upgrade) MUST_CHECK;

#endif
