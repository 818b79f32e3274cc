/* SPDX-License-Identifier: PostgreSQL
 * How the database should be, as the json that every query of sql/check/ takes. */
#ifndef PGHERALD_DBA_EXPECTED_H
#define PGHERALD_DBA_EXPECTED_H

#include "base/buf.h"
#include "conf.h"

/* `pid` is what the server, or a pooler, told us about the connection. False after saying on stderr
 * what is wrong with the configuration. */
bool expected_json(struct buf *out, const struct conf *conf, int pid) MUST_CHECK;

#endif
