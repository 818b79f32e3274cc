/* SPDX-License-Identifier: PostgreSQL
 * See fetch.h: what comes back. */
#include "config.h"
#include "pg/fetch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/num.h"
#include "wire/array.h"
#include "wire/dialect.h"

/* Errors that would meet every page: connections, transactions, logins, names, rights, locks on the
 * journal itself, shutdowns. What is left is a page's own. */
#define NOBODYS_FAULT "08 0A 25 26 28 3D 3F 42 55 57P F0"

/* A bigint; 0 for what is none. */
static uint64_t number(const PGresult *r, int row, int col)
{
	const char *s = PQgetvalue(r, row, col);
	uint64_t n = 0;

	if (PQgetisnull(r, row, col) || !num_u64(s, strlen(s), &n) || n > INT64_MAX)
		return 0;
	return n;
}

static const char *text(const PGresult *r, int row, int col)
{
	return PQgetisnull(r, row, col) ? NULL : PQgetvalue(r, row, col);
}

static bool readable(const PGresult *r)
{
	return PQresultStatus(r) == PGRES_TUPLES_OK && PQnfields(r) == FETCH_N_COLUMNS;
}

/* "12 13 14" to a list; the number of entries. */
static size_t number_list(const char *s, uint64_t **ret)
{
	size_t n = 0, cap = 0;
	uint64_t *list = NULL;

	while (s && *s) {
		size_t len = strcspn(s, " ");

		if (n == cap)
			list = xrealloc(list, cap = cap ? cap * 2 : 8, sizeof(*list));
		if (!num_u64(s, len, &list[n++]))
			list[n - 1] = 0;
		s += len + (s[len] == ' ');
	}
	*ret = list;
	return n;
}

void fetch_plan_add(struct fetch_plan *p, uint64_t txid, uint64_t rows, uint64_t stored)
{
	if (p->n == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 8;
		p->order = xrealloc(p->order, p->cap, sizeof(*p->order));
		p->rows = xrealloc(p->rows, p->cap, sizeof(*p->rows));
		p->stored = xrealloc(p->stored, p->cap, sizeof(*p->stored));
	}
	p->order[p->n] = txid;
	p->rows[p->n] = rows;
	p->stored[p->n++] = stored;
}

static bool is_txid(uint64_t n)
{
	return n && n < INT64_MAX;
}

static bool valid_epoch(const char *s)
{
	return s && strlen(s) == CURSOR_EPOCH_LEN &&
	       strspn(s, "0123456789abcdefghijklmnopqrstuvwxyz") == CURSOR_EPOCH_LEN;
}

static bool read_header(struct fetch_plan *p, const PGresult *r, const char **why)
{
	const char *epoch = text(r, 0, FETCH_TOPIC), *now = text(r, 0, FETCH_DOC);
	const char *revoked = text(r, 0, FETCH_LEAVE);

	if (!valid_epoch(epoch) || !now || !snapshot_parse(&p->now, now) || !is_txid(p->now.xmax)) {
		*why = "schema pgherald is not as this version expects: no epoch or snapshot";
		return false;
	}
	memcpy(p->epoch, epoch, CURSOR_EPOCH_LEN);
	p->xmin = p->now.n_xip ? p->now.xip[0] : p->now.xmax;
	p->xmax = p->now.xmax;
	p->loss = number(r, 0, FETCH_TXID);
	p->floor = number(r, 0, FETCH_ID);
	p->page = (size_t)number(r, 0, FETCH_AT);
	p->revoked = revoked ? xstrdup(revoked) : NULL;
	p->n = p->cap = number_list(text(r, 0, FETCH_BEFORE), &p->order);
	if (number_list(text(r, 0, FETCH_AFTER), &p->rows) != p->n ||
	    number_list(text(r, 0, FETCH_OP), &p->stored) != p->n || p->page > p->n) {
		*why = "the journal's plan makes no sense";
		return false;
	}
	for (size_t i = 0; i < p->n; i++)
		if (!is_txid(p->order[i])) {
			*why = "the journal's plan names no transaction";
			return false;
		}
	return true;
}

