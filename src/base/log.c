/* SPDX-License-Identifier: PostgreSQL
 * See log.h. Settings and spool are process-wide on purpose: a log line belongs to the process. */
#include "config.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/spool.h"
#include "base/utf8.h"

#define MAX_LINE    SPOOL_LINE_MAX /* bytes; a longer line is cut */
#define MAX_MEMBERS (MAX_LINE - 3) /* of JSON: leaves room for a quote, a brace, the newline */

static _Atomic int log_level = LOG_L_INFO;
static _Atomic int log_format = LOG_F_TEXT;
static _Atomic bool to_file;
static struct spool *_Atomic spool; /* NULL: lines are written at once */

static const struct {
	const char *name;
	const char *column;  /* the same in a line of text */
	const char *journal; /* sd-daemon(3) priority prefix */
} levels[] = {
	[LOG_L_ERROR] = {"error", " error   ", "<3>"},
	[LOG_L_WARN] = {"warning", " warning ", "<4>"},
	[LOG_L_INFO] = {"info", " info    ", "<6>"},
	[LOG_L_DEBUG] = {"debug", " debug   ", "<7>"},
};

void log_setup(enum log_level level, enum log_format format)
{
	log_level = (int)level;
	log_format = (int)format;
}

/* Where standard error went when the process began, from the first call on. */
static int first_stderr(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	return fd;
}

bool log_open(const char *path)
{
	autoclose int fd = -1;
	struct stat st;
	int at_first = first_stderr();

	if (!*path) {
		to_file = false;
		return at_first < 0 || dup2(at_first, STDERR_FILENO) >= 0;
	}
	/* A FIFO in its place must not stop us. */
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
	if (fd < 0 || fstat(fd, &st))
		return false;
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		return false;
	}
	/* The number stays, also for the thread that writes and for libraries' last words. */
	if (dup2(fd, STDERR_FILENO) < 0)
		return false;
	to_file = true;
	return true;
}

bool log_enabled(enum log_level level)
{
	return (int)level <= log_level;
}

/* What cannot be seen as what it is, so that a line is one line and reads in one direction. */
static void escaped_code(struct buf *b, uint32_t code, bool json)
{
	if (code < 0x80 && !json)
		buf_printf(b, "\\x%02x", (unsigned)code);
	else if (code < 0x10000)
		buf_printf(b, "\\u%04x", (unsigned)code);
	else if (json) /* a surrogate pair (RFC 8259 section 7) */
		buf_printf(b, "\\u%04x\\u%04x", (unsigned)(0xd7c0 + (code >> 10)),
			   (unsigned)(0xdc00 | (code & 0x3ff)));
	else
		buf_printf(b, "\\U%08x", (unsigned)code);
}

/* How many bytes at the beginning stand for themselves in every format. */
static size_t plain(const char *s)
{
	size_t n = 0;

	while (s[n] >= ' ' && s[n] <= '~' && s[n] != '"' && s[n] != '\\')
		n++;
	return n;
}

/* As many of them as there is room for. */
static void add_plain(struct buf *b, const char *s, size_t n)
{
	size_t room = b->max - b->len;

	buf_add(b, s, n < room ? n : room);
	b->failed |= n > room;
}

/* Whole characters or nothing: what is cut is cut between two. A byte that is none of UTF-8 is
 * \xNN; in JSON that is the text \xNN. `quoted`: also quotes and backslashes; otherwise these are
 * the daemon's own words, which may quote others, and lines of them become one. */
static void escaped(struct buf *b, const char *s, bool json, bool quoted)
{
	for (size_t left = strlen(s), n; left; s += n, left -= n) {
		uint32_t code;

		n = plain(s);
		if (n) {
			add_plain(b, s, n);
			continue;
		}
		n = utf8_len(s, left);
		code = n ? utf8_code(s, n) : 0;
		if (!n)
			buf_printf(b, json ? "\\\\x%02x" : "\\x%02x", (unsigned char)*s);
		else if (quoted && (code == '"' || code == '\\'))
			buf_printf(b, "\\%c", *s);
		else if (!quoted && (code == '\n' || code == '\t' || code == '\r'))
			buf_char(b, ' ');
		else if (utf8_unseen(code))
			escaped_code(b, code, json);
		else
			buf_add(b, s, n);
		n = n ? n : 1;
	}
}

