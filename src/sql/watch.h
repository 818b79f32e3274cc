/* SPDX-License-Identifier: PostgreSQL
 * The grammar of a [watch] section: which columns of a table go into an event, under which
 * names, through which joins, and who owns a row. Pure: text in, struct out. */
#ifndef PGHERALD_SQL_WATCH_H
#define PGHERALD_SQL_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct watch_field {
	char *name;				   /* key in the document */
	char *column;				   /* column of the watched table */
	char *join_schema, *join_table, *join_key; /* "column->schema.table.label": NULL without */
	char *join_label;
	enum { CAST_NONE, CAST_UTC, CAST_TEXT } cast; /* "::utc" ISO 8601 with Z, "::text" string */
};

/* A table on the way to an owner: of the rows whose `key` is what came before, `value` leads on. */
struct watch_hop {
	char *schema, *table, *key, *value;
};

struct watch_owner {
	char *column; /* of the watched table */
	/* "column<-schema.table.key.value": from our column by these tables, in this order, to the
	 * owners, the last one's `value`; none for a plain column */
	struct watch_hop *hops;
	size_t n_hops;
};

/* "project.{project_id}": the pieces are text, a column, text, a column, …, text. */
struct watch_channel {
	char **pieces;
	size_t n; /* odd */
};

struct watch {
	char *topic;
	char *schema, *table;
	char **key; /* primary key columns */
	size_t n_key;
	struct watch_owner *owners;
	size_t n_owners;
	struct watch_channel *channels;
	size_t n_channels;
	struct watch_field *fields;
	size_t n_fields;
	char **leave; /* names of the fields that a former owner still gets */
	size_t n_leave;
	/* What the section and [database] say besides, set by whoever parsed; not freed here. */
	enum watch_doorbell { DOORBELL_AUTO, DOORBELL_NOTIFY, DOORBELL_POLL } doorbell;
	bool notify; /* capture = notify: no journal */
	bool follow; /* the tables on the way to owners tell who gains and loses rows */
	const char *const *rescope; /* topics to fetch again when a row changes its owners */
	size_t n_rescope;
};

/* Parses the settings of one section (`key`, `owners`, `leave` may be NULL). NULL with `error` set
 * to what is wrong and where in the text. watch_free() releases. Names are as in the catalog, case
 * included; "quoted" ones may contain anything but control characters. */
struct watch *watch_parse(const char *topic, const char *table, const char *key, const char *owners,
			  const char *fields, const char *leave, struct buf *error);
void watch_free(struct watch *w);
/* The setting `channels`, of a watch that has been parsed: names of channels, separated by commas,
 * with {column} for what the row says. False with `error`. */
bool watch_parse_channels(struct watch *w, const char *text, struct buf *error) MUST_CHECK;
/* Whether some owners stand in other tables. */
bool watch_has_hops(const struct watch *w) MUST_CHECK;
/* Reads "schema.table" into two strings that the caller frees (they may be set on failure too);
 * `setting` is its name for the error text. */
bool watch_parse_table(const char *setting, const char *text, char **schema, char **table,
		       struct buf *error) MUST_CHECK;

#endif
