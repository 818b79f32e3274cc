/* SPDX-License-Identifier: PostgreSQL
 * Names and strings as SQL text, without a connection: names are quoted only where PostgreSQL
 * would misread them bare, so that the rendered text stays readable. */
#ifndef PGHERALD_SQL_IDENT_H
#define PGHERALD_SQL_IDENT_H

#include "base/buf.h"

/* id, "Order", "user" */
void ident_add(struct buf *out, const char *name);
/* Always with quotes: a key of a document, where "id" and id would be an odd mixture. */
void ident_add_quoted(struct buf *out, const char *name);
/* public.api_project */
void ident_add_table(struct buf *out, const char *schema, const char *table);
/* 'text', whatever standard_conforming_strings says */
void ident_add_literal(struct buf *out, const char *text);

#endif
