/* SPDX-License-Identifier: PostgreSQL
 * What of a [listen] section only librdkafka can tell. */
#ifndef PGHERALD_SOURCE_KAFKA_H
#define PGHERALD_SOURCE_KAFKA_H

#include <stdbool.h>
#include <stddef.h>

#include "conf.h"

/* Whether its settings, and the properties in its file, can be used. False with `why`. */
bool kafka_valid(const struct conf_listen *l, char *why, size_t room) MUST_CHECK;

#endif
