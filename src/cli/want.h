/* SPDX-License-Identifier: PostgreSQL
 * How the database should be, as the json that every query of sql/check/ takes. */
#ifndef PGHERALD_CLI_WANT_H
#define PGHERALD_CLI_WANT_H

#include "base/buf.h"
#include "conf.h"

/* `pid` is what the server, or a pooler, told us about the connection. False after saying on stderr
 * what is wrong with the configuration. */
bool want_json(struct buf *out, const struct conf *conf, int pid) MUST_CHECK;

#endif
