/* SPDX-License-Identifier: PostgreSQL
 * See fields.h. */
#include "config.h"
#include "init/fields.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "sql/ident.h"

enum { TEXT_MAX = 65536, FIELDS_MAX = 60, LINE = 88 };

bool fields_is_secret(const char *column)
{
	static const char *const parts[] = {
		"passw",   "passphr",	  "passcode",	"pwd",	     "secret",	 "token",
		"api_key", "apikey",	  "access_key", "accesskey", "ssh_key",	 "signing_key",
		"crypt",   "license_key", "credential", "private",   "recovery", "hash",
		"salt",	   "passport",	  "card_num",	"pin_code",  "signature"};
	autofree char *low = word_lower(column);
	char *rest = low, *word;

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (strstr(low, parts[i]))
			return true;
	if (!strcmp(low, "key"))
		return true;
	while ((word = strsep(&rest, "_ -")))
		if (word_in(word, "pin pass cvc cvv mfa psk otp totp iban ssn"))
			return true;
	return false;
}

static bool is_text(const struct column *c)
{
	return c && c->plain && word_in(c->type, "varchar text bpchar");
}

/* Who reads "foreman_id: 7" wants the name. */
static const char *label_of(const struct table *t)
{
	static const char *const names[] = {"username", "name",	  "full_name", "title",
					    "label",	"number", "code",      "slug"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (is_text(table_find(t, names[i])))
			return names[i];
	return NULL;
}

static void add_item(struct buf *out, size_t *line, const struct buf *item)
{
	if (out->len)
		buf_char(out, ',');
	if (out->len && out->len - *line + item->len > LINE) {
		buf_str(out, "\n\t");
		*line = out->len;
	} else if (out->len) {
		buf_char(out, ' ');
	}
	buf_str(out, buf_cstr(item));
}

/* customer_name=customer_id->public.auth_user.username */
static bool add_label(struct buf *item, const struct catalog *c, const struct table *t,
		      const struct column *col)
{
	const struct table *other = col->refers == NO_TABLE ? NULL : &c->tables[col->refers];
	const char *label = other ? label_of(other) : NULL;
	size_t len = strlen(col->name);
	autofree char *name = NULL;

	if (!label)
		return false;
	if (len > 3 && !strcmp(col->name + len - 3, "_id"))
		len -= 3;
	name = xasprintf("%.*s_name", (int)len, col->name);
	if (table_find(t, name) || strlen(name) > 63)
		return false;
	ident_add(item, name);
	buf_char(item, '=');
	ident_add(item, col->name);
	buf_str(item, "->");
	ident_add_table(item, other->schema, other->name);
	if (strcmp(col->refers_key, "id") != 0) {
		buf_char(item, '(');
		ident_add(item, col->refers_key);
		buf_char(item, ')');
	}
	buf_char(item, '.');
	ident_add(item, label);
	return true;
}

static bool is_key(const struct table *t, const char *column)
{
	for (size_t i = 0; i < t->n_key; i++)
		if (!strcmp(t->key[i], column))
			return true;
	return false;
}

/* What a person can read; long documents, files and what sounds secret stay out. */
static bool tellable(const struct table *t, const struct column *c)
{
	return c->plain && strlen(c->name) <= 63 &&
	       (is_key(t, c->name) || !fields_is_secret(c->name)) &&
	       word_in(c->type, "int2 int4 int8 numeric float4 float8 bool varchar text bpchar date"
				" time timestamp timestamptz uuid");
}

bool fields_show_key(const struct table *t)
{
	for (size_t i = 0; i < t->n_key; i++)
		if (!tellable(t, table_find(t, t->key[i])))
			return false;
	return t->n_key > 0;
}

char *fields_guess(const struct catalog *c, const struct table *t)
{
	struct buf out;
	size_t line = 0, n = 0;

	buf_init(&out, TEXT_MAX);
	for (size_t i = 0; i < t->n && n < FIELDS_MAX; i++) {
		const struct column *col = &t->columns[i];
		autobuf item = {0};

		if (!tellable(t, col))
			continue;
		buf_init(&item, TEXT_MAX);
		ident_add(&item, col->name);
		if (!strcmp(col->type, "timestamptz"))
			buf_str(&item, "::utc");
		add_item(&out, &line, &item);
		n++;
		buf_clear(&item);
		if (add_label(&item, c, t, col)) {
			add_item(&out, &line, &item);
			n++;
		}
	}
	return buf_steal(&out);
}
