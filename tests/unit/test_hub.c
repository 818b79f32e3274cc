/* SPDX-License-Identifier: PostgreSQL
 * hub/hub: publishing by look-up must deliver exactly what event_view() says for every member,
 * whatever the events, roles and members, and while members leave inside deliver(). */
#include "config.h"
#include "unit.h"

#include "base/buf.h"
#include "hub/hub.h"

/* Comparisons of keys, counted (-Wl,--wrap=strcmp). */
int __real_strcmp(const char *a, const char *b);
int __wrap_strcmp(const char *a, const char *b);
static unsigned long n_compared;

int __wrap_strcmp(const char *a, const char *b)
{
	n_compared++;
	return __real_strcmp(a, b);
}

#define N_MEMBERS 40
#define N_USERS	  6

struct listener {
	struct hub_member member; /* first */
	struct principal who;
	struct keys channels;
	char *channel_list[3];
	char user_id[8], role[8];
	unsigned n_got;
	enum scope_view got;
	bool leaves; /* at its next delivery */
};

static struct hub hub;
static struct listener listeners[N_MEMBERS];
static struct event *expected;

static void deliver(struct hub_member *m, struct event *e, enum scope_view view)
{
	struct listener *l = (struct listener *)m;

	assert_ptr_equal(e, expected);
	assert_non_null(m->group);
	l->n_got++;
	l->got = view;
	if (l->leaves)
		hub_leave(&hub, m);
}

static char role_names[4][8] = {"all", "own", "none", "some"};
static char pattern[] = "a.*";
static char *patterns[] = {pattern};
static const struct scope_policy policies[4] = {
	{.name = role_names[0], .receives = RECEIVES_ALL},
	{.name = role_names[1], .receives = RECEIVES_OWN},
	{.name = role_names[2], .receives = RECEIVES_NONE},
	{.name = role_names[3], .receives = RECEIVES_OWN, .patterns = patterns, .n_patterns = 1},
};

static char channel_names[][4] = {"#a", "#b", "#c"};

/* Some of them are called like a channel, or like everybody. */
static const char *const strange_ids[] = {"#a", "*", "=#a"};

static void join(struct listener *l, struct rng *r)
{
	snprintf(l->user_id, sizeof(l->user_id), "%u", (unsigned)rng_below(r, N_USERS));
	if (rng_below(r, 5) == 0)
		snprintf(l->user_id, sizeof(l->user_id), "%s", strange_ids[rng_below(r, 3)]);
	snprintf(l->role, sizeof(l->role), "%s", role_names[rng_below(r, 4)]);
	l->who = (struct principal){.user_id = l->user_id, .role = l->role};
	l->channels = (struct keys){.list = l->channel_list};
	for (size_t i = 0; i < 3; i++)
		if (rng_below(r, 3) == 0)
			l->channel_list[l->channels.n++] = channel_names[i];
	if (l->channels.n)
		l->who.channels = &l->channels;
	l->who.channels_only = rng_below(r, 4) == 0;
	l->member.who = &l->who;
	l->member.role = (uint32_t)hub_role(&hub, l->role);
	hub_join(&hub, &l->member);
}

/* Some users, also the same one twice, also users whom nobody listens for. */
static void random_owners(struct rng *r, char *out, size_t size)
{
	struct buf b;

	buf_init(&b, size - 1);
	buf_char(&b, '{');
	for (uint64_t n = rng_below(r, 5); n > 0; n--) {
		static const char *const others[] = {"#a", "#b", "#c", "#d", "*", "=#a", "=*"};
		uint64_t k = rng_below(r, N_USERS + 10);

		buf_str(&b, b.len > 1 ? "," : "");
		if (k < sizeof(others) / sizeof(*others))
			buf_str(&b, others[k]);
		else
			buf_u64(&b, k - sizeof(others) / sizeof(*others));
	}
	buf_char(&b, '}');
	snprintf(out, size, "%s", buf_cstr(&b));
	buf_free(&b);
}

static struct event *random_event(struct rng *r)
{
	static const char ops[] = "iuudtrfxamm";
	char before[40], after[40];
	struct event_row row = {.op = ops[rng_below(r, sizeof(ops) - 1)],
				.keyed = rng_below(r, 2),
				.topic = rng_below(r, 2) ? "a" : "b",
				.doc = "{}",
				.before = before,
				.after = after};

	random_owners(r, before, sizeof(before));
	random_owners(r, after, sizeof(after));
	return event_new(&row);
}

