// SPDX-License-Identifier: Apache-2.0
// A TCP connect scan.
//   scan refused ADDRESS FIRST_PORT PORTS RATE COUNT    waits for each answer
//   scan filtered ADDRESS FIRST_PORT PORTS RATE COUNT   256 under way; the oldest is given up for
//   the next
// At most 50,000 a second and 500,000 in all.
#include "tests/bench/attribution/bins/gen.h"

#define UNDER_WAY 256

int main(int argc, char** argv) {
  if (argc != 7) return 2;
  const int wait = strcmp(argv[1], "refused") == 0, first = atoi(argv[3]), ports = atoi(argv[4]);
  const long rate = atol(argv[5]), count = atol(argv[6]);
  static int open_fds[UNDER_WAY];
  long attempts = 0, refused = 0, ok = 0, pending = 0, other = 0;
  if (ports < 1 || rate < 1 || rate > 50000 || count > 500000) return 2;
  wait_if_asked();
  const double began = seconds_now();
  for (; attempts < count; ++attempts) {
    while ((double)attempts > (seconds_now() - began) * (double)rate) usleep(200);
    struct endpoint to = endpoint_of(argv[2], first + (int)(attempts % ports));
    const int fd =
        socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | (wait ? 0 : SOCK_NONBLOCK), 0);
    if (fd < 0) die("socket");
    if (connect(fd, &to.any, to.length) == 0) {
      ++ok;
    } else if (errno == ECONNREFUSED) {
      ++refused;
    } else if (errno == EINPROGRESS) {
      ++pending;
    } else {
      ++other;
    }
    if (wait) {
      close(fd);
      continue;
    }
    int* slot = &open_fds[attempts % UNDER_WAY];
    if (*slot > 0) close(*slot);
    *slot = fd;
  }
  for (int i = 0; i < UNDER_WAY; ++i)
    if (open_fds[i] > 0) close(open_fds[i]);
  const double took = seconds_now() - began;
  printf(
      "{\"pid\":%d,\"attempts\":%ld,\"refused\":%ld,\"ok\":%ld,\"given_up\":%ld,\"other\":%ld,"
      "\"per_second\":%.0f}\n",
      getpid(), attempts, refused, ok, pending, other, (double)attempts / took);
  fflush(stdout);
  return 0;
}
