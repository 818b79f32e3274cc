/* SPDX-License-Identifier: PostgreSQL
 * base/log: what a client sends can never forge a line, in text or in JSON. */
#include "config.h"
#include "unit.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/utf8.h"

static char captured[65536];

/* Runs `what` with stderr in a file, whose text is in `captured` after. */
static void capture(void (*what)(void *arg), void *arg)
{
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);
	size_t n;

	assert_non_null(file);
	assert_true(saved >= 0);
	assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
	what(arg);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	rewind(file);
	n = fread(captured, 1, sizeof(captured) - 1, file);
	captured[n] = '\0';
	fclose(file);
}

static size_t lines(void)
{
	size_t n = 0;

	for (const char *p = captured; *p; p++)
		n += *p == '\n';
	return n;
}

static void log_value(void *arg)
{
	const struct log_field fields[] = {
		{"user", arg}, {"absent", NULL}, {"n", "1"}, {NULL, NULL}};

	log_with(LOG_L_WARN, "who", fields);
}

static void log_message(void *arg)
{
	log_warn("%s", (const char *)arg);
}

static const char *const nasty[] = {
	"\n2026-01-01T00:00:00.000Z error   forged",
	"a\r\nb",
	"\" level=\"error",
	"a=b c\\",
	"\x1b[31mred\x7f",
	"",
	"\",\"level\":\"error\",\"x\":\"",
	"\x01\x02\t\v\f",
	"d\xc3\xa9j\xc3\xa0",
};

/* The value of one text field, unescaped again. */
static void text_field(const char *key, char *out)
{
	const char *p = strstr(captured, key);

	assert_non_null(p);
	p += strlen(key);
	if (*p != '"') {
		size_t n = strcspn(p, " \n");

		memcpy(out, p, n);
		out[n] = '\0';
		return;
	}
	for (p++; *p != '"'; out++) {
		static const char hex[] = "0123456789abcdef";

		assert_true(*p && *p != '\n');
		if (*p != '\\')
			*out = *p++;
		else if (p[1] == 'x') {
			assert_true(strchr(hex, p[2]) && strchr(hex, p[3]));
			*out = (char)((strchr(hex, p[2]) - hex) * 16 + (strchr(hex, p[3]) - hex));
			p += 4;
		} else {
			*out = p[1];
			p += 2;
		}
	}
	*out = '\0';
}

TEST(a_text_value_stays_one_field)
{
	char value[200];

	log_setup(LOG_L_INFO, LOG_F_TEXT);
	for (size_t i = 0; i < sizeof(nasty) / sizeof(*nasty); i++) {
		char copy[200];

		snprintf(copy, sizeof(copy), "%s", nasty[i]);
		capture(log_value, copy);
		assert_int_equal(lines(), 1);
		for (const char *p = captured; p[1]; p++)
			assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
		text_field(" user=", value);
		assert_string_equal(value, nasty[i]);
		assert_null(strstr(captured, "absent"));
		assert_string_equal(captured + strlen(captured) - 5, " n=1\n");
	}
}

TEST(a_json_value_stays_one_member)
{
	log_setup(LOG_L_INFO, LOG_F_JSON);
	for (size_t i = 0; i < sizeof(nasty) / sizeof(*nasty); i++) {
		struct json_object *o, *member;
		char copy[200];

		snprintf(copy, sizeof(copy), "%s", nasty[i]);
		capture(log_value, copy);
		assert_int_equal(lines(), 1);
		o = json_tokener_parse(captured);
		assert_non_null(o);
		assert_int_equal(json_object_object_length(o), 5);
		assert_true(json_object_object_get_ex(o, "user", &member));
		assert_string_equal(json_object_get_string(member), nasty[i]);
		assert_true(json_object_object_get_ex(o, "level", &member));
		assert_string_equal(json_object_get_string(member), "warning");
		assert_true(json_object_object_get_ex(o, "message", &member));
		assert_string_equal(json_object_get_string(member), "who");
		json_object_put(o);
	}
}

