/* SPDX-License-Identifier: PostgreSQL
 * The files that a configuration is read from. See conf_load() in conf.h. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "conf/parser.h"

#define FILE_MAX  (1 << 20) /* bytes */
#define FILES_MAX 100	    /* in conf.d */

static const char main_name[] = "pgherald.conf";

static bool read_file(struct parser *p, const char *path)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	autofree char *text = xcalloc(FILE_MAX + 1, 1);
	size_t len = 0;
	ssize_t n = -1;

	while (fd >= 0 && len <= FILE_MAX && (n = read(fd, text + len, FILE_MAX + 1 - len)) > 0)
		len += (size_t)n;
	if (fd < 0 || n < 0) {
		buf_printf(p->error, "%s: %s", path, strerror(errno));
		return false;
	}
	if (len > FILE_MAX) {
		buf_printf(p->error, "%s: longer than %d bytes", path, FILE_MAX);
		return false;
	}
	return parser_read(p, path, text, len);
}

/* What the file given on the command line need not be, those that are read with it must: a pipe
 * would be waited for, at a reload too. */
static bool read_regular_file(struct parser *p, const char *path)
{
	struct stat s;

	if (stat(path, &s) || S_ISREG(s.st_mode) || S_ISDIR(s.st_mode))
		return read_file(p, path); /* which says what else is wrong */
	buf_printf(p->error, "%s: not a regular file", path);
	return false;
}

/* "10-shop.conf", but neither ".#10-shop.conf" nor "10-shop.conf.dpkg-old". */
static int is_conf(const struct dirent *d)
{
	size_t len = strlen(d->d_name);

	return *d->d_name != '.' && len > 5 && !strcmp(d->d_name + len - 5, ".conf");
}

/* conf.d beside a file of the usual name, NULL beside another, which may be one of several
 * daemons'. */
static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	if (strcmp(name, main_name) != 0)
		return NULL;
	return xasprintf("%.*sconf.d", (int)(name - path), path);
}

static void free_list(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

char **conf_files_after(const char *path, struct buf *error)
{
	autofree char *directory = directory_of(path);
	struct dirent **found = NULL;
	int n = directory ? scandir(directory, &found, is_conf, alphasort) : 0; /* no locale is set:
										   bytes */
	char **list;

	if (n < 0 && errno == ENOENT)
		n = 0;
	if (n < 0) {
		buf_printf(error, "%s: %s", directory, strerror(errno));
		return NULL;
	}
	list = xcalloc((size_t)n + 1, sizeof(*list));
	for (int i = 0; i < n; i++) {
		list[i] = xasprintf("%s/%s", directory, found[i]->d_name);
		free(found[i]);
	}
	free(found);
	if (n <= FILES_MAX)
		return list;
	buf_printf(error, "%s: more than %d files", directory, FILES_MAX);
	free_list(list);
	return NULL;
}

/* Beside the file that names it, or where the presets are. */
static char *find(const char *from, const char *name)
{
	const char *slash = strrchr(from, '/');
	char *path;

	if (*name == '/')
		return xstrdup(name);
	path = xasprintf("%.*s%s", slash ? (int)(slash + 1 - from) : 0, from, name);
	if (!access(path, F_OK))
		return path;
	free(path);
	return xasprintf("%s/%s", PKGDATADIR, name);
}

/* In p->file, at p->line. */
static bool include(struct parser *p, const char *name)
{
	const char *file = p->file;
	unsigned line = p->line;
	char *path;

	if (p->n_names == INCLUDES_MAX)
		return parser_fail(p, line, "more than %d files are included", INCLUDES_MAX);
	path = p->names[p->n_names++] = find(file, name);
	if (!access(path, R_OK))
		return read_regular_file(p, path);
	return parser_fail(p, line, "include: %s: %s", path, strerror(errno));
}

/* With `text` instead of what the file holds, unless that is NULL. */
static struct conf *load(const char *path, const char *text, size_t len, struct buf *error)
{
	struct parser *p = parser_new(path, error);
	char **after = NULL;
	struct conf *c;
	bool ok;

	p->include = include;
	ok = (text ? parser_read(p, path, text, len) : read_file(p, path)) &&
	     (after = conf_files_after(path, error)) != NULL;
	for (size_t i = 0; ok && after[i]; i++)
		ok = read_regular_file(p, after[i]);
	c = parser_end(p, ok);
	free_list(after);
	return c;
}

struct conf *conf_load(const char *path, struct buf *error)
{
	return load(path, NULL, 0, error);
}

struct conf *conf_load_with(const char *path, const char *text, size_t len, struct buf *error)
{
	return load(path, text, len, error);
}