/* Publishes one event; every member that is in must get what event_view() says, once. */
static void publish_and_check(struct event *e)
{
	bool inside[N_MEMBERS];

	for (size_t i = 0; i < N_MEMBERS; i++) {
		inside[i] = listeners[i].member.group != NULL;
		listeners[i].n_got = 0;
	}
	expected = e;
	hub_publish(&hub, e);
	for (size_t i = 0; i < N_MEMBERS; i++) {
		struct listener *l = &listeners[i];
		enum scope_view want = VIEW_NOTHING;

		if (inside[i])
			want = event_view(e, &policies[l->member.role], &l->who);
		assert_int_equal(l->n_got, want != VIEW_NOTHING);
		if (l->n_got)
			assert_int_equal(l->got, want);
		if (inside[i])
			assert_int_equal(l->member.group == NULL, l->n_got && l->leaves);
	}
}

TEST(delivers_what_event_view_says)
{
	struct rng r = rng_new();
	unsigned n_delivered = 0;

	hub_init(&hub, policies, 4, 100, 1 << 20, deliver);
	for (int round = 0; round < 20000; round++) {
		struct listener *l = &listeners[rng_below(&r, N_MEMBERS)];
		struct event *e = random_event(&r);

		if (l->member.group && rng_below(&r, 2))
			hub_leave(&hub, &l->member);
		else if (!l->member.group)
			join(l, &r);
		for (size_t i = 0; i < N_MEMBERS; i++)
			listeners[i].leaves = rng_below(&r, 30) == 0;
		publish_and_check(e);
		for (size_t i = 0; i < N_MEMBERS; i++)
			n_delivered += listeners[i].n_got;
		event_unref(e);
	}
	assert_true(n_delivered > 20000);
	for (size_t i = 0; i < N_MEMBERS; i++) {
		hub_leave(&hub, &listeners[i].member);
		hub_leave(&hub, &listeners[i].member); /* harmless */
	}
	assert_null(hub.keys);
	hub_free(&hub);
}

TEST(everybody_may_leave_at_once)
{
	struct rng r = rng_new();
	struct event *e = event_resync("loss", "[]", NULL, 0);

	hub_init(&hub, policies, 4, 100, 1 << 20, deliver);
	for (int round = 0; round < 200; round++) {
		for (size_t i = 0; i < N_MEMBERS; i++) {
			join(&listeners[i], &r);
			listeners[i].leaves = true;
		}
		publish_and_check(e);
		for (size_t i = 0; i < N_MEMBERS; i++) /* those of role "none" */
			hub_leave(&hub, &listeners[i].member);
	}
	event_unref(e);
	hub_free(&hub);
}

struct visit {
	const char *user_id;
	unsigned n;
	bool leave;
};

static void visited(struct hub_member *m, void *arg)
{
	struct visit *v = arg;

	assert_string_equal(m->who->user_id, v->user_id);
	v->n++;
	if (v->leave)
		hub_leave(&hub, m);
}

TEST(every_listener_of_a_user)
{
	struct rng r = rng_new();

	hub_init(&hub, policies, 4, 100, 1 << 20, deliver);
	for (int round = 0; round < 200; round++) {
		struct visit v = {.user_id = "3", .leave = round % 2};
		unsigned want = 0;

		for (size_t i = 0; i < N_MEMBERS; i++) {
			if (!listeners[i].member.group)
				join(&listeners[i], &r);
			want += !strcmp(listeners[i].user_id, "3");
		}
		hub_each_of_user(&hub, "3", visited, &v);
		assert_int_equal(v.n, want);
		for (size_t i = 0; i < N_MEMBERS && v.leave; i++)
			assert_int_equal(!listeners[i].member.group,
					 !strcmp(listeners[i].user_id, "3"));
		v.n = 0;
		hub_each_of_user(&hub, "nobody", visited, &v);
		assert_int_equal(v.n, 0);
	}
	for (size_t i = 0; i < N_MEMBERS; i++)
		hub_leave(&hub, &listeners[i].member);
	hub_free(&hub);
}

/* Whom an event is for, and who hears it: by hand what the test above compares with event_view().
 */
