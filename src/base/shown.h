/* SPDX-License-Identifier: PostgreSQL
 * Texts of others, for a terminal or a comment: what a reader would not see, or a terminal obey
 * (see utf8_unseen()), becomes a question mark, and so does what is no UTF-8;
 * a tab a space. */
#ifndef PGHERALD_BASE_SHOWN_H
#define PGHERALD_BASE_SHOWN_H

#include <stddef.h>
#include <stdio.h>

#include "base/buf.h"

/* One line of it, whatever line ends are in it. */
void shown_add(struct buf *out, const char *text);
void shown_print(FILE *to, const char *text, size_t len);
/* The same, where its lines are to stay lines. */
void shown_print_lines(FILE *to, const char *text);

#endif
