/* SPDX-License-Identifier: PostgreSQL
 * See download.h. Must not trust the server with more than a bounded number of bytes and seconds.
 */
#include "config.h"
#include "net/download.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/num.h"

void download_free(struct download *d)
{
	if (!d)
		return;
	free(d->url);
	free(d->ca_file);
	free(d->etag);
	free(d->body);
	free(d);
}

/* --- what may be asked ----------------------------------------------------------------------- */

static const char *skip(const char *text, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(text, prefix, len) ? NULL : text + len;
}

/* Past a host's name or address, or NULL. */
static const char *after_host(const char *at)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._";
	const char *end;

	if (*at == '[') {
		end = at + 1 + strspn(at + 1, "0123456789abcdefABCDEF:.");
		return *end == ']' && end > at + 1 ? end + 1 : NULL;
	}
	end = at + strspn(at, letters);
	return end > at ? end : NULL;
}

static bool is_local(const char *host, size_t len)
{
	static const char *const names[] = {"127.0.0.1", "[::1]", "localhost"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (len == strlen(names[i]) && !memcmp(host, names[i], len))
			return true;
	return false;
}

bool download_url_valid(const char *url)
{
	const char *host = skip(url, "https://"), *end;
	bool plain = !host;
	uint64_t port;

	if (plain)
		host = skip(url, "http://");
	end = host ? after_host(host) : NULL;
	if (!end || (plain && !is_local(host, (size_t)(end - host))))
		return false;
	if (*end == ':') {
		size_t digits = strspn(++end, "0123456789");

		if (!num_u64(end, digits, &port) || !port || port > 65535)
			return false;
		end += digits;
	}
	if (*end && *end != '/')
		return false;
	for (; *end; end++)
		if (*end <= ' ' || *end > '~' || strchr("\"#\\<>^`{|}", *end))
			return false;
	return true;
}

/* --- what a header says ---------------------------------------------------------------------- */

static bool directive_is(const char *at, size_t len, const char *name)
{
	return len == strlen(name) && !strncasecmp(at, name, len);
}

/* RFC 9111 section 5.2: directives between commas. A quoted number is one, too. */
int64_t download_max_age(const char *value, size_t len)
{
	const char *end = value + len;
	int64_t age = -1;

	while (value < end) {
		const char *comma = memchr(value, ',', (size_t)(end - value));
		const char *stop = comma ? comma : end, *next = comma ? comma + 1 : end, *equals;
		uint64_t n;

		while (value < stop && strchr(" \t\"", *value) && *value)
			value++;
		while (stop > value && strchr(" \t\r\n\"", stop[-1]) && stop[-1])
			stop--;
		equals = memchr(value, '=', (size_t)(stop - value));
		if (directive_is(value, (size_t)(stop - value), "no-store") ||
		    directive_is(value, (size_t)(stop - value), "no-cache"))
			return 0;
		if (equals && directive_is(value, (size_t)(equals - value), "max-age")) {
			equals += 1 + (equals + 1 < stop && equals[1] == '"');
			if (num_u64(equals, (size_t)(stop - equals), &n))
				age = n > INT32_MAX ? INT32_MAX : (int64_t)n;
		}
		value = next;
	}
	return age;
}

#ifdef HAVE_LIBCURL

#include <curl/curl.h>

/* One that is under way. */
struct transfer {
	struct list node;
	struct download *download;
	CURL *easy;
	struct curl_slist *headers;
	char error[CURL_ERROR_SIZE];
	size_t header_bytes;
	const char *broken; /* why it was broken off by us */
	char *etag;
};

bool downloads_possible(void)
{
	return true;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	struct download *d = t->download;

	n *= size;
	if (n > d->max_bytes - d->len) {
		t->broken = "the answer is too large";
		return n ? 0 : 1;
	}
	if (!n)
		return 0;
	d->body = xrealloc(d->body, d->len + n + 1, 1);
	memcpy(d->body + d->len, bytes, n);
	d->len += n;
	d->body[d->len] = '\0';
	return n;
}

/* The value of a header line, without blanks around it; NULL when it is another one. */
static const char *header_value(const char *line, size_t len, const char *name, size_t *ret_len)
{
	size_t at = strlen(name);

	if (len < at || strncasecmp(line, name, at) != 0)
		return NULL;
	while (at < len && (line[at] == ' ' || line[at] == '\t'))
		at++;
	while (len > at && isspace((unsigned char)line[len - 1]))
		len--;
	*ret_len = len - at;
	return line + at;
}

static bool is_visible(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return len > 0;
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	const char *value;
	size_t len;

	n *= size;
	t->header_bytes += n;
	if (t->header_bytes > DOWNLOAD_HEADERS_MAX) {
		t->broken = "the answer's headers are too large";
		return n ? 0 : 1;
	}
	if ((value = header_value(line, n, "Cache-Control:", &len))) {
		t->download->max_age_s = download_max_age(value, len);
	} else if ((value = header_value(line, n, "ETag:", &len)) && len <= DOWNLOAD_ETAG_MAX &&
		   is_visible(value, len)) {
		free(t->etag);
		t->etag = xstrndup(value, len);
	}
	return n;
}

static bool set_options(struct transfer *t)
{
	struct download *d = t->download;
	CURL *c = t->easy;
	bool plain = !strncmp(d->url, "http://", 7);
	bool ok = true;

#define SET(option, value) ok = ok && curl_easy_setopt(c, option, value) == CURLE_OK
	SET(CURLOPT_URL, d->url);
	SET(CURLOPT_ERRORBUFFER, t->error);
	SET(CURLOPT_PRIVATE, t);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_FOLLOWLOCATION, 0L); /* where it leads nobody has said */
#if LIBCURL_VERSION_NUM >= 0x075500
	SET(CURLOPT_PROTOCOLS_STR, plain ? "http" : "https");
#else
	SET(CURLOPT_PROTOCOLS, (long)(plain ? CURLPROTO_HTTP : CURLPROTO_HTTPS));
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
	SET(CURLOPT_QUICK_EXIT, 1L); /* a name server that is silent holds up no stop */
#endif
	if (plain)
		SET(CURLOPT_PROXY, "");
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (d->ca_file) {
		SET(CURLOPT_CAINFO, d->ca_file);
		SET(CURLOPT_CAPATH, NULL); /* these and no others */
	}
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)DOWNLOAD_CONNECT_MS);
	SET(CURLOPT_TIMEOUT_MS, (long)DOWNLOAD_TIME_MS);
	SET(CURLOPT_USERAGENT, "pgherald/" PACKAGE_VERSION);
	SET(CURLOPT_HTTPHEADER, t->headers);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, t);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, t);