static bool is_late(const PGresult *r, int row)
{
	return number(r, row, FETCH_PLACE) == FETCH_LATE_PLACE;
}

/* The late ones stand at the end of the result; in the order of delivery they stand behind all
 * others, where the cursors count them as not delivered. */
static bool read_late(struct fetch_plan *p, const PGresult *r)
{
	size_t n = p->n;

	for (int i = 1; i < PQntuples(r); i++) {
		const char *topics = text(r, i, FETCH_BEFORE);
		struct fetch_late *late;

		if (!is_late(r, i))
			continue;
		p->late = xrealloc(p->late, p->n_late + 1, sizeof(*p->late));
		late = &p->late[p->n_late++];
		*late = (struct fetch_late){.txid = number(r, i, FETCH_TXID),
					    .before = (size_t)number(r, i, FETCH_AT),
					    .rows = number(r, i, FETCH_LEAVE),
					    .stored = number(r, i, FETCH_AFTER),
					    .topics = xstrdup(topics ? topics : "{}")};
		if (late->before > n || !is_txid(late->txid))
			return false;
		fetch_plan_add(p, late->txid, late->rows, late->stored);
	}
	p->n = n;
	return true;
}

enum fetch_verdict fetch_read_plan(struct fetch_plan *p, const PGresult *r,
				   const struct fetch_from *from, const char **why)
{
	*p = (struct fetch_plan){.half_txid = from->txid, .half_id = from->id};
	if (PQresultStatus(r) != PGRES_TUPLES_OK) {
		*why = conn_error(r);
		return conn_error_is(r, NOBODYS_FAULT) ? FETCH_FAILED : FETCH_AGAIN;
	}
	if (!readable(r) || PQntuples(r) < 1 || number(r, 0, FETCH_PLACE) != 0) {
		*why = "schema pgherald is not as this version expects: pgherald.meta has no row";
		return FETCH_FAILED;
	}
	if (!read_header(p, r, why)) {
		fetch_plan_free(p);
		return FETCH_FAILED;
	}
	if (!read_late(p, r)) {
		fetch_plan_free(p);
		*why = "the journal's plan makes no sense";
		return FETCH_FAILED;
	}
	return FETCH_ROWS;
}

/* The snapshot without what a crash could take back. */
static void cap(struct snapshot *s, uint64_t xmax)
{
	if (s->xmax <= xmax)
		return;
	s->xmax = xmax;
	while (s->n_xip && s->xip[s->n_xip - 1] >= xmax)
		s->n_xip--;
}

void fetch_begin(struct fetch_plan *p, const struct cursor *base, const struct fetch_from *from,
		 const struct fetch_apart *apart)
{
	uint64_t certain = from->xmax;

	for (size_t i = 0; i < p->n + p->n_late; i++)
		if (p->order[i] >= certain)
			certain = p->order[i] + 1;
	for (size_t i = 0; i < from->n_in; i++)
		if (from->in[i] >= certain)
			certain = from->in[i] + 1;
	cap(&p->now, certain);
	for (size_t i = 0; i < apart->n_known; i++)
		snapshot_add(&p->now, apart->known[i]);
	cursor_batch_begin(&p->batch, base, &p->now, p->order, p->n + p->n_late, from->in,
			   from->n_in);
}

static bool listed(const uint64_t *list, size_t n, uint64_t txid)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == txid)
			return true;
	return false;
}

void fetch_begin_late(struct fetch_plan *p, const struct cursor *base, const struct snapshot *seen)
{
	cursor_batch_end(&p->batch);
	snapshot_free(&p->now);
	p->now = (struct snapshot){.xmax = seen->xmax, .n_xip = seen->n_xip};
	p->now.xip = xcalloc(seen->n_xip, sizeof(*p->now.xip));
	if (seen->n_xip)
		memcpy(p->now.xip, seen->xip, seen->n_xip * sizeof(*p->now.xip));
	for (size_t i = 0; i < p->page; i++)
		snapshot_remove(&p->now, p->order[p->done + i]);
	p->first = p->done;
	cursor_batch_begin(&p->batch, base, &p->now, p->order + p->done, p->page, NULL, 0);
}

