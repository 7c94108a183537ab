// SPDX-License-Identifier: Apache-2.0
// Preloaded into a daemon: its wall clock is SKEW_SECONDS ahead. All other clocks are as they are.
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec* t) {
  const int result = (int)syscall(SYS_clock_gettime, clock, t);
  const char* skew = getenv("SKEW_SECONDS");
  if (result == 0 && clock == CLOCK_REALTIME && skew != NULL) t->tv_sec += atol(skew);
  return result;
}
