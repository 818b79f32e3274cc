/* SPDX-License-Identifier: PostgreSQL
 * Reads JSON where it stands (RFC 8259): whether a text is JSON at all, and pieces of it. Nothing
 * is copied, converted or written anew, so what is passed on is what came, number by number. */
#ifndef PGHERALD_WIRE_SCAN_H
#define PGHERALD_WIRE_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define SCAN_DEPTH_MAX 512 /* levels; readers with a stack (Python's) end near 1000 */

/* A value as it stands in a text that scan_text() has taken. */
struct scan {
	const char *at;
	size_t len;
};

/* Whether the text is one value and nothing else, in UTF-8; `ret` is the value without the space
 * around it. */
bool scan_text(const char *text, size_t len, struct scan *ret) MUST_CHECK;
/* The value of an object's member of this name; of several the last, as JavaScript has it. False
 * when there is none, or no object. */
bool scan_member(struct scan object, const char *name, struct scan *ret) MUST_CHECK;
/* The elements of an array one after the other: `rest` is the array at first. False at the end, or
 * at once when it is no array. */
bool scan_next(struct scan *rest, struct scan *ret) MUST_CHECK;
/* Appends what a string says. False, and nothing appended, for anything else, and for a string
 * that no C string can hold in UTF-8: with a NUL or half a surrogate pair. */
bool scan_string(struct scan value, struct buf *out) MUST_CHECK;
/* Whether it is a number without fraction and exponent. */
bool scan_is_integer(struct scan value) MUST_CHECK;
bool scan_is_null(struct scan value) MUST_CHECK;

#endif
