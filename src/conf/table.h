/* SPDX-License-Identifier: PostgreSQL
 * The table of sections and settings that everything about the configuration goes by. To add a
 * setting: a field in conf.h, a row in table.c, a paragraph in pgherald.conf(5). */
#ifndef PGHERALD_CONF_TABLE_H
#define PGHERALD_CONF_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "conf.h"

enum setting_type {
	TYPE_TEXT,
	TYPE_SECRET,
	TYPE_LIST,
	TYPE_COUNT,
	TYPE_SIZE,
	TYPE_DURATION,
	TYPE_YESNO,
	TYPE_CHOICE
};
enum setting_flag { RELOADABLE = 0, RESTART = 1, REQUIRED = 2 };

struct setting {
	const char *name;
	enum setting_type type;
	size_t offset;
	const char *def; /* as it would stand in the file; NULL = none */
	unsigned flags;
	const char *const *choices; /* of TYPE_CHOICE, in the order of the enum */
	uint64_t min, max;	    /* of numbers, in bytes, milliseconds or pieces; max 0 = none */
};

enum {
	SECTION_SERVER,
	SECTION_LOG,
	SECTION_DATABASE,
	SECTION_PUBLISH,
	SECTION_ROLE,
	SECTION_AUTH,
	SECTION_WATCH,
	SECTION_LISTEN,
	SECTION_ROUTE,
	N_SECTIONS
};

/* A kind of section. Named ones are arrays of structs whose first field is the name. */
struct section {
	const char *name;
	const struct setting *settings; /* up to one without a name */
	size_t size;	     /* of one struct; 0 = the section stands in struct conf itself */
	size_t array, count; /* where struct conf keeps the array */
};

extern const struct section section_table[N_SECTIONS];

/* The array of a named kind, as bytes. */
char **section_array(struct conf *c, const struct section *k);
size_t *section_count(struct conf *c, const struct section *k);
void *section_element(struct conf *c, const struct section *k, size_t i);
/* One more, with its name and the defaults. */
void *section_add(struct conf *c, const struct section *k, const char *name);

#endif
