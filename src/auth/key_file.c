/* SPDX-License-Identifier: PostgreSQL
 * See key_file.h. */
#include "config.h"
#include "auth/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

/* What is wrong with the file itself, NULL for nothing. */
static const char *trouble(int fd, const char **ret_open)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "not a regular file";
	*ret_open = st.st_mode & (S_IRWXO | S_IWGRP)
			    ? "everybody may read it, or others than its owner may write it: "
			      "chmod it to 0640 or 0600"
			    : NULL;
	return NULL;
}

bool key_file_read(const char *path, char *text, size_t size, size_t *ret_len,
		   const char **ret_open, struct buf *error)
{
	/* O_NONBLOCK: a FIFO must not hold us up before it is refused. */
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const char *why = trouble(fd, ret_open);
	size_t len = 0;
	ssize_t n = 0;
	char more;

	while (!why && len < size && (n = read(fd, text + len, size - len)) > 0)
		len += (size_t)n;
	if (!why && len == size)
		n = read(fd, &more, 1);
	if (!why && n < 0)
		why = strerror(errno);
	*ret_len = len;
	if (!why && !n)
		return true;
	if (why)
		buf_printf(error, "%s: %s", path, why);
	else
		buf_printf(error, "%s: longer than %zu bytes", path, size);
	return false;
}

bool key_file_is_readable(const char *path, struct buf *error)
{
	autoclose int fd = *path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	const char *open_to = NULL, *why = *path ? trouble(fd, &open_to) : NULL;

	if (why)
		buf_printf(error, "%s: %s", path, why);
	return !why;
}
