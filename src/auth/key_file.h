/* SPDX-License-Identifier: PostgreSQL
 * Files that hold secrets or keys. */
#ifndef PGHERALD_AUTH_KEY_FILE_H
#define PGHERALD_AUTH_KEY_FILE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/mem.h"

#define KEY_FILE_MAX 65536 /* bytes */

/* The whole of a regular file into `text`, which has room for `size` bytes and is the caller's to
 * wipe. `*ret_open` says what is wrong with a secret in it, since others may read or change the
 * file; NULL when it is safe there. False with the reason in `error`. */
bool key_file_read(const char *path, char *text, size_t size, size_t *ret_len,
		   const char **ret_open, struct buf *error) MUST_CHECK;
/* Whether there is a file that can be read, or none is wanted (""). False with the reason. */
bool key_file_is_readable(const char *path, struct buf *error) MUST_CHECK;

#endif
