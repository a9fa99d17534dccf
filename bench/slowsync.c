/* A slow disk, for LD_PRELOAD: every fsync and fdatasync takes SLOWSYNC_US (2000) longer.
 *
 *     cc -shared -fPIC -O2 -o slowsync.so bench/slowsync.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

typedef int (*sync_call)(int);

static void wait_first(void)
{
	const char *given = getenv("SLOWSYNC_US");
	long us = given ? atol(given) : 2000;
	struct timespec left = {us / 1000000, (us % 1000000) * 1000};

	while (nanosleep(&left, &left) != 0)
		;
}

int fsync(int file)
{
	static sync_call real;

	if (!real)
		real = (sync_call)dlsym(RTLD_NEXT, "fsync");
	wait_first();
	return real(file);
}

int fdatasync(int file)
{
	static sync_call real;

	if (!real)
		real = (sync_call)dlsym(RTLD_NEXT, "fdatasync");
	wait_first();
	return real(file);
}