bool fetch_pruned(const struct fetch_plan *p, const struct fetch_from *from)
{
	if (from->xmax <= p->floor || (from->txid && from->txid <= p->floor))
		return true;
	/* A transaction that still runs has nothing that could have been pruned. */
	for (size_t i = 0; i < from->n_out; i++)
		if (from->out[i] <= p->floor && !listed(p->now.xip, p->now.n_xip, from->out[i]))
			return true;
	return false;
}

/* Whether a row of this topic, in the transaction of that place, must wait for a late one. */
static bool must_wait(const struct fetch_plan *p, size_t place, const char *topic)
{
	for (size_t i = 0; i < p->n_late && p->late[i].before <= place; i++)
		if (array_has(p->late[i].topics, topic))
			return true;
	return false;
}

enum told { TOLD_WHOLE, TOLD_CUT, TOLD_GONE };

/* The rows of the transaction of that place, which begin at `row`: where the next one begins, and
 * whether all of them are there. */
static enum told look_at(struct fetch_plan *p, const PGresult *r, int row, size_t place, int *ret)
{
	uint64_t rows = 0;
	bool whole = true;

	for (; row < PQntuples(r) && number(r, row, FETCH_TXID) == p->order[place] &&
	       !is_late(r, row);
	     row++) {
		const char *op = text(r, row, FETCH_OP), *topic = text(r, row, FETCH_TOPIC);

		whole &= op && topic;
		if (op && topic && must_wait(p, place, topic)) {
			p->cut = true;
			whole = false;
		}
		rows += p->bare ? number(r, row, FETCH_BEFORE) : 1;
	}
	*ret = row;
	if (p->bare && p->ids) /* of all rows, not only of these */
		return rows < p->rows[place] ? TOLD_GONE : TOLD_WHOLE;
	return rows != p->rows[place] ? TOLD_GONE : whole ? TOLD_WHOLE : TOLD_CUT;
}

#define TYPE_MAX 128 /* bytes, as in pgherald.publish() */

