/* SPDX-License-Identifier: PostgreSQL
 * A list of texts as PostgreSQL spells a text[]: {a,"b, c"}. One dimension, and what is NULL in it
 * is left out. */
#ifndef PGHERALD_WIRE_ARRAY_H
#define PGHERALD_WIRE_ARRAY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* How many texts; 0 for no list at all: NULL, or anything that is not spelled so. */
size_t array_count(const char *list);
/* Takes the list apart: each text with its NUL at `*at`, which moves on, and its place in `ret`.
 * array_count() is how many; strlen(list) bytes suffice. */
void array_split(const char *list, char **at, char **ret);
/* Whether the list has this text. */
bool array_has(const char *list, const char *text);
/* Appends `text` to a list that is being written: "" becomes {a, then {a,b; array_end() closes it,
 * were it empty. */
void array_add(struct buf *b, const char *text);
void array_end(struct buf *b);

#endif
