/* SPDX-License-Identifier: PostgreSQL
 * Preloaded into the daemon: counts what it allocates, in a file that the guard reads meanwhile. */
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct counts {
	_Atomic uint64_t calls; /* malloc, calloc, realloc */
	_Atomic int64_t bytes;	/* in use */
};

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);

static struct counts early, *counts = &early;

static void *count(void *p)
{
	atomic_fetch_add(&counts->calls, 1);
	atomic_fetch_add(&counts->bytes, (int64_t)malloc_usable_size(p));
	return p;
}

static void uncount(void *p)
{
	atomic_fetch_sub(&counts->bytes, (int64_t)malloc_usable_size(p));
}

void *malloc(size_t size)
{
	return count(__libc_malloc(size));
}

void *calloc(size_t n, size_t size)
{
	return count(__libc_calloc(n, size));
}

void *realloc(void *p, size_t size)
{
	uncount(p);
	return count(__libc_realloc(p, size));
}

void free(void *p)
{
	uncount(p);
	__libc_free(p);
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("GUARD_COUNTS");
	int fd = path ? open(path, O_RDWR) : -1;
	struct counts *shared;

	if (fd < 0)
		return;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (shared == MAP_FAILED)
		return;
	*shared = early;
	counts = shared;
}
