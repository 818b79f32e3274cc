/* SPDX-License-Identifier: PostgreSQL
 * See head.h. Section numbers are RFC 9112's unless another is named. */
#include "config.h"
#include "wire/head.h"

#include <string.h>
#include <strings.h>

#include "base/num.h"

#define PART_BYTES                                                                                 \
	64 /* what libmicrohttpd keeps for a field, a parameter or a cookie, rounded up */
#define METHOD_MAX  32
#define VERSION_LEN 8 /* HTTP/1.1 */

static bool bad(struct head *h, unsigned status, const char *why)
{
	h->verdict = HEAD_BAD;
	h->status = status;
	h->why = why;
	return false;
}

/* RFC 9110 section 5.6.2 */
static bool tchar(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static size_t token_len(const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && tchar(s[n]))
		n++;
	return n;
}

static bool is(const char *s, size_t len, const char *word)
{
	return len == strlen(word) && !memcmp(s, word, len);
}

static bool is_any_case(const char *s, size_t len, const char *word)
{
	return len == strlen(word) && !strncasecmp(s, word, len);
}

static bool hex(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* Section 3.2, in the two forms that a server of its own content is sent. A NUL would end what
 * comes behind it, so its escape is no more welcome than itself. */
static bool check_target(struct head *h, const char *s, size_t len)
{
	bool query = false;

	if (!len)
		return bad(h, 400, "The request line has no target.");
	if (len > HEAD_TARGET)
		return bad(h, 414, "The request target is longer than 8 KiB.");
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '!' || s[i] > '~' || s[i] == '#')
			return bad(h, 400,
				   "The request target has a character that must be escaped.");
		if (s[i] == '%' && (len - i < 3 || !hex(s[i + 1]) || !hex(s[i + 2])))
			return bad(h, 400,
				   "The request target has a % without two hexadecimal digits.");
		if (s[i] == '%' && s[i + 1] == '0' && s[i + 2] == '0')
			return bad(h, 400, "The request target has an escaped NUL.");
		/* A proxy that compares paths may see one segment, and we two. */
		if (!query && s[i] == '%' && s[i + 1] == '2' && (s[i + 2] | 0x20) == 'f')
			return bad(h, 400, "The path has an escaped slash.");
		query |= s[i] == '?';
		h->parts += query && (s[i] == '?' || s[i] == '&') ? PART_BYTES : 0;
	}
	if (*s != '/' && !is(s, len, "*") && strncasecmp(s, "http://", 7) != 0 &&
	    strncasecmp(s, "https://", 8) != 0 && !h->other_method)
		return bad(h, 400, "The request target must begin with /.");
	return true;
}

static bool check_version(struct head *h, const char *s, size_t len)
{
	if (len != VERSION_LEN || memcmp(s, "HTTP/", 5) != 0 || s[5] < '0' || s[5] > '9' ||
	    s[6] != '.' || s[7] < '0' || s[7] > '9')
		return bad(h, 400, "The request line is none of HTTP/1.1.");
	if (s[5] != '1')
		return bad(h, 505, "Only HTTP/1.1 and HTTP/1.0 are spoken here.");
	h->http10 = s[7] == '0';
	return true;
}

/* method SP request-target SP HTTP-version, with single spaces (section 3). */
static bool check_request_line(struct head *h, const char *s, size_t len)
{
	size_t method = token_len(s, len), target = method + 1;
	const char *end = method < len ? memchr(s + target, ' ', len - target) : NULL;

	if (!method || method > METHOD_MAX || method == len || s[method] != ' ' || !end)
		return bad(h, 400, "The request line is none of HTTP/1.1.");
	h->head_method = is(s, method, "HEAD");
	h->other_method = !h->head_method && !is(s, method, "GET") && !is(s, method, "OPTIONS") &&
			  !is(s, method, "POST") && !is(s, method, "DELETE");
	h->post = is(s, method, "POST");
	h->target = h->len + target;
	h->target_len = (size_t)(end - s) - target;
	return check_version(h, end + 1, len - (size_t)(end + 1 - s)) &&
	       check_target(h, s + target, h->target_len);
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* reg-name of RFC 3986 section 3.2.2, but for the comma, which two headers are joined with; inside
 * of brackets an address, which may have a zone. */
static bool host_char(char c, bool in_brackets)
{
	if (digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
		return true;
	return strchr(in_brackets ? ":.-_~%" : "-._~%!$&'()*+;=", c) != NULL;
}

/* uri-host [ ":" port ] (RFC 9110 section 7.2): nothing that another server could take for the end
 * of it. It may be empty. */
static bool check_host(struct head *h, const char *s, size_t len)
{
	bool brackets = len && *s == '[';
	size_t i = brackets;

	while (i < len && host_char(s[i], brackets))
		i++;
	if (brackets && (i == len || s[i++] != ']'))
		return bad(h, 400, "The Host header is no host.");
	if (i < len && s[i] == ':')
		for (i++; i < len && digit(s[i]);)
			i++;
	return i == len || bad(h, 400, "The Host header is no host.");
}

/* One number (section 6.3): "5, 5" and "+5" are read differently by different servers. And nothing
 * behind it, though a space may stand there: libmicrohttpd would refuse that in its own words. */
static bool check_content_length(struct head *h, const char *s, size_t len)
{
	bool zero = true;

	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return bad(h, 400, "The Content-Length header is no number.");
		zero &= s[i] == '0';
	}
	if (!len)
		return bad(h, 400, "The Content-Length header is no number.");
	h->body |= !zero;
	if (!num_u64(s, len, &h->body_len))
		h->body_len = UINT64_MAX; /* too many digits */
	return true;
}

static bool check_transfer_encoding(struct head *h, const char *s, size_t len)
{
	if (!is_any_case(s, len, "chunked"))
		return bad(h, 501, "No Transfer-Encoding but chunked is known here.");
	h->body = h->chunked = true;
	return true;
}

static bool check_expect(struct head *h, const char *s, size_t len)
{
	if (is_any_case(s, len, "100-continue"))
		return true;
	return bad(h, 417, "No expectation but 100-continue is known here.");
}

static bool check_origin(struct head *h, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] < '!' || s[i] > '~')
			return bad(h, 400, "The Origin header is none.");
	return true;
}