#undef SET
	return ok;
}

static void add_header(struct transfer *t, const char *line)
{
	struct curl_slist *longer = curl_slist_append(t->headers, line);

	if (longer)
		t->headers = longer;
}

static void transfer_free(struct transfer *t, CURLM *multi)
{
	list_remove(&t->node);
	if (t->easy) {
		curl_multi_remove_handle(multi, t->easy);
		curl_easy_cleanup(t->easy);
	}
	curl_slist_free_all(t->headers);
	free(t->etag);
	free(t);
}

/* Goes back to whoever asked. */
static void finish(struct downloads *all, struct transfer *t, CURLcode code)
{
	struct download *d = t->download;
	long status = 0;

	if (t->easy)
		curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (t->broken)
		snprintf(d->why, sizeof(d->why), "%s", t->broken);
	else if (code != CURLE_OK)
		snprintf(d->why, sizeof(d->why), "%s",
			 *t->error ? t->error : curl_easy_strerror(code));
	else if (status == 304 && d->etag)
		d->ok = d->unchanged = true;
	else if (status == 200)
		d->ok = true;
	else
		snprintf(d->why, sizeof(d->why), "the answer is %ld%s", status,
			 status >= 300 && status < 400 ? ", and no redirection is followed" : "");
	if (d->ok && !d->unchanged) {
		free(d->etag);
		d->etag = t->etag;
		t->etag = NULL;
	}
	transfer_free(t, all->multi);
	inbox_post(&all->inbox, &d->letter);
}