static const struct {
	const char *value, *text, *json; /* as it stands in the line */
} hidden[] = {
	{"a\xc2\x9b"
	 "31m",
	 "\"a\\u009b31m\"", "\"a\\u009b31m\""}, /* CSI of ECMA-48 in one character */
	{"\xc2\x85next", "\"\\u0085next\"", "\"\\u0085next\""},	    /* a line end to some */
	{"x\xe2\x80\xaegnp", "\"x\\u202egnp\"", "\"x\\u202egnp\""}, /* override */
	{"\xe2\x81\xa6i\xe2\x81\xa9", "\"\\u2066i\\u2069\"", "\"\\u2066i\\u2069\""},
	{"\xe2\x80\x8e\xe2\x80\x8f\xd8\x9c", "\"\\u200e\\u200f\\u061c\"",
	 "\"\\u200e\\u200f\\u061c\""},
	{"\xe2\x80\xa8", "\"\\u2028\"", "\"\\u2028\""},
	{"\xf3\xa0\x81\x81", "\"\\U000e0041\"", "\"\\udb40\\udc41\""}, /* a tag */
	{"\xff\xc3", "\"\\xff\\xc3\"", "\"\\\\xff\\\\xc3\""},	       /* no UTF-8 */
	{"\xed\xa0\x80", "\"\\xed\\xa0\\x80\"", "\"\\\\xed\\\\xa0\\\\x80\""},
	{"\xd0\x96\xc3\xa9", "\xd0\x96\xc3\xa9", "\"\xd0\x96\xc3\xa9\""}, /* as it is */
};

TEST(what_turns_or_hides_text_is_escaped)
{
	for (size_t i = 0; i < sizeof(hidden) / sizeof(*hidden); i++) {
		struct json_object *o;
		char copy[200], want[200];

		log_setup(LOG_L_INFO, LOG_F_TEXT);
		snprintf(copy, sizeof(copy), "%s", hidden[i].value);
		capture(log_value, copy);
		snprintf(want, sizeof(want), " user=%s n=1\n", hidden[i].text);
		assert_non_null(strstr(captured, want));
		capture(log_message, copy);
		assert_int_equal(strstr(captured, hidden[i].value) != NULL,
				 !strcmp(hidden[i].value, hidden[i].text));
		log_setup(LOG_L_INFO, LOG_F_JSON);
		capture(log_value, copy);
		snprintf(want, sizeof(want), ",\"user\":%s,\"n\":\"1\"}\n", hidden[i].json);
		assert_non_null(strstr(captured, want));
		o = json_tokener_parse(captured);
		assert_non_null(o);
		json_object_put(o);
	}
}

/* A line that is cut is cut between two characters. */
TEST(a_cut_line_is_still_utf8)
{
	static char value[12000];

	for (int format = LOG_F_TEXT; format <= LOG_F_JSON; format++) {
		log_setup(LOG_L_INFO, (enum log_format)format);
		for (size_t before = 0; before < 4; before++) {
			memset(value, 'x', before);
			for (size_t i = before; i + 3 < sizeof(value); i += 3)
				memcpy(value + i, "\xe4\xb8\xad", 4);
			capture(log_value, value);
			assert_int_equal(lines(), 1);
			for (size_t left = strlen(captured), n, at = 0; left; at += n, left -= n) {
				n = utf8_len(captured + at, left);
				assert_true(n);
			}
		}
	}
}

TEST(a_message_stays_one_line)
{
	for (int format = LOG_F_TEXT; format <= LOG_F_JSON; format++)
		for (size_t i = 0; i < sizeof(nasty) / sizeof(*nasty); i++) {
			char copy[200];

			log_setup(LOG_L_INFO, (enum log_format)format);
			snprintf(copy, sizeof(copy), "%s", nasty[i]);
			capture(log_message, copy);
			assert_int_equal(lines(), 1);
			assert_int_equal(captured[strlen(captured) - 1], '\n');
		}
}

TEST(a_long_line_is_cut_not_lost)
{
	static char text[20000];

	memset(text, 'x', sizeof(text) - 1);
	for (int format = LOG_F_TEXT; format <= LOG_F_JSON; format++) {
		log_setup(LOG_L_INFO, (enum log_format)format);
		capture(log_message, text);
		assert_int_equal(lines(), 1);
		assert_true(strlen(captured) <= 8192);
		assert_non_null(strstr(captured, "xxxxxxxx"));
		capture(log_value, text);
		assert_int_equal(lines(), 1);
		assert_true(strlen(captured) <= 8192);
		assert_non_null(strstr(captured, "xxxxxxxx"));
	}
}

