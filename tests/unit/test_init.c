/* SPDX-License-Identifier: PostgreSQL
 * What `pgherald init` makes of a catalog: who the users are, what to watch, what never to show. */
#include "config.h"

#include "unit.h"

#include "conf.h"
#include "init/django.h"
#include "init/fields.h"
#include "init/proposal.h"
#include "init/text.h"

/* "id:int8 name:varchar customer_id:int4>auth_user": the first is the key; it and what refers to
 * a table have an index. '!' after a type: not PostgreSQL's own. */
static void add(struct catalog *c, const char *name, const char *columns)
{
	struct table *t = catalog_add(c, "public", name);
	char *text = strdup(columns), *rest = text, *word;

	while ((word = strsep(&rest, " "))) {
		char *type = strchr(word, ':'), *refers, *foreign;
		struct column *col;

		assert_non_null(type);
		*type++ = '\0';
		refers = strchr(type, '>');
		if (refers)
			*refers++ = '\0';
		foreign = strchr(type, '!');
		if (foreign)
			*foreign = '\0';
		col = table_add(t, word, type, !foreign);
		if (!t->n_key) {
			table_add_key(t, word);
			col->index = true;
		}
		if (!refers)
			continue;
		col->refers = catalog_find(c, "public", refers);
		assert_int_not_equal(col->refers, NO_TABLE);
		col->refers_key = strdup(c->tables[col->refers].key[0]);
		col->index = true;
	}
	free(text);
}

#define USER "id:int4 password:varchar last_login:timestamptz username:varchar is_active:bool"

/* What every Django project has. */
static void add_django(struct catalog *c, const char *users, const char *more)
{
	char *columns = NULL;

	assert_true(asprintf(&columns, USER "%s", more) > 0);
	add(c, users, columns);
	free(columns);
	add(c, "django_migrations", "id:int8 app:varchar name:varchar");
	add(c, "django_session", "session_key:varchar session_data:text expire_date:timestamptz");
}

static void add_tokens(struct catalog *c, const char *users)
{
	char *columns = NULL;

	assert_true(asprintf(&columns, "key:varchar created:timestamptz user_id:int4>%s", users) >
		    0);
	add(c, "authtoken_token", columns);
	free(columns);
}

TEST(test_custom_user_model)
{
	struct catalog c = {0};
	struct django d;

	add(&c, "auth_user", USER); /* left over from before the project had a model of its own */
	add_django(&c, "people_account", " is_staff:bool role:varchar");
	add_tokens(&c, "people_account");
	django_find(&c, &d);
	assert_true(d.found);
	assert_string_equal(c.tables[d.users].name, "people_account");
	assert_string_equal(d.key, "id");
	assert_string_equal(d.active, "is_active");
	assert_string_equal(d.role, "role");
	assert_int_equal(d.knox, NO_TABLE);
	assert_string_equal(c.tables[d.sessions].name, "django_session");
	catalog_free(&c);
}

TEST(test_users_without_tokens)
{
	struct catalog c = {0};
	struct django d;

	add_django(&c, "shop_customer", " is_staff:bool");
	django_find(&c, &d);
	assert_string_equal(c.tables[d.users].name, "shop_customer");
	assert_null(d.role);
	assert_true(d.staff);
	catalog_free(&c);
}

TEST(test_role_of_a_foreign_type_is_not_asked_for)
{
	struct catalog c = {0};
	struct django d;

	add_django(&c, "auth_user", " role:mood!");
	add_tokens(&c, "auth_user");
	django_find(&c, &d);
	assert_null(d.role);
	catalog_free(&c);
}

TEST(test_groups)
{
	struct catalog c = {0};
	struct django d;

	add_django(&c, "auth_user", " is_staff:bool");
	add(&c, "auth_group", "id:int4 name:varchar");
	add(&c, "auth_user_groups", "id:int8 user_id:int4>auth_user group_id:int4>auth_group");
	django_find(&c, &d);
	assert_string_equal(c.tables[d.members].name, "auth_user_groups");
	assert_string_equal(d.member_user, "user_id");
	assert_string_equal(d.member_group, "group_id");
	catalog_free(&c);
}

TEST(test_no_django)
{
	struct catalog c = {0};
	struct django d;

	add(&c, "customers", "id:int8 name:text");
	django_find(&c, &d);
	assert_false(d.found);
	assert_int_equal(d.users, NO_TABLE);
	catalog_free(&c);
}

static const struct proposal *proposal(const struct proposals *p, const char *topic)
{
	for (size_t i = 0; i < p->n; i++)
		if (!strcmp(p->items[i].topic, topic))
			return &p->items[i];
	return NULL;
}