/* Whether the last cookie's value is one quote: to libmicrohttpd it begins and ends with one, and
 * has -1 bytes between, too many for it. */
static bool ends_half_quoted(const char *s, size_t len)
{
	size_t begin = len;

	if (len < 2 || s[len - 1] != '"' || s[len - 2] != '=')
		return false;
	while (begin && s[begin - 1] != ';' && s[begin - 1] != ',')
		begin--;
	return memchr(s + begin, '=', len - begin) == s + len - 2;
}

static bool check_cookie(struct head *h, const char *s, size_t len)
{
	h->parts += len; /* a parser works on a copy */
	for (size_t i = 0; i < len; i++)
		h->parts += s[i] == ';' || s[i] == ',' ? PART_BYTES : 0;
	return !ends_half_quoted(s, len) || bad(h, 400, "A cookie is half a quote.");
}

/* Fields that may stand there once: with two of them, one server believes the first, the next one
 * the last. What somebody has to say about the value of one comes as `check`. */
enum once { HOST, CONTENT_LENGTH, TRANSFER_ENCODING, N_FRAMING };
static const struct {
	const char *name, *twice;
	bool (*check)(struct head *h, const char *value, size_t len);
} once[] = {
	[HOST] = {"Host", "There are two Host headers.", check_host},
	[CONTENT_LENGTH] = {"Content-Length", "There are two Content-Length headers.",
			    check_content_length},
	[TRANSFER_ENCODING] = {"Transfer-Encoding", "There are two Transfer-Encoding headers.",
			       check_transfer_encoding},
	{"Origin", "There are two Origin headers.", check_origin},
	{"Cookie", "There are two Cookie headers.", check_cookie},
	{"Expect", "There are two Expect headers.", check_expect},
	{"Authorization", "There are two Authorization headers.", NULL},
	{"Last-Event-ID", "There are two Last-Event-ID headers.", NULL},
	{"Sec-Fetch-Site", "There are two Sec-Fetch-Site headers.", NULL},
};

static bool check_known(struct head *h, size_t name_len, const char *line, const char *value,
			size_t value_len, size_t raw_len)
{
	size_t at = h->len + (size_t)(value - line);

	for (size_t i = 0; i < sizeof(once) / sizeof(*once); i++) {
		if (!is_any_case(line, name_len, once[i].name))
			continue;
		if (h->seen >> i & 1)
			return bad(h, 400, once[i].twice);
		h->seen |= (uint32_t)1 << i;
		if (i == HOST) {
			h->host = at;
			h->host_len = value_len;
		} else if (once[i].check == check_origin) {
			h->origin = at;
			h->origin_len = value_len;
		}
		if (i == CONTENT_LENGTH)
			value_len = raw_len;
		return !once[i].check || once[i].check(h, value, value_len);
	}
	return true;
}

/* field-name ":" OWS field-value OWS (section 5) */
static bool check_field(struct head *h, const char *s, size_t len)
{
	size_t name = token_len(s, len), value = name + 1, raw;

	if (*s == ' ' || *s == '\t')
		return bad(h, 400, "A header is folded into two lines.");
	if (name < len && name && (s[name] == ' ' || s[name] == '\t'))
		return bad(h, 400, "There is a space before the colon of a header.");
	if (!name || name == len || s[name] != ':')
		return bad(h, 400, "A line is no header.");
	for (size_t i = value; i < len; i++)
		if (((unsigned char)s[i] < ' ' && s[i] != '\t') || s[i] == 0x7f)
			return bad(h, 400, "A header has a control character.");
	while (value < len && (s[value] == ' ' || s[value] == '\t'))
		value++;
	raw = len - value;
	while (len > value && (s[len - 1] == ' ' || s[len - 1] == '\t'))
		len--;
	h->parts += PART_BYTES;
	return check_known(h, name, s, s + value, len - value, raw);
}