static void begin(struct downloads *all, struct list *transfers, struct download *d)
{
	struct transfer *t = xcalloc(1, sizeof(*t));

	t->download = d;
	d->max_age_s = -1;
	list_push(transfers, &t->node);
	t->easy = curl_easy_init();
	add_header(t, "Accept: application/jwk-set+json, application/json");
	/* Who names none accepts all (RFC 9110 section 12.5.3), and what it sends is not unpacked.
	 */
	add_header(t, "Accept-Encoding: identity");
	if (d->etag) {
		autofree char *line = xasprintf("If-None-Match: %s", d->etag);

		add_header(t, line);
	}
	if (!t->easy || !set_options(t) || curl_multi_add_handle(all->multi, t->easy) != CURLM_OK)
		finish(all, t, CURLE_FAILED_INIT);
}

/* False when it is time to stop. */
static bool take_wanted(struct downloads *all, struct list *transfers)
{
	struct list wanted;
	bool go_on;

	list_init(&wanted);
	pthread_mutex_lock(&all->lock);
	list_splice(&wanted, &all->wanted);
	go_on = !all->stopping;
	pthread_mutex_unlock(&all->lock);
	LIST_EACH (&wanted, node, tmp) {
		struct download *d = LIST_ENTRY(node, struct download, letter.node);

		list_remove(node);
		if (go_on)
			begin(all, transfers, d);
		else
			download_free(d);
	}
	return go_on;
}

static void *run(void *arg)
{
	struct downloads *all = arg;
	struct list transfers;
	int left;

	list_init(&transfers);
	while (take_wanted(all, &transfers)) {
		CURLMsg *m;

		curl_multi_perform(all->multi, &left);
		while ((m = curl_multi_info_read(all->multi, &left))) {
			CURLcode code = m->data.result;
			struct transfer *t = NULL;

			if (m->msg == CURLMSG_DONE &&
			    curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t) == CURLE_OK &&
			    t)
				finish(all, t, code);
		}
		curl_multi_poll(all->multi, NULL, 0, 60000, NULL);
	}
	LIST_EACH (&transfers, node, tmp) {
		struct transfer *t = LIST_ENTRY(node, struct transfer, node);

		download_free(t->download);
		transfer_free(t, all->multi);
	}
	return NULL;
}

static bool start(struct downloads *all)
{
	if (all->runs)
		return true;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return false;
	all->multi = curl_multi_init();
	all->runs = all->multi && !pthread_create(&all->thread, NULL, run, all);
	if (!all->runs) {
		curl_multi_cleanup(all->multi);
		curl_global_cleanup();
	}
	return all->runs;
}

static void wake(struct downloads *all)
{
	curl_multi_wakeup(all->multi);
}

static void end(struct downloads *all)
{
	pthread_join(all->thread, NULL);
	curl_multi_cleanup(all->multi);
	curl_global_cleanup();
}

#else

bool downloads_possible(void)
{
	return false;
}

static bool start(struct downloads *all)
{
	(void)all;
	return false;
}

static void wake(struct downloads *all)
{
	(void)all;
}

static void end(struct downloads *all)
{
	(void)all;
}

#endif

/* --- between the threads --------------------------------------------------------------------- */

static void open_post(void *arg, struct list *letters)
{
	(void)arg;
	LIST_EACH (letters, node, tmp) {
		struct download *d = LIST_ENTRY(node, struct download, letter.node);

		list_remove(node);
		d->done(d);
	}
}

bool downloads_init(struct downloads *all, struct loop *loop)
{
	list_init(&all->wanted);
	pthread_mutex_init(&all->lock, NULL);
	return inbox_init(&all->inbox, loop, open_post, all);
}

void downloads_ask(struct downloads *all, struct download *d)
{
	if (!start(all)) {
		snprintf(d->why, sizeof(d->why), "there is no thread to ask with");
		inbox_post(&all->inbox, &d->letter);
		return;
	}
	pthread_mutex_lock(&all->lock);
	list_push(&all->wanted, &d->letter.node);
	pthread_mutex_unlock(&all->lock);
	wake(all);
}

static void drop(struct letter *l)
{
	download_free((struct download *)l);
}

void downloads_stop(struct downloads *all)
{
	pthread_mutex_lock(&all->lock);
	all->stopping = true;
	pthread_mutex_unlock(&all->lock);
	if (all->runs) {
		wake(all);
		end(all);
	}
	inbox_close(&all->inbox, drop);
	pthread_mutex_destroy(&all->lock);
}
