/* SPDX-License-Identifier: PostgreSQL
 * See log.h. The two settings are process-wide on purpose: a log line belongs to the process. */
#include "config.h"
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"

#define MAX_LINE    8192	   /* bytes; a longer line is cut */
#define MAX_MEMBERS (MAX_LINE - 3) /* of JSON: leaves room for a quote, a brace, the newline */

static _Atomic int log_level = LOG_L_INFO;
static _Atomic int log_format = LOG_F_TEXT;

static const struct {
	const char *name;
	const char *journal; /* sd-daemon(3) priority prefix */
} levels[] = {
	[LOG_L_ERROR] = {"error", "<3>"},
	[LOG_L_WARN] = {"warning", "<4>"},
	[LOG_L_INFO] = {"info", "<6>"},
	[LOG_L_DEBUG] = {"debug", "<7>"},
};

void log_setup(enum log_level level, enum log_format format)
{
	log_level = (int)level;
	log_format = (int)format;
}

bool log_enabled(enum log_level level)
{
	return (int)level <= log_level;
}

/* Control bytes, quotes and backslashes as \xNN or \": one line stays one line. */
static void escaped(struct buf *b, const char *s, bool json)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			buf_printf(b, json ? "\\u%04x" : "\\x%02x", c);
		else
			buf_char(b, (char)c);
	}
}

/* A member of the line's object. A long value is cut, and what is left is still JSON. */
static void json_member(struct buf *b, const char *key, const char *value)
{
	bool cut;

	buf_printf(b, ",\"%s\":\"", key);
	if (!buf_ok(b))
		return;
	escaped(b, value, true);
	cut = !buf_ok(b);
	b->failed = false;
	b->max = MAX_LINE;
	buf_char(b, '"');
	b->max = MAX_MEMBERS;
	b->failed = cut || b->len > MAX_MEMBERS; /* then no further members */
}

static void text_value(struct buf *b, const char *s)
{
	bool quote = !*s || strpbrk(s, " \"=\\") != NULL;

	for (const char *p = s; *p && !quote; p++)
		quote = (unsigned char)*p < 0x20 || *p == 0x7f;
	if (quote)
		buf_char(b, '"');
	escaped(b, s, false);
	if (quote)
		buf_char(b, '"');
}

static void stamp(struct buf *b, bool json)
{
	struct timespec ts;
	struct tm tm;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	buf_printf(b, json ? "\"time\":\"%s.%03ldZ\"" : "%s.%03ldZ", text, ts.tv_nsec / 1000000);
}

void log_with(enum log_level level, const char *message, const struct log_field *fields)
{
	int saved = errno;
	autobuf b = {0};
	ssize_t n;

	if (!log_enabled(level))
		return;
	buf_init(&b, MAX_LINE - 1);
	if (log_format == LOG_F_JSON) {
		b.max = MAX_MEMBERS;
		buf_char(&b, '{');
		stamp(&b, true);
		buf_printf(&b, ",\"level\":\"%s\"", levels[level].name);
		json_member(&b, "message", message);
		for (; fields && fields->key; fields++)
			if (fields->value)
				json_member(&b, fields->key, fields->value);
		b.failed = false;
		b.max = MAX_LINE - 1;
		buf_char(&b, '}');
	} else {
		if (getenv("JOURNAL_STREAM"))
			buf_str(&b, levels[level].journal);
		else {
			stamp(&b, false);
			buf_printf(&b, " %-7s ", levels[level].name);
		}
		for (const char *p = message; *p; p++) /* the daemon's own words: only newlines */
			buf_char(&b, (unsigned char)*p < 0x20 ? ' ' : *p);
		for (; fields && fields->key; fields++) {
			if (!fields->value)
				continue;
			buf_printf(&b, " %s=", fields->key);
			text_value(&b, fields->value);
		}
	}
	b.max = MAX_LINE;
	b.failed = false;
	buf_char(&b, '\n');
	n = write(STDERR_FILENO, b.data, b.len); /* one write: lines of two threads never mix */
	(void)n;
	errno = saved;
}

static void log_va(enum log_level level, const char *fmt, va_list ap)
{
	char text[MAX_LINE]; /* cuts a longer one */
	int saved = errno;

	if (!log_enabled(level))
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	log_with(level, text, NULL);
	errno = saved;
}

#define LOG_FUNCTION(name, level)                                                                  \
	void name(const char *fmt, ...)                                                            \
	{                                                                                          \
		va_list ap;                                                                        \
                                                                                                   \
		va_start(ap, fmt);                                                                 \
		log_va(level, fmt, ap);                                                            \
		va_end(ap);                                                                        \
	}

LOG_FUNCTION(log_error, LOG_L_ERROR)
LOG_FUNCTION(log_warn, LOG_L_WARN)
LOG_FUNCTION(log_info, LOG_L_INFO)
LOG_FUNCTION(log_debug, LOG_L_DEBUG)