static bool has(const struct head *h, enum once field)
{
	return h->seen >> field & 1;
}

/* An absolute target has a host too, which must not be another one (section 3.2.2). */
static bool same_host(const struct head *h, const char *bytes)
{
	const char *s = bytes + h->target;
	size_t begin = 0, end;

	if (*s == '/' || *s == '*' || (!has(h, HOST) && h->http10))
		return true;
	while (s[begin++] != '/') /* check_target() has seen "//" */
		;
	for (end = ++begin; end < h->target_len && s[end] != '/' && s[end] != '?';)
		end++;
	return end - begin == h->host_len && !strncasecmp(s + begin, bytes + h->host, end - begin);
}

/* What no single line tells. */
static bool check_whole(struct head *h, const char *bytes)
{
	if (has(h, TRANSFER_ENCODING) && has(h, CONTENT_LENGTH))
		return bad(h, 400, "There are both Content-Length and Transfer-Encoding.");
	if (has(h, TRANSFER_ENCODING) && h->http10)
		return bad(h, 400, "HTTP/1.0 has no Transfer-Encoding.");
	if (!has(h, HOST) && !h->http10)
		return bad(h, 400, "There is no Host header.");
	if (h->other_method)
		return bad(h, 405, "Method not allowed.");
	if (!same_host(h, bytes))
		return bad(h, 400, "The request target and the Host header name two hosts.");
	if (h->body && (!h->post || h->chunked))
		return bad(h, 413, "No request with a body is taken here.");
	if (h->body && h->body_len > HEAD_BODY_MAX)
		return bad(h, 413, "No request with a body of more than 1 MiB is taken here.");
	h->verdict = HEAD_OK;
	return true;
}

/* A line without its end; false when the verdict is in. */
static bool check_line(struct head *h, const char *bytes, size_t len)
{
	const char *s = bytes + h->len;

	if (h->started && !len) {
		h->len += 2;
		(void)check_whole(h, bytes);
		return false;
	}
	/* An empty line before the first one is left over from somebody's last request (2.2). */
	if (!len && !h->len) {
		h->len = 2;
		return true;
	}
	if (h->started ? !check_field(h, s, len) : !check_request_line(h, s, len))
		return false;
	h->started = true;
	h->len += len + 2;
	if (h->parts > HEAD_PARTS_MAX)
		return bad(h, 431, "There are too many headers, parameters or cookies.");
	return true;
}

/* What need not be looked at to its end, which may never come: another protocol, such as TLS, and
 * what is too long. `end` is where the line ends, or what has come. */
static bool check_beginning(struct head *h, const char *bytes, size_t end)
{
	if (h->started || end == h->len)
		return true;
	if (!tchar(bytes[h->len]) && bytes[h->len] != '\r')
		return bad(h, 400, "The request line is none of HTTP/1.1.");
	if (end - h->len > HEAD_TARGET + METHOD_MAX + VERSION_LEN + 2)
		return bad(h, 414, "The request target is longer than 8 KiB.");
	return true;
}

enum head_verdict head_check(struct head *h, const char *bytes, size_t len)
{
	if (len > HEAD_MAX)
		len = HEAD_MAX;
	while (h->verdict == HEAD_PART && h->searched < len) {
		const char *newline = memchr(bytes + h->searched, '\n', len - h->searched);
		size_t end = newline ? (size_t)(newline - bytes) : len;

		h->searched = newline ? end + 1 : end;
		if (!check_beginning(h, bytes, end) || !newline)
			break;
		if (end == h->len || bytes[end - 1] != '\r')
			(void)bad(h, 400, "A line ends without a carriage return.");
		else if (!check_line(h, bytes, end - 1 - h->len))
			break;
	}
	if (h->verdict == HEAD_PART && len == HEAD_MAX)
		(void)bad(h, 431, "The head of the request is longer than 16 KiB.");
	return h->verdict;
}

void head_find_origin(struct head *h, const char *bytes, size_t len)
{
	static const char name[] = "\norigin:";

	for (size_t i = h->len; !h->origin && i + sizeof(name) - 1 <= len; i++) {
		size_t at = i + sizeof(name) - 1, n = 0;

		if (strncasecmp(bytes + i, name, sizeof(name) - 1) != 0)
			continue;
		while (at < len && (bytes[at] == ' ' || bytes[at] == '\t'))
			at++;
		while (at + n < len && bytes[at + n] > ' ' && bytes[at + n] <= '~')
			n++;
		h->origin = at;
		h->origin_len = n;
	}
}
