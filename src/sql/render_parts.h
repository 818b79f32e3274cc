/* SPDX-License-Identifier: PostgreSQL
 * Within render: the pieces of SQL of one watched table, each by the name that the templates know.
 * In the journal's quick way "past" and "this" are rows of the transition tables, in its careful
 * way their columns stand bare; in tell it.one and it.was are what the journal has of a row, and of
 * the row before. on_inline has rows as jsonb objects: was, now and one, whichever there is. */
#ifndef PGHERALD_SQL_RENDER_PARTS_H
#define PGHERALD_SQL_RENDER_PARTS_H

#include "base/buf.h"
#include "sql/render_row.h"
#include "sql/watch.h"

enum part {
	/* the table */
	PART_TABLE,
	PART_TABLE_LITERAL,
	PART_SCHEMA_LITERAL,
	PART_NAME_LITERAL,
	PART_TABLE_COMMENT,
	PART_COLUMNS,
	PART_KEY_ARRAY,
	PART_TEXT_COLUMNS,
	PART_UTC_COLUMNS,
	PART_GRANTS,
	/* what its trigger records */
	PART_THIS_KEY,
	PART_THIS_OWN,
	PART_THIS_STAYS,
	PART_THIS_DIFFERS,
	PART_THIS_DATA,
	PART_THIS_DATA_GONE,
	PART_PLACE,
	PART_EACH,
	PART_CROSS_OLD,
	PART_CROSS_NEW,
	PART_CROSS_GONE,
	PART_LOOK_NEW,
	PART_LOOK_OLD,
	PART_LOOK_GONE,
	PART_MOVED,
	PART_DECLARE_SNAP,
	PART_VIGIL,
	PART_VIGIL_GONE,
	PART_PAST,
	PART_SNAP,
	PART_RESCOPE,
	PART_RESCOPE_ALL,
	PART_OR_NEW_MOVED,
	PART_NEW_MOVED,
	PART_OR_OLD_MOVED,
	PART_OLD_MOVED,
	PART_AND_MOVED,
	PART_I, /* as what rows are recorded */
	PART_U,
	PART_D,
	/* what clients are told */
	PART_MARK,
	PART_WRITTEN,
	PART_TOLD_OP,
	PART_SETTLED_OP,
	PART_DOC,
	PART_LEAVE,
	PART_TOLD_OWNERS,
	PART_TOLD_OLD,
	PART_TOLD_NEW,
	PART_THIS_OWNERS,
	PART_THIS_IS,
	PART_TOLD_BEFORE,
	PART_TOLD_AFTER,
	PART_NOW_NODE,
	PART_LOOKED_UP,
	PART_ALONE,
	PART_OFTEN,
	PART_ONCE,
	PART_AT_ONCE,
	PART_HEARD,
	PART_STEPPED,
	PART_NEXT,
	PART_NEXT_OWN,
	PART_OPENED,
	PART_ROUND,
	PART_GONE,
	PART_BESIDE,
	PART_LOST_AND_WON,
	PART_OF_WAY,
	PART_WAY_MARK,
	/* the same without a journal */
	PART_CROSS,
	PART_PK,
	PART_SAME_KEY,
	PART_DIFFERS,
	PART_ASKED,
	/* what stands in other tables */
	PART_NAMES_OF_KEYS,
	PART_OWNERS_OF_KEYS,
	PART_N_WAYS,
	PART_STAMP,
	PART_STAMP_TELLER,
	PART_FUNCTIONS,
	N_PARTS,
};

/* Each fills its own; `c` are all columns of the watched table that are read. */
void record_parts(struct buf *parts, const struct watch *w, const struct columns *c);
void tell_parts(struct buf *parts, const struct watch *w, const struct columns *c);
void inline_parts(struct buf *parts, const struct watch *w, const struct columns *c);

/* All owners of a row, for who reads tables of the application; and for who asks pgherald_teller:
 * "pgherald.owners_TOPIC(ARRAY[...])" with the columns that lead there. The same of the names. */
void render_all_owners(struct buf *out, const struct watch *w, const struct row *row);
void render_asked_owners(struct buf *out, const struct watch *w, const struct row *row);
void render_asked_names(struct buf *out, const struct watch *w, const struct row *row);
/* What of a row says whose it is, as text: as long as that stays the way to its owners does. */
void render_node(struct buf *out, const struct watch *w, const struct row *row);
/* What the trigger functions share: rows as objects of the watched columns; topics to fetch again.
 */
void render_cross_object(struct buf *out, const struct columns *c);
void rescope_parts(struct buf *parts, const struct watch *w);

#endif
