/* SPDX-License-Identifier: PostgreSQL
 * See render.h: the table of tickets. */
#include "config.h"
#include "sql/render.h"

#include "sql/ident.h"
#include "sql/template.h"
#include "sql/text.h"

void render_ticket(struct buf *out, const char *login)
{
	autobuf begin = {0}, stamp = {.max = RENDER_MAX}, role = {.max = RENDER_MAX};
	struct slot slots[5];

	render_begin(&begin);
	render_stamp(&stamp, "'tickets_keep', 'tickets_take'");
	ident_add(&role, login);
	slots[0] = (struct slot){"begin", buf_cstr(&begin)};
	slots[1] = (struct slot){"stamp", buf_cstr(&stamp)};
	slots[2] = (struct slot){"login", buf_cstr(&role)};
	slots[3] = (struct slot){"version", PACKAGE_VERSION};
	slots[4] = (struct slot){NULL, NULL};
	template_fill(out, sql_auth_ticket, slots);
}
