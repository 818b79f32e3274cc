/* SPDX-License-Identifier: PostgreSQL
 * What the name of a channel is made of. The database has the same in pgherald.channel_key()
 * (sql/core.sql). */
#ifndef PGHERALD_WIRE_CHANNEL_H
#define PGHERALD_WIRE_CHANNEL_H

#define CHANNEL_MAX   128 /* bytes */
#define CHANNEL_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:@-"

#endif
