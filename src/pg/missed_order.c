/* SPDX-License-Identifier: PostgreSQL
 * See missed.h: in which order, and with which names. Pure. */
#include "config.h"
#include "pg/missed.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "wire/json.h"
#include "wire/scan.h"
#include <uthash.h>

static int by_max_id(const void *a, const void *b)
{
	const struct missed_tx *x = a, *y = b;

	return x->max_id < y->max_id ? -1 : x->max_id > y->max_id;
}

static void swap(struct missed_tx *a, struct missed_tx *b)
{
	struct missed_tx t = *a;

	*a = *b;
	*b = t;
}

/* Brings it to the front; 1 when it is there. */
static size_t to_front(struct missed_tx *tx, size_t n, uint64_t txid)
{
	for (size_t i = 0; i < n; i++) {
		struct missed_tx t = tx[i];

		if (t.txid != txid)
			continue;
		memmove(tx + 1, tx, i * sizeof(*tx));
		tx[0] = t;
		return 1;
	}
	return 0;
}

/* Of two transactions that changed the same row the second waited for the end of the first: all of
 * the first one's rows have lower ids than that row of the second. So a transaction may go before
 * others when all of their rows have higher ids than its last one. What is behind the slice was
 * written after its last transaction had begun. Among more transactions than can be open at a time
 * one had ended by then: its rows come before all of those. Hence the last of the slice say from
 * which id on there may be others. */
size_t missed_cut(struct missed_tx *tx, size_t n, uint64_t from, uint64_t first, bool more,
		  size_t backends, uint64_t *ret_cut)
{
	size_t at = to_front(tx, n, first), n_ready = at, walked = at;
	uint64_t bound = UINT64_MAX;

	*ret_cut = UINT64_MAX;
	while (walked < n && tx[walked].txid < from)
		walked++;
	if (more) {
		if (n - walked <= backends + 1)
			return SIZE_MAX;
		*ret_cut = tx[n - backends - 1].txid;
		for (size_t i = n - backends - 1; i < n; i++)
			if (tx[i].min_id < bound)
				bound = tx[i].min_id;
	}
	for (size_t i = at; i < n; i++)
		if (tx[i].txid < *ret_cut && tx[i].max_id < bound)
			swap(&tx[n_ready++], &tx[i]);
	xsort(tx + at, n_ready - at, sizeof(*tx), by_max_id);
	return n_ready;
}

/* What is known at the end of a row, or of a topic. */
struct last {
	uint64_t hash, id;
	bool his;
	UT_hash_handle hh;
};

static struct last *note(struct last **all, uint64_t hash)
{
	struct last *l;

	HASH_FIND(hh, *all, &hash, sizeof(hash), l);
	if (!l) {
		l = xcalloc(1, sizeof(*l));
		l->hash = hash;
		HASH_ADD(hh, *all, hash, sizeof(hash), l);
	}
	return l;
}

static void forget(struct last **all)
{
	struct last *l, *tmp;

	HASH_ITER (hh, *all, l, tmp) {
		HASH_DEL(*all, l);
		free(l);
	}
}

void missed_mark(struct missed_row *rows, size_t n)
{
	struct last *keys = NULL, *topics = NULL;

	for (size_t i = 0; i < n; i++) {
		if (rows[i].kind == 'r') {
			note(&topics, rows[i].topic)->id = rows[i].id;
		} else if (rows[i].kind != 'a') {
			struct last *l = note(&keys, rows[i].key);

			l->id = rows[i].id;
			l->his = rows[i].kind == 'h';
		}
	}
	for (size_t i = 0; i < n; i++) {
		const struct last *l;

		if (rows[i].kind == 'r' || rows[i].kind == 'a')
			continue;
		l = note(&keys, rows[i].key);
		rows[i].nameless = !l->his || l->id < note(&topics, rows[i].topic)->id;
	}
	forget(&keys);
	forget(&topics);
}

static const struct conf_watch *find_watch(const struct conf *conf, const char *topic)
{
	for (size_t i = 0; i < conf->n_watches; i++)
		if (!strcmp(conf->watches[i].name, topic))
			return &conf->watches[i];
	return NULL;
}

void missed_strip(const struct conf *conf, const char *topic, const char *doc, struct buf *out)
{
	const struct conf_watch *watch = find_watch(conf, topic);
	struct scan object, value;
	size_t n = 0;

	if (!doc)
		return;
	buf_char(out, '{');
	if (watch && scan_text(doc, strlen(doc), &object))
		for (size_t i = 0; i < watch->parsed->n_fields; i++) {
			const struct watch_field *f = &watch->parsed->fields[i];

			if (!scan_member(object, f->name, &value))
				continue; /* of `leave` only some */
			buf_str(out, n++ ? "," : "");
			json_string(out, f->name, strlen(f->name));
			buf_char(out, ':');
			if (f->join_table)
				buf_str(out, "null");
			else
				buf_add(out, value.at, value.len);
		}
	buf_char(out, '}');
}