/* Whether escaped() would change it, or a reader could not say where it ends. */
static bool needs_quotes(const char *s)
{
	if (!*s || strpbrk(s, " \"=\\"))
		return true;
	for (size_t left = strlen(s), n; left; s += n, left -= n) {
		n = plain(s);
		if (n)
			continue;
		n = utf8_len(s, left);
		if (!n || utf8_unseen(utf8_code(s, n)))
			return true;
	}
	return false;
}

/* All of it, or nothing when there is no room. */
static void add_key(struct buf *b, const char *before, const char *key, const char *after)
{
	if (b->failed || strlen(before) + strlen(key) + strlen(after) > b->max - b->len) {
		b->failed = true;
		return;
	}
	buf_str(b, before);
	buf_str(b, key);
	buf_str(b, after);
}

/* A member of the line's object. A long value is cut, and what is left is still JSON. */
static void json_member(struct buf *b, const char *key, const char *value)
{
	bool cut;

	add_key(b, ",\"", key, "\":\"");
	if (!buf_ok(b))
		return;
	escaped(b, value, true, true);
	cut = !buf_ok(b);
	b->failed = false;
	b->max = MAX_LINE;
	buf_char(b, '"');
	b->max = MAX_MEMBERS;
	b->failed = cut || b->len > MAX_MEMBERS; /* then no further members */
}

static void text_value(struct buf *b, const char *s)
{
	bool quote = needs_quotes(s);

	if (quote)
		buf_char(b, '"');
	escaped(b, s, false, true);
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

static void json_line(struct buf *b, enum log_level level, const char *message,
		      const struct log_field *fields)
{
	b->max = MAX_MEMBERS;
	buf_char(b, '{');
	stamp(b, true);
	buf_printf(b, ",\"level\":\"%s\"", levels[level].name);
	json_member(b, "message", message);
	for (; fields && fields->key; fields++)
		if (fields->value)
			json_member(b, fields->key, fields->value);
	b->failed = false;
	b->max = MAX_LINE - 1;
	buf_char(b, '}');
}

static void text_line(struct buf *b, enum log_level level, const char *message,
		      const struct log_field *fields)
{
	if (!to_file && getenv("JOURNAL_STREAM"))
		buf_str(b, levels[level].journal);
	else {
		stamp(b, false);
		buf_str(b, levels[level].column);
	}
	escaped(b, message, false, false);
	for (; fields && fields->key; fields++) {
		if (!fields->value)
			continue;
		add_key(b, " ", fields->key, "=");
		text_value(b, fields->value);
	}
}

/* Into an empty buffer: one line with its end. */
static void whole_line(struct buf *b, enum log_level level, const char *message,
		       const struct log_field *fields)
{
	b->max = MAX_LINE - 1;
	if (log_format == LOG_F_JSON)
		json_line(b, level, message, fields);
	else
		text_line(b, level, message, fields);
	b->max = MAX_LINE;
	b->failed = false;
	buf_char(b, '\n');
}

void log_with(enum log_level level, const char *message, const struct log_field *fields)
{
	struct spool *s = spool;
	int saved = errno;
	autobuf b = {0};

	if (!log_enabled(level))
		return;
	whole_line(&b, level, message, fields);
	if (s)
		spool_add(s, b.data, b.len);
	else /* one write: lines of two threads never mix */
		(void)!write(STDERR_FILENO, b.data, b.len);
	errno = saved;
}

static void lost_line(struct buf *b, uint64_t n)
{
	char lines[24];
	const struct log_field fields[] = {{"lines", lines}, {NULL, NULL}};

	snprintf(lines, sizeof(lines), "%" PRIu64, n);
	whole_line(b, LOG_L_WARN, "the log's reader stood still: lines were lost", fields);
}

bool log_spool(void)
{
	spool = spool_start(STDERR_FILENO, LOG_SPOOL_BYTES, lost_line);
	return spool != NULL;
}

void log_flush(unsigned wait_ms)
{
	if (spool)
		(void)spool_flush(spool, wait_ms);
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