TEST(keys)
{
	static const struct {
		const char *user_id, *channels, *before, *after;
		bool keyed;
		enum scope_view view;
	} cases[] = {
		{"7", "", "{7}", "{7}", true, VIEW_WHOLE},
		{"7", "#a", "{}", "{#a}", true, VIEW_ENTER},
		{"7", "#a", "{#a}", "{}", true, VIEW_LEAVE},
		{"7", "#a", "{#a}", "{7}", true, VIEW_WHOLE}, /* from one of his keys to another */
		{"7", "#a#b", "{#b}", "{#a}", true, VIEW_WHOLE},
		{"7", "#a#b", "{#a,#b,7}", "{#c}", true, VIEW_LEAVE},
		{"7", "", "{#a}", "{#a}", true, VIEW_NOTHING},
		{"7", "", "{}", "{*}", true, VIEW_ENTER},
		{"7", "#a", "{*}", "{#a,7}", true, VIEW_WHOLE},
		{"7", "#a", "{#a}", "{#a}", false, VIEW_NOTHING}, /* that is a user of that name */
		{"7", "", "{*}", "{*}", false, VIEW_NOTHING},
		{"*", "", "{}", "{*}", false, VIEW_ENTER},
		{"#a", "", "{}", "{#a}", false, VIEW_ENTER},
		{"#a", "", "{}", "{#a}", true, VIEW_NOTHING},
		{"#a", "", "{7,=#a,9}", "{=#a}", true, VIEW_WHOLE},
		{"=#a", "", "{}", "{=#a}", true, VIEW_NOTHING},
		{"=#a", "", "{x,=#a,#a}", "{=#a}", false, VIEW_WHOLE},
		{"#a", "", "{}", "{=#a}", false, VIEW_NOTHING},
	};

	hub_init(&hub, policies, 4, 100, 1 << 20, deliver);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct listener *l = &listeners[0];
		struct event_row row = {.op = 'u',
					.topic = "a",
					.doc = "{}",
					.keyed = cases[i].keyed,
					.before = cases[i].before,
					.after = cases[i].after};

		*l = (struct listener){.channels = {.list = l->channel_list}};
		snprintf(l->user_id, sizeof(l->user_id), "%s", cases[i].user_id);
		l->who = (struct principal){.user_id = l->user_id, .role = role_names[1]};
		for (const char *c = cases[i].channels; *c; c += 2)
			l->channel_list[l->channels.n++] = channel_names[c[1] - 'a'];
		l->who.channels = l->channels.n ? &l->channels : NULL;
		l->member = (struct hub_member){.who = &l->who, .role = 1};
		hub_join(&hub, &l->member);
		expected = event_new(&row);
		hub_publish(&hub, expected);
		if (l->n_got != (cases[i].view != VIEW_NOTHING) || l->got != cases[i].view)
			fail_msg("case %zu: %u times, view %d", i, l->n_got, l->got);
		hub_leave(&hub, &l->member);
		event_unref(expected);
	}
	hub_free(&hub);
}

/* On a route with channels nobody hears more than these, whatever his role and whatever is his. */
TEST(channels_only)
{
	static const struct {
		uint32_t role;
		const char *channels, *after;
		char op;
		bool hears;
	} cases[] = {
		{0, "#a", "{#a}", 'u', true},	{0, "#a", "{7}", 'u', false},
		{0, "#a", "{#b}", 'u', false},	{0, "#a", "{}", 'u', false},
		{0, "", "{7}", 'u', false},	{1, "#a", "{7}", 'u', false},
		{1, "", "{7}", 'u', false},	{1, "#a", "{7,#a}", 'u', true},
		{1, "#a#b", "{#b}", 'u', true}, {1, "#a", "{*}", 'u', true},
		{1, "", "{*}", 'u', true},	{0, "#a", "{7}", 'm', false},
		{0, "#a", "{#a}", 'm', true},	{1, "#a", "{}", 'r', true},
		{0, "#a", "{7}", 'f', false},	{1, "#a", "{7}", 'f', false},
	};

	hub_init(&hub, policies, 4, 100, 1 << 20, deliver);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct listener *l = &listeners[0];
		struct event_row row = {.op = cases[i].op,
					.topic = "a",
					.doc = "{}",
					.keyed = true,
					.type = cases[i].op == 'm' ? "a.x" : NULL,
					.before = "{}",
					.after = cases[i].after};

		*l = (struct listener){.channels = {.list = l->channel_list}, .user_id = "7"};
		l->who = (struct principal){.user_id = l->user_id,
					    .role = role_names[cases[i].role],
					    .channels_only = true};
		for (const char *c = cases[i].channels; *c; c += 2)
			l->channel_list[l->channels.n++] = channel_names[c[1] - 'a'];
		l->who.channels = l->channels.n ? &l->channels : NULL;
		l->member = (struct hub_member){.who = &l->who, .role = cases[i].role};
		hub_join(&hub, &l->member);
		expected = event_new(&row);
		hub_publish(&hub, expected);
		if (l->n_got != cases[i].hears)
			fail_msg("case %zu: %u times", i, l->n_got);
		assert_int_equal(cases[i].hears, event_view(expected, &policies[cases[i].role],
							    &l->who) != VIEW_NOTHING);
		hub_leave(&hub, &l->member);
		event_unref(expected);
	}
	hub_free(&hub);
}