static void shop(struct catalog *c)
{
	add_django(c, "auth_user", " is_staff:bool email:varchar");
	add_tokens(c, "auth_user");
	add(c, "shop_project", "id:int8 name:varchar");
	add(c, "shop_order",
	    "id:int8 number:varchar total:numeric created_at:timestamptz "
	    "customer_id:int4>auth_user created_by_id:int4>auth_user "
	    "project_id:int8>shop_project payload:jsonb mood:mood! "
	    "password_hash:varchar api_key:varchar pin:int4");
	add(c, "shop_line", "id:int8 qty:int4 order_id:int8>shop_order");
	add(c, "shop_note", "id:int8 text:text created_by_id:int4>auth_user");
	add(c, "shop_ticket", "id:int8 title:varchar");
	add(c, "shop_ticket_members", "id:int8 ticket_id:int8>shop_ticket user_id:int4>auth_user");
	add(c, "shop_country", "id:int8 name:varchar");
	catalog_add_app(c, "shop");
}

TEST(test_owners)
{
	struct catalog c = {0};
	struct django d;
	struct proposals p = {0};

	shop(&c);
	django_find(&c, &d);
	proposals_make(&p, &c, &d);
	assert_string_equal(proposal(&p, "order")->owners, "customer_id"); /* not who typed it in */
	assert_string_equal(proposal(&p, "note")->owners,
			    "created_by_id"); /* unless nobody else is */
	assert_string_equal(proposal(&p, "line")->owners,
			    "order_id<-public.shop_order.id.customer_id");
	assert_string_equal(proposal(&p, "ticket")->owners,
			    "id<-public.shop_ticket_members.ticket_id.user_id");
	assert_string_equal(proposal(&p, "project")->owners,
			    "id<-public.shop_order.project_id.customer_id");
	assert_null(proposal(&p, "user"));
	assert_null(proposal(&p, "ticket_members"));
	assert_int_equal(p.n, 5);
	assert_int_equal(p.n_others, 1);
	assert_string_equal(c.tables[p.others[0]].name, "shop_country");
	proposals_free(&p);
	catalog_free(&c);
}

/* Whoever gains or loses a row is told, by indexes; where there is none, the file says which. */
TEST(test_owners_elsewhere_are_followed)
{
	struct catalog c = {0};
	struct django d;
	struct proposals p = {0};
	autobuf error = {0};

	shop(&c);
	django_find(&c, &d);
	proposals_make(&p, &c, &d);
	assert_false(proposal(&p, "order")->follow);
	assert_null(proposal(&p, "order")->no_index);
	assert_true(proposal(&p, "line")->follow);
	assert_true(proposal(&p, "ticket")->follow);
	assert_true(proposal(&p, "project")->follow);
	proposals_free(&p);
	c.tables[catalog_find(&c, "public", "shop_line")].columns[2].index = false;
	proposals_make(&p, &c, &d);
	assert_false(proposal(&p, "line")->follow);
	assert_string_equal(proposal(&p, "line")->no_index, "public.shop_line (order_id)");
	proposals_free(&p);
	buf_init(&error, 1000);
	assert_true(proposals_add(
		&p, &c, &d, "public.shop_ticket",
		"id<-public.shop_ticket_members.ticket_id.user_id<-public.auth_user.username.id",
		&error));
	assert_string_equal(p.items[0].no_index, "public.auth_user (username)");
	assert_false(proposals_add(&p, &c, &d, "public.shop_line",
				   "order_id<-public.shop_order.id.nobody", &error));
	assert_string_equal(buf_cstr(&error), "public.shop_order has no column nobody");
	buf_clear(&error);
	assert_false(proposals_add(&p, &c, &d, "public.shop_project",
				   "id<-public.nowhere.id.customer_id", &error));
	assert_string_equal(buf_cstr(&error), "there is no table public.nowhere");
	proposals_free(&p);
	catalog_free(&c);
}

TEST(test_fields)
{
	struct catalog c = {0};
	struct django d;
	struct proposals p = {0};
	const char *fields;

	shop(&c);
	django_find(&c, &d);
	proposals_make(&p, &c, &d);
	fields = proposal(&p, "order")->fields;
	assert_non_null(strstr(fields, "id, number, total, created_at::utc, customer_id,"));
	assert_non_null(strstr(fields, "customer_name=customer_id->public.auth_user.username"));
	assert_non_null(strstr(fields, "project_name=project_id->public.shop_project.name"));
	for (const char *const *bad =
		     (const char *const[]){"payload", "mood", "password", "api_key", "pin", NULL};
	     *bad; bad++)
		if (strstr(fields, *bad))
			fail_msg("%s is in %s", *bad, fields);
	proposals_free(&p);
	catalog_free(&c);
}

