/* SPDX-License-Identifier: PostgreSQL
 * What the parser knows while it reads a file, for itself and for the checks of the whole. */
#ifndef PGHERALD_CONF_PARSER_H
#define PGHERALD_CONF_PARSER_H

#include <stdbool.h>

#include "base/buf.h"
#include "conf/table.h"

#define INCLUDES_MAX 32
#define SETTINGS_MAX 48 /* of one section */

struct parser {
	struct conf *conf;
	struct buf *error;
	const char *file;	    /* being read, or whose section is looked at */
	unsigned line, main_line;   /* the last of the first file */
	const struct section *kind; /* NULL before the first section */
	void *base;
	const struct setting *setting; /* of the value being read */
	unsigned setting_line;
	struct buf value;
	/* The line of each setting of the singletons, against doubles within a file. */
	unsigned seen[N_SECTIONS][SETTINGS_MAX];
	unsigned *seen_here;
	unsigned named_seen[SETTINGS_MAX];
	unsigned lines[N_SECTIONS][NAMED_MAX]; /* where each named section begins */
	const char *files[N_SECTIONS][NAMED_MAX];
	bool included[N_SECTIONS][NAMED_MAX]; /* those of a file that was included … */
	bool reopened; /* … which the one that includes it may go on with */
	/* Reads a file that one names; NULL where there are no files. */
	bool (*include)(struct parser *p, const char *name);
	bool within; /* an included file is being read */
	char *names[INCLUDES_MAX];
	size_t n_names;
};

/* For a configuration whose first file is `path`. */
struct parser *parser_new(const char *path, struct buf *error);
/* One file after the other; what `file` points to outlives the parser. False with the error. */
bool parser_read(struct parser *p, const char *file, const char *text, size_t len) MUST_CHECK;
/* Checks the whole, unless `ok` is false. What it makes is the caller's; NULL with the error. */
struct conf *parser_end(struct parser *p, bool ok);

/* Puts "file:line: what", of the file at hand, into the parser's error; returns false. */
bool parser_fail(struct parser *p, unsigned line, const char *fmt, ...) PRINTF(3, 4);
/* check.c: fills in what follows from the rest, and says what one line alone cannot tell. */
bool check_conf(struct parser *p) MUST_CHECK;

/* environment.c: what variables set of the routes that name their family. False with the error. */
bool environment_apply(struct parser *p) MUST_CHECK;

/* Between the files of check: a section, and what a route says about doors. */
bool check_auth(struct parser *p, struct conf_auth *a, unsigned line) MUST_CHECK;
bool check_doors(struct parser *p, struct conf_route *r, unsigned line) MUST_CHECK;
/* When all routes have their doors. */
bool check_opens(struct parser *p, const struct conf_route *r, unsigned line) MUST_CHECK;
bool check_listen(struct parser *p, struct conf_listen *l, unsigned line) MUST_CHECK;
bool check_path(struct parser *p, struct conf_route *r, unsigned line) MUST_CHECK;
bool check_audience(struct parser *p, struct conf_route *r, unsigned line) MUST_CHECK;
bool check_forms(struct parser *p, struct conf_route *r, unsigned line) MUST_CHECK;

#endif
