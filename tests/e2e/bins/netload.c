// SPDX-License-Identifier: Apache-2.0
// A fixed amount of network work as fast as it goes, and what it took, as one JSON line:
//   netload udp ADDRESS PORT SIZE COUNT [RATE] datagrams of SIZE bytes through one connected socket; RATE a second
//   netload connect ADDRESS PORT 0 COUNT       connect and close, one after the other; refused counts as done
//   netload stream ADDRESS PORT SIZE COUNT     COUNT writes of SIZE bytes through one TCP connection
//   netload sink-udp ADDRESS PORT 0 0          reads datagrams until SIGTERM, then says how many came
//   netload sink-tcp ADDRESS PORT 0 0          accepts and reads until SIGTERM
// At most 20 million operations. Operations that failed for want of room (ENOBUFS) are repeated and counted.
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char buffer[1 << 16];
static volatile sig_atomic_t stopped;
static struct sockaddr_in to = {.sin_family = AF_INET};
static long done_count, failed, bytes;

static void on_stop(int signal_number) {
  (void)signal_number;
  stopped = 1;
}

static double clock_of(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int connected(int type) {
  const int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr*)&to, sizeof to) != 0) exit(1);
  return fd;
}

static void udp(size_t size, long count, double rate) {
  const int fd = connected(SOCK_DGRAM);
  const double start = clock_of(CLOCK_MONOTONIC);
  while (done_count < count) {
    if (rate > 0 && done_count > (clock_of(CLOCK_MONOTONIC) - start) * rate) {
      usleep(200);
      continue;
    }
    const ssize_t n = send(fd, buffer, size, 0);
    if (n < 0) {
      ++failed;
      if (failed > count) exit(1);
      continue;
    }
    bytes += n;
    ++done_count;
  }
}

static void connects(long count) {
  for (; done_count < count; ++done_count) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) exit(1);
    if (connect(fd, (struct sockaddr*)&to, sizeof to) != 0) ++failed;
    close(fd);
  }
}

static void stream(size_t size, long count) {
  const int fd = connected(SOCK_STREAM);
  for (; done_count < count; ++done_count) {
    for (size_t sent = 0; sent < size;) {
      const ssize_t n = send(fd, buffer, size - sent, MSG_NOSIGNAL);
      if (n <= 0) exit(1);
      sent += (size_t)n;
      bytes += n;
    }
  }
}

static void sink(int type) {
  const int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  const int on = 1, room = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  if (bind(fd, (struct sockaddr*)&to, sizeof to) != 0) exit(1);
  if (type == SOCK_STREAM && listen(fd, 512) != 0) exit(1);
  printf("ready\n");
  fflush(stdout);
  while (!stopped) {
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    if (poll(&waiting, 1, 200) <= 0) continue;
    const int peer = type == SOCK_STREAM ? accept(fd, NULL, NULL) : fd;
    ssize_t n;
    while ((n = recv(peer, buffer, sizeof buffer, type == SOCK_STREAM ? 0 : MSG_DONTWAIT)) > 0) {
      bytes += n;
      ++done_count;
    }
    if (type == SOCK_STREAM) close(peer);
  }
}

int main(int argc, char** argv) {
  if (argc != 6 && argc != 7) return 2;
  const char* mode = argv[1];
  const long size = atol(argv[4]), count = atol(argv[5]);
  to.sin_port = htons((unsigned short)atoi(argv[3]));
  if (inet_pton(AF_INET, argv[2], &to.sin_addr) != 1 || size < 0 || size > (long)sizeof buffer || count > 20000000)
    return 2;
  struct sigaction stop = {.sa_handler = on_stop};
  sigaction(SIGTERM, &stop, NULL);
  const double wall = clock_of(CLOCK_MONOTONIC), cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID);
  if (strcmp(mode, "udp") == 0) udp((size_t)size, count, argc == 7 ? atof(argv[6]) : 0);
  else if (strcmp(mode, "connect") == 0) connects(count);
  else if (strcmp(mode, "stream") == 0) stream((size_t)size, count);
  else if (strcmp(mode, "sink-udp") == 0) sink(SOCK_DGRAM);
  else if (strcmp(mode, "sink-tcp") == 0) sink(SOCK_STREAM);
  else return 2;
  printf("{\"pid\":%d,\"operations\":%ld,\"failed\":%ld,\"bytes\":%ld,\"seconds\":%.4f,\"cpu_seconds\":%.4f}\n", getpid(),
         done_count, failed, bytes, clock_of(CLOCK_MONOTONIC) - wall, clock_of(CLOCK_PROCESS_CPUTIME_ID) - cpu);
  return 0;
}