TEST(test_secret_names)
{
	for (const char *const *name =
		     (const char *const[]){"password",	  "Passwd",	    "token_hash",
					   "API_KEY",	  "otp_seed",	    "key",
					   "PIN",	  "client_secret",  "salt",
					   "passphrase",  "user_pwd",	    "userPwd",
					   "door_pin",	  "passcode",	    "AccessKey",
					   "credentials", "encryption_key", "recovery_code",
					   "db_pass",	  "card_cvc",	    NULL};
	     *name; name++)
		assert_true(fields_is_secret(*name));
	for (const char *const *name =
		     (const char *const[]){"name", "keyword", "opinion", "number", "status",
					   "project_key", "passenger", "pinned", "compass_id",
					   "classname", "footprint", NULL};
	     *name; name++)
		assert_false(fields_is_secret(*name));
}

TEST(test_named_tables)
{
	struct catalog c = {0};
	struct django d;
	struct proposals p = {0};
	autobuf error = {0};

	shop(&c);
	django_find(&c, &d);
	buf_init(&error, 1000);
	assert_true(proposals_add(&p, &c, &d, "public.shop_order", "", &error));
	assert_string_equal(p.items[0].owners, "customer_id");
	assert_true(proposals_add(&p, &c, &d, "public.shop_note", "created_by_id", &error));
	assert_false(proposals_add(&p, &c, &d, "public.shop_note", "", &error));
	assert_string_equal(buf_cstr(&error), "public.shop_note is named twice");
	buf_clear(&error);
	assert_false(proposals_add(&p, &c, &d, "public.missing", "", &error));
	assert_string_equal(buf_cstr(&error), "there is no table public.missing");
	buf_clear(&error);
	assert_false(proposals_add(&p, &c, &d, "public.shop_line", "owner_id", &error));
	assert_string_equal(buf_cstr(&error), "public.shop_line has no column owner_id");
	buf_clear(&error);
	assert_false(proposals_add(&p, &c, &d, "shop_line", "", &error));
	assert_true(error.len);
	proposals_free(&p);
	catalog_free(&c);
}

/* Whatever tables are called, the file reads back. */
static void write_and_read(const struct catalog *c, char *const *roles)
{
	struct django d;
	struct proposals p = {0};
	struct conf *conf;
	autobuf text = {0}, error = {0};
	struct guess g = {.catalog = c,
			  .django = &d,
			  .watches = &p,
			  .roles = roles,
			  .conninfo = "dbname=shop",
			  .dsn = "dbname=shop user=postgres",
			  .path = "/etc/pgherald/pgherald.conf",
			  .port = 8080};

	django_find(c, &d);
	proposals_make(&p, c, &d);
	buf_init(&text, 1 << 20);
	buf_init(&error, 1000);
	text_write(&text, &g);
	assert_true(buf_ok(&text));
	conf = conf_parse("guess", text.data, text.len, &error);
	if (!conf)
		fail_msg("%s in\n%s", buf_cstr(&error), text.data);
	assert_int_equal(conf->n_watches, p.n);
	conf_unref(conf);
	proposals_free(&p);
}

TEST(test_file_reads_back)
{
	struct catalog c = {0};
	char manager[] = "Manager", foreman[] = "foreman", words[] = "two words", line[] = "x\ny";
	char *const roles[] = {manager, foreman, words, line, NULL};

	shop(&c);
	add(&c, "Order", "Id:int8 User:int4>auth_user select:text \"q\":text");
	add(&c, "shop_order_2", "id:int8 order:int4 customer_id:int4>auth_user");
	add(&c, "other_order", "id:int8 customer_id:int4>auth_user");
	write_and_read(&c, roles);
	write_and_read(&c, NULL);
	catalog_free(&c);
}

TEST(test_knox_and_sessions_read_back)
{
	struct catalog c = {0};

	add_django(&c, "auth_user", " is_staff:bool");
	add(&c, "shop_order", "id:int8 customer_id:int4>auth_user");
	write_and_read(&c, NULL);
	add(&c, "knox_authtoken", "digest:varchar expiry:timestamptz user_id:int4>auth_user");
	write_and_read(&c, NULL);
	catalog_free(&c);
}

TEST(test_what_cannot_be_watched_is_left_out)
{
	struct catalog c = {0};
	struct django d;
	struct proposals p = {0};
	autobuf error = {0};

	shop(&c);
	add(&c, "shop_mood", "mood:mood! customer_id:int4>auth_user"); /* no field shows the key */
	add(&c, "shop_nick", "id:int8 customer:varchar>auth_user");
	free(c.tables[c.n - 1].columns[1].refers_key);
	c.tables[c.n - 1].columns[1].refers_key = strdup("username"); /* and not what tokens know */
	django_find(&c, &d);
	proposals_make(&p, &c, &d);
	assert_null(proposal(&p, "mood"));
	assert_null(proposal(&p, "nick"));
	assert_int_equal(p.n_others, 3);
	assert_int_equal(proposals_limit(&p, 5), 0);
	assert_int_equal(proposals_limit(&p, 2), 3);
	assert_int_equal(p.n, 2);
	assert_int_equal(p.n_others, 6);
	proposals_free(&p);
	buf_init(&error, 1000);
	assert_false(proposals_add(&p, &c, &d, "public.shop_mood", "customer_id", &error));
	assert_non_null(strstr(buf_cstr(&error), "the key of public.shop_mood"));
	proposals_free(&p);
	catalog_free(&c);
}