TEST(a_cut_json_line_is_still_json)
{
	static char value[9000];

	log_setup(LOG_L_INFO, LOG_F_JSON);
	memset(value, 'x', sizeof(value));
	for (size_t len = 7900; len < 8400; len++) { /* around the limit */
		struct json_object *o;

		value[len] = '\0';
		capture(len % 2 ? log_value : log_message, value);
		value[len] = len % 7 ? 'x' : '"';
		o = json_tokener_parse(captured);
		assert_non_null(o);
		json_object_put(o);
		assert_int_equal(lines(), 1);
		assert_true(strlen(captured) <= 8192);
	}
}

static void log_all_levels(void *arg)
{
	(void)arg;
	log_error("one");
	log_warn("two");
	log_info("three");
	log_debug("four");
}

TEST(levels_cut_off)
{
	for (int level = LOG_L_ERROR; level <= LOG_L_DEBUG; level++) {
		log_setup((enum log_level)level, LOG_F_TEXT);
		capture(log_all_levels, NULL);
		assert_int_equal(lines(), level + 1);
		for (int l = LOG_L_ERROR; l <= LOG_L_DEBUG; l++)
			assert_int_equal(log_enabled((enum log_level)l), l <= level);
	}
}

TEST(the_journal_gets_priorities)
{
	log_setup(LOG_L_DEBUG, LOG_F_TEXT);
	setenv("JOURNAL_STREAM", "8:1", 1);
	capture(log_all_levels, NULL);
	unsetenv("JOURNAL_STREAM");
	assert_string_equal(captured, "<3>one\n<4>two\n<6>three\n<7>four\n");
}

static void read_back(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, size - 1, f);
	text[n] = '\0';
	fclose(f);
}

static void log_to_a_file(void *arg)
{
	char path[] = "test_log.XXXXXX", moved[32], text[2000];
	int fd = mkstemp(path);

	(void)arg;
	snprintf(moved, sizeof(moved), "%s.1", path);
	assert_true(fd >= 0);
	close(fd);
	assert_true(log_open(path));
	log_info("in the file");
	assert_int_equal(rename(path, moved), 0); /* logrotate */
	log_info("in the file that was moved");
	assert_true(log_open(path)); /* SIGHUP */
	log_info("in a new one");
	assert_false(log_open("/nowhere/at/all"));
	log_info("still there");
	assert_true(log_open(""));
	log_info("on standard error");

	read_back(moved, text, sizeof(text));
	assert_non_null(strstr(text, "in the file\n"));
	assert_non_null(strstr(text, "in the file that was moved\n"));
	assert_null(strstr(text, "<6>")); /* no journal reads it: the time stands there */
	assert_non_null(strstr(text, "Z info "));
	read_back(path, text, sizeof(text));
	assert_non_null(strstr(text, "in a new one\n"));
	assert_non_null(strstr(text, "still there\n"));
	assert_null(strstr(text, "standard error"));
	assert_int_equal(unlink(moved), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0); /* would wait for a reader */
	assert_false(log_open(path));
	assert_int_equal(unlink(path), 0);
}

TEST(a_file_can_be_moved_away)
{
	log_setup(LOG_L_INFO, LOG_F_TEXT);
	setenv("JOURNAL_STREAM", "8:1", 1);
	capture(log_to_a_file, NULL);
	unsetenv("JOURNAL_STREAM");
	assert_string_equal(captured, "<6>on standard error\n");
}

static void log_errno(void *arg)
{
	(void)arg;
	errno = ENOENT;
	log_warn("open: %m");
	assert_int_equal(errno, ENOENT);
	log_setup(LOG_L_ERROR, LOG_F_TEXT);
	log_warn("not shown");
	assert_int_equal(errno, ENOENT);
}

TEST(errno_is_told_and_kept)
{
	log_setup(LOG_L_INFO, LOG_F_TEXT);
	capture(log_errno, NULL);
	assert_non_null(strstr(captured, "open: No such file or directory\n"));
	assert_int_equal(lines(), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_value_stays_one_field),
		cmocka_unit_test(a_json_value_stays_one_member),
		cmocka_unit_test(what_turns_or_hides_text_is_escaped),
		cmocka_unit_test(a_cut_line_is_still_utf8),
		cmocka_unit_test(a_message_stays_one_line),
		cmocka_unit_test(a_long_line_is_cut_not_lost),
		cmocka_unit_test(a_cut_json_line_is_still_json),
		cmocka_unit_test(levels_cut_off),
		cmocka_unit_test(the_journal_gets_priorities),
		cmocka_unit_test(a_file_can_be_moved_away),
		cmocka_unit_test(errno_is_told_and_kept),
	};

	unsetenv("JOURNAL_STREAM");
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
