/* SPDX-License-Identifier: PostgreSQL
 * UTF-8 (RFC 3629), one character at a time. */
#ifndef PGHERALD_BASE_UTF8_H
#define PGHERALD_BASE_UTF8_H

#include "base/mem.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at `s`, of which `left` may be looked at; 0 when it is none. */
size_t utf8_len(const char *s, size_t left) MUST_CHECK;
/* The code point of a character of utf8_len() bytes. */
uint32_t utf8_code(const char *s, size_t len) MUST_CHECK;
/* Whether a reader would not see it as what it is: controls, what turns the direction of the text
 * around it, line ends, invisible marks. */
bool utf8_unseen(uint32_t code) MUST_CHECK;

#endif