TEST(policies_change)
{
	hub_init(&hub, policies, 4, 100, 1 << 20, deliver);
	assert_int_equal(hub_role(&hub, "own"), 1);
	assert_int_equal(hub_role(&hub, "nobody"), -1);
	hub_set_policies(&hub, policies + 1, 2);
	assert_int_equal(hub_role(&hub, "own"), 0);
	assert_int_equal(hub_role(&hub, "some"), -1);
	hub_free(&hub);
}

/* `n` owners from the `first` on, joined in no order. */
static void numbered_owners(struct buf *out, uint64_t first, uint64_t n)
{
	buf_init(out, 1 << 20);
	buf_char(out, '{');
	for (uint64_t i = 0; i < n; i++) /* 7 and n have no common factor */
		buf_printf(out, "%s%llu", i ? "," : "", (unsigned long long)(first + i * 7 % n));
	buf_char(out, '}');
}

static struct event *with_owners(uint64_t n_before, uint64_t n_after)
{
	struct event_row row = {.op = 'u', .topic = "a", .doc = "{}"};
	struct buf before, after;
	struct event *e;

	numbered_owners(&before, 0, n_before);
	numbered_owners(&after, n_before / 2, n_after);
	row.before = buf_cstr(&before);
	row.after = buf_cstr(&after);
	e = event_new(&row);
	buf_free(&before);
	buf_free(&after);
	return e;
}

/* As many owners as a row may have: found without comparing each with each. */
TEST(very_many_owners)
{
	struct listener *few[] = {&listeners[0], &listeners[1], &listeners[2], &listeners[3]};
	static const struct {
		const char *id;
		enum scope_view view;
	} want[] = {{"0", VIEW_LEAVE}, {"5001", VIEW_WHOLE}, {"14999", VIEW_ENTER}, {"15000", 0}};
	unsigned long n = 2 * EVENT_OWNERS_MAX;
	struct event *e;

	hub_init(&hub, policies, 4, 100, 1 << 30, deliver);
	for (int i = 0; i < 4; i++) {
		few[i]->who = (struct principal){.user_id = few[i]->user_id};
		few[i]->member = (struct hub_member){.who = &few[i]->who, .role = 1};
		few[i]->leaves = false;
		few[i]->n_got = 0;
		snprintf(few[i]->user_id, sizeof(few[i]->user_id), "%s", want[i].id);
		hub_join(&hub, &few[i]->member);
	}
	n_compared = 0;
	expected = e = with_owners(EVENT_OWNERS_MAX, EVENT_OWNERS_MAX);
	hub_publish(&hub, e);
	assert_true(n_compared > n && n_compared < 20 * n);
	event_unref(e);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(few[i]->n_got, want[i].view != VIEW_NOTHING);
		assert_true(!few[i]->n_got || few[i]->got == want[i].view);
		few[i]->n_got = 0;
	}
	/* One more: everybody fetches again. */
	for (int after = 0; after < 2; after++) {
		expected = e = after ? with_owners(0, EVENT_OWNERS_MAX + 1)
				     : with_owners(EVENT_OWNERS_MAX + 1, 0);
		assert_int_equal(e->op, 'r');
		assert_string_equal(e->doc, "owners");
		assert_true(e->bytes < 2000);
		hub_publish(&hub, e);
		event_unref(e);
		for (int i = 0; i < 4; i++)
			assert_int_equal(few[i]->n_got, 1 + after);
	}
	for (int i = 0; i < 4; i++)
		hub_leave(&hub, &few[i]->member);
	hub_free(&hub);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(very_many_owners),
		cmocka_unit_test(delivers_what_event_view_says),
		cmocka_unit_test(everybody_may_leave_at_once),
		cmocka_unit_test(every_listener_of_a_user),
		cmocka_unit_test(keys),
		cmocka_unit_test(channels_only),
		cmocka_unit_test(policies_change),
	};

	return cmocka_run_group_tests_name("hub", tests, NULL, NULL);
}
