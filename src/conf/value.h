/* SPDX-License-Identifier: PostgreSQL
 * A setting's value, between text and the struct it lies in. */
#ifndef PGHERALD_CONF_VALUE_H
#define PGHERALD_CONF_VALUE_H

#include <stdbool.h>

#include "base/buf.h"
#include "conf/table.h"

#define VALUE_CROSSED_OUT "…" /* instead of a secret */

#define VALUE_MAX (1 << 16) /* bytes of one in the file */

/* Where `offset` is in the struct at `base`. */
void *value_at(void *base, size_t offset);
const void *value_at_const(const void *base, size_t offset);
/* Puts a value where it belongs; false with what is wrong with it in `error`. */
bool value_set(const struct setting *s, void *base, const char *value,
	       struct buf *error) MUST_CHECK;
/* All settings of a section. */
void value_defaults(const struct setting *s, void *base);
void value_free(const struct setting *s, void *base);
/* As it would stand in the file; a secret as "…". */
void value_print(const struct setting *s, const void *base, struct buf *out);

#endif
