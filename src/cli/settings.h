/* SPDX-License-Identifier: PostgreSQL
 * A configuration on its way into service: whether it can be used, and what whoever runs it is told
 * of it. */
#ifndef PGHERALD_CLI_SETTINGS_H
#define PGHERALD_CLI_SETTINGS_H

#include <stdbool.h>

struct buf;
struct conf;

/* The configuration, or NULL and why not. `strict` false for a file that is only shown: its secrets
 * may be crossed out, or elsewhere, and nobody tries its [database] conninfo. */
struct conf *settings_load(const char *path, bool strict, struct buf *error);
/* The same, with the error on standard error. */
struct conf *settings_load_or_say(const char *path, bool strict);
/* Into the log: what comes from the environment, and what is open to everybody. */
void settings_tell(const struct conf *conf);

#endif
