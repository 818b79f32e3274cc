/* SPDX-License-Identifier: PostgreSQL
 * See django.h. */
#include "config.h"
#include "init/django.h"

#include <string.h>

#include "base/mem.h"

bool django_owns(const char *table)
{
	/* Django itself, and the packages that keep tables of their own in most projects. */
	static const char *const prefixes[] = {
		"account_",
		"auth_",
		"authtoken_",
		"axes_",
		"celery_",
		"constance_",
		"db_cache",
		"defender_",
		"django_",
		"djkombu_",
		"easy_thumbnails_",
		"explorer_",
		"guardian_",
		"health_check_",
		"knox_",
		"oauth2_provider_",
		"otp_",
		"pghistory_",
		"pgherald_",
		"reversion_",
		"silk_",
		"social_auth_",
		"socialaccount_",
		"spatial_ref_sys",
		"taggit_",
		"thumbnail_",
		"token_blacklist_",
		"waffle_",
		"watson_",
	};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
		if (!strncmp(table, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

bool django_role_sees_all(const char *role)
{
	static const char *const words[] = {"admin", "manager", "staff",  "owner",	"boss",
					    "chief", "head",	"direct", "supervis",	"moderat",
					    "root",  "super",	"office", "dispatcher", "operator"};
	autofree char *low = word_lower(role);

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strstr(low, words[i]))
			return true;
	return false;
}

bool django_names_user(const struct django *d, const struct column *col)
{
	return d->users != NO_TABLE && col->refers == d->users && !strcmp(col->refers_key, d->key);
}

static const struct table *at(const struct catalog *c, size_t place)
{
	return place == NO_TABLE ? NULL : &c->tables[place];
}

/* What the column user_id of that table refers to. */
static bool user_of(const struct catalog *c, size_t place, struct django *d)
{
	const struct table *t = at(c, place);
	const struct column *col = t ? table_find(t, "user_id") : NULL;

	if (!col || col->refers == NO_TABLE)
		return false;
	d->users = col->refers;
	d->key = col->refers_key;
	return true;
}

/* A user model that nothing refers to yet: what every one has. */
static size_t like_users(const struct catalog *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (table_find(&c->tables[i], "password") &&
		    table_find(&c->tables[i], "last_login") && c->tables[i].n_key == 1)
			return i;
	return NO_TABLE;
}

static void find_users(const struct catalog *c, struct django *d)
{
	size_t place;

	if (user_of(c, d->tokens, d) || user_of(c, d->knox, d) ||
	    user_of(c, catalog_find(c, NULL, "django_admin_log"), d))
		return;
	place = catalog_find(c, NULL, "auth_user");
	d->users = place != NO_TABLE ? place : d->found ? like_users(c) : NO_TABLE;
	if (d->users != NO_TABLE)
		d->key = c->tables[d->users].n_key == 1 ? c->tables[d->users].key[0] : "id";
}

static bool is_text(const struct column *c)
{
	return c && c->plain && word_in(c->type, "varchar text bpchar");
}

static void find_role(const struct table *users, struct django *d)
{
	static const char *const names[] = {"role", "user_role", "account_type", "user_type",
					    "position"};

	d->active = table_find(users, "is_active") ? "is_active" : "";
	d->staff = table_find(users, "is_staff") != NULL;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names) && !d->role; i++)
		if (is_text(table_find(users, names[i])))
			d->role = table_find(users, names[i])->name;
}

static bool is_group(const struct table *t)
{
	const struct column *id = table_find(t, "id");

	return id && id->plain && is_text(table_find(t, "name"));
}

/* As the value of a setting, which has no quotes, a name keeps no blanks at its ends. */
static bool is_trimmed(const char *name)
{
	return *name != ' ' && name[strlen(name) - 1] != ' ';
}

/* The table between users and groups: of auth_user it is auth_user_groups. */
static void find_groups(const struct catalog *c, struct django *d)
{
	d->groups = catalog_find(c, NULL, "auth_group");
	d->members = NO_TABLE;
	if (d->groups != NO_TABLE && !is_group(&c->tables[d->groups]))
		d->groups = NO_TABLE;
	for (size_t i = 0; d->groups != NO_TABLE && i < c->n && d->members == NO_TABLE; i++) {
		const struct column *user = NULL, *group = NULL;

		for (size_t k = 0; k < c->tables[i].n; k++) {
			const struct column *col = &c->tables[i].columns[k];

			if (is_trimmed(col->name) && django_names_user(d, col))
				user = col;
			else if (is_trimmed(col->name) && col->refers == d->groups && col->plain)
				group = col;
		}
		if (!user || !group)
			continue;
		d->members = i;
		d->member_user = user->name;
		d->member_group = group->name;
	}
}

void django_find(const struct catalog *c, struct django *d)
{
	*d = (struct django){.users = NO_TABLE,
			     .groups = NO_TABLE,
			     .members = NO_TABLE,
			     .tokens = catalog_find(c, NULL, "authtoken_token"),
			     .knox = catalog_find(c, NULL, "knox_authtoken"),
			     .sessions = catalog_find(c, NULL, "django_session")};
	d->found = catalog_find(c, NULL, "django_migrations") != NO_TABLE;
	find_users(c, d);
	if (d->users == NO_TABLE)
		return;
	find_role(&c->tables[d->users], d);
	find_groups(c, d);
}