TEST(test_tables_of_the_same_name)
{
	struct catalog c = {0};

	catalog_add(&c, "archive", "auth_user");
	catalog_add(&c, "other", "auth_group");
	catalog_add(&c, "public", "auth_user");
	assert_int_equal(catalog_find(&c, NULL, "auth_user"), 2);
	assert_int_equal(catalog_find(&c, "archive", "auth_user"), 0);
	assert_int_equal(catalog_find(&c, NULL, "auth_group"), 1);
	assert_int_equal(catalog_find(&c, NULL, "auth"), NO_TABLE);
	catalog_free(&c);
}

static void assert_commands(struct guess *g, const char *path, const char *dsn, const char *lines)
{
	autobuf text = {0};

	buf_init(&text, 10000);
	g->path = path;
	g->dsn = dsn;
	text_commands(&text, g, "");
	assert_string_equal(buf_cstr(&text), lines);
}

TEST(test_commands_can_be_typed_as_they_stand)
{
	struct django d = {.tokens = 0}, sessions = {.tokens = NO_TABLE, .knox = NO_TABLE};
	struct guess g = {.django = &d};

	assert_commands(&g, NULL, "dbname=shop",
			"sudo pgherald -t\n"
			"sudo pgherald sql install --apply --dsn dbname=shop\n"
			"sudo systemctl restart pgherald\n");
	assert_commands(&g, SYSCONFDIR "/pgherald/shop.conf", "dbname=shop user=postgres",
			"sudo pgherald -t -c " SYSCONFDIR "/pgherald/shop.conf\n"
			"sudo pgherald sql install --apply -c " SYSCONFDIR "/pgherald/shop.conf"
			" --dsn \"dbname=shop user=postgres\"\n"
			"sudo systemctl enable --now pgherald@shop\n");
	assert_commands(&g, "my $x.conf", "dbname='it\\'s'",
			"sudo pgherald -t -c 'my $x.conf'\n"
			"sudo pgherald sql install --apply -c 'my $x.conf' --dsn "
			"'dbname='\\''it\\'\\''s'\\'''\n"
			"sudo -u pgherald pgherald -c 'my $x.conf' serve\n");
	assert_commands(&g, SYSCONFDIR "/pgherald/it's.conf", "x",
			"sudo pgherald -t -c \"" SYSCONFDIR "/pgherald/it's.conf\"\n"
			"sudo pgherald sql install --apply -c \"" SYSCONFDIR
			"/pgherald/it's.conf\" --dsn x\n"
			"sudo -u pgherald pgherald -c \"" SYSCONFDIR
			"/pgherald/it's.conf\" serve\n");
	g.django = &sessions; /* two projects have two secrets */
	assert_commands(&g, SYSCONFDIR "/pgherald/shop.conf", "x",
			"python3 manage.py shell -v 0 -c \"from django.conf import settings; "
			"print(settings.SECRET_KEY)\" |\n"
			"  sudo install -m 0640 -g pgherald /dev/stdin " SYSCONFDIR
			"/pgherald/secret_key.shop\n"
			"sudo pgherald -t -c " SYSCONFDIR "/pgherald/shop.conf\n"
			"sudo pgherald sql install --apply -c " SYSCONFDIR
			"/pgherald/shop.conf --dsn x\n"
			"sudo systemctl enable --now pgherald@shop\n");
}

TEST(test_roles)
{
	assert_true(django_role_sees_all("Manager"));
	assert_true(django_role_sees_all("superadmin"));
	assert_false(django_role_sees_all("foreman"));
	assert_false(django_role_sees_all("customer"));
	assert_true(text_names_role("site-manager_2"));
	assert_false(text_names_role("two words"));
	assert_false(text_names_role(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_custom_user_model),
		cmocka_unit_test(test_users_without_tokens),
		cmocka_unit_test(test_role_of_a_foreign_type_is_not_asked_for),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_no_django),
		cmocka_unit_test(test_owners),
		cmocka_unit_test(test_owners_elsewhere_are_followed),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_secret_names),
		cmocka_unit_test(test_named_tables),
		cmocka_unit_test(test_file_reads_back),
		cmocka_unit_test(test_knox_and_sessions_read_back),
		cmocka_unit_test(test_what_cannot_be_watched_is_left_out),
		cmocka_unit_test(test_tables_of_the_same_name),
		cmocka_unit_test(test_commands_can_be_typed_as_they_stand),
		cmocka_unit_test(test_roles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