/* A message's type out of its JSON string; false when it is none that may be published. */
static bool read_type(const char *json, char out[TYPE_MAX + 1])
{
	static const char bytes[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-";
	size_t len = json && *json == '"' ? strspn(json + 1, bytes) : 0;

	if (!len || len > TYPE_MAX || strcmp(json + 1 + len, "\"") != 0)
		return false;
	memcpy(out, json + 1, len);
	out[len] = '\0';
	return !dialect_reserves(out);
}

struct event *fetch_message(const struct event_row *row)
{
	struct event_row message = *row;
	char type[TYPE_MAX + 1];

	message.keyed = true;
	message.topic = message.leave = NULL;
	message.type = type;
	if (!read_type(row->leave, type))
		message.op = 'x';
	return event_new(&message);
}

/* An op in capitals is one of a row that is for keys. */
static const char keyed_ops[] = "IUD", plain_ops[] = "iud";

/* The n-th row of its transaction. */
static struct event *read_row(const struct fetch_plan *p, const PGresult *r, int i, size_t n,
			      const char *cursor)
{
	const char *op = text(r, i, FETCH_OP), *topic = text(r, i, FETCH_TOPIC);
	const char *keyed = op && *op ? strchr(keyed_ops, *op) : NULL;
	const struct event_row row = {
		.op = keyed ? plain_ops[keyed - keyed_ops]
		      : op  ? *op
			    : '?',
		.keyed = keyed != NULL,
		.txid = number(r, i, FETCH_TXID),
		.id = number(r, i, FETCH_ID),
		.at = (int64_t)number(r, i, FETCH_AT),
		.topic = topic ? topic : "",
		.doc = text(r, i, FETCH_DOC),
		.leave = text(r, i, FETCH_LEAVE),
		.before = p->bare ? NULL : text(r, i, FETCH_BEFORE), /* of rights: everybody's */
		.after = text(r, i, FETCH_AFTER),
		.cursor = cursor,
	};

	if (row.op == 'm')
		return fetch_message(&row);
	return p->make && !p->bare ? p->make(p->arg, p->ids_done + n, &row) : event_new(&row);
}

struct event *fetch_event(const PGresult *r, int row)
{
	static const struct fetch_plan nothing_else;

	return read_row(&nothing_else, r, row, 0, NULL);
}

/* Whether a row becomes an event: whose rights have changed was maybe said with the plan. */
static bool is_told(const struct fetch_plan *p, const PGresult *r, int row)
{
	return p->with_rights || *PQgetvalue(r, row, FETCH_OP) != 'a';
}

/* The events of the transaction whose rows are from `row` to before `end`. The last of them has the
 * position behind it; of one that says "fetch again" the others have the one before. */
static size_t read_transaction(struct fetch_plan *p, const PGresult *r, int row, int end,
			       struct event **events)
{
	size_t n = 0, before = p->done - p->first;
	int last = end - 1;

	while (last >= row && !is_told(p, r, last))
		last--;
	for (; row <= last; row++) {
		struct cursor_text cursor;

		if (!is_told(p, r, row))
			continue;
		if (row == last)
			cursor_batch_at(&p->batch, before + 1, 0, &cursor);
		else
			cursor_batch_at(&p->batch, before, p->bare ? 0 : number(r, row, FETCH_ID),
					&cursor);
		events[n] = read_row(p, r, row, n, cursor.text);
		n++;
	}
	p->ids_done += (size_t)p->rows[p->done];
	p->done++;
	return n;
}

static enum fetch_verdict page_failed(struct fetch_plan *p, const PGresult *r)
{
	static const char limits[] = "53 54 57014"; /* resources, sizes, the time */

	if (p->bare || PQresultStatus(r) == PGRES_TUPLES_OK || conn_error_is(r, NOBODYS_FAULT))
		return FETCH_FAILED;
	if (p->page > 1) {
		p->max_page = p->page / 2;
		return FETCH_AGAIN;
	}
	return conn_error_is(r, limits) ? FETCH_TOO_MUCH : FETCH_BAD;
}

enum fetch_verdict fetch_read_page(struct fetch_plan *p, const PGresult *r, bool header,
				   struct event ***ret, size_t *ret_n)
{
	int row = header ? 1 : 0, end;
	size_t start = p->done, n = 0;
	struct event **events;

	if (!readable(r))
		return page_failed(p, r);
	events = xcalloc((size_t)PQntuples(r), sizeof(struct event *));
	for (size_t i = 0; i < p->page; i++, row = end) {
		enum told told = look_at(p, r, row, p->done, &end);

		if (told == TOLD_GONE) {
			while (n)
				event_unref(events[--n]);
			free(events);
			return FETCH_GONE;
		}
		if (told == TOLD_CUT)
			break;
		n += read_transaction(p, r, row, end, events + n);
	}
	if (p->page && p->done == start && !p->cut) {
		free(events);
		return FETCH_TOO_MUCH;
	}
	if (p->bare && p->max_page)
		p->bare = NULL;
	/* No more than fits next time, then again a few more: what is cut off is made in vain. */
	if (p->done - start < p->page)
		p->max_page = p->done - start;
	else if (p->max_page)
		p->max_page += p->max_page / 4 + 1;
	*ret = events;
	*ret_n = n;
	return FETCH_ROWS;
}

void fetch_tell_bare(struct fetch_plan *p, const char *reason)
{
	p->bare = reason;
	p->max_page = 1;
}

const char *fetch_slow_topic(const PGresult *r)
{
	return conn_error_is(r, "57014") ? PQresultErrorField(r, PG_DIAG_TABLE_NAME) : NULL;
}

void fetch_plan_free(struct fetch_plan *p)
{
	cursor_batch_end(&p->batch);
	snapshot_free(&p->now);
	free(p->order);
	free(p->rows);
	free(p->stored);
	free(p->revoked);
	for (size_t i = 0; i < p->n_late; i++)
		free(p->late[i].topics);
	free(p->late);
	*p = (struct fetch_plan){0};
}
