// SPDX-License-Identifier: Apache-2.0
// storm ADDRESS PORT PER_SECOND SECONDS: blocking connects at a steady rate, and what came of them as one JSON line.
// Meant for a port of the own host that nobody listens on. At most 50,000 a second for 60 seconds.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[2]))};
  if (inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) return 2;
  const long rate = atol(argv[3]), seconds = atol(argv[4]);
  if (rate < 1 || rate > 50000 || seconds < 1 || seconds > 60) return 2;
  long attempts = 0, refused = 0, ok = 0, other = 0;
  const double began = now();
  while (attempts < rate * seconds) {
    while ((double)attempts > (now() - began) * (double)rate) usleep(500);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return 1;
    ++attempts;
    if (connect(fd, (struct sockaddr*)&to, sizeof to) == 0) {
      ++ok;
    } else if (errno == ECONNREFUSED) {
      ++refused;
    } else {
      ++other;
    }
    close(fd);
  }
  printf("{\"pid\":%d,\"attempts\":%ld,\"refused\":%ld,\"ok\":%ld,\"other\":%ld,\"seconds\":%.2f}\n", getpid(), attempts,
         refused, ok, other, now() - began);
  fflush(stdout);
  sleep(3);  // alive while its last counters are read
  return 0;
}
