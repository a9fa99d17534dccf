/* A wall clock that can be stepped, for processes that load this before libc.
 *
 * The file named by CRASH_CLOCK holds how far the clock is off, in nanoseconds, as one int64. It is
 * mapped, so a step takes effect at once in every process. Monotonic clocks are left alone, as they
 * are when the clock of a real host is stepped.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static volatile const int64_t *offset;

__attribute__((constructor)) static void open_clock(void) {
  const char *path = getenv("CRASH_CLOCK");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *found = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
  if (found != MAP_FAILED) offset = found;
  close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  long failed = syscall(SYS_clock_gettime, clock, now);
  if (failed || !offset || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
    return (int)failed;
  int64_t told = now->tv_sec * SECOND + now->tv_nsec + *offset;
  now->tv_sec = told / SECOND;
  now->tv_nsec = told % SECOND;
  return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec told;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &told)) return -1;
  now->tv_sec = told.tv_sec;
  now->tv_usec = told.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *kept) {
  struct timespec told;
  clock_gettime(CLOCK_REALTIME, &told);
  if (kept) *kept = told.tv_sec;
  return told.tv_sec;
}
