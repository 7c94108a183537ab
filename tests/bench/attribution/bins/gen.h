// SPDX-License-Identifier: Apache-2.0
// What the generators share: addresses, dialling, waiting for a go, and the report that is their
// ground truth. Every generator says on stdout, as one JSON line, who it was and what it gave to
// and got from the kernel.
#ifndef CULPRIT_TESTS_BENCH_ATTRIBUTION_GEN_H_
#define CULPRIT_TESTS_BENCH_ATTRIBUTION_GEN_H_
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 65536L
#define MAX_PORTS 4096

struct endpoint {
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  };
  socklen_t length;
};

struct report {
  long tx, rx, tx_packets, rx_packets;  // payload; packets 0 = not known here
  int ports[MAX_PORTS];
  int n_ports;
};

static inline void die(const char* what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static inline double seconds_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline struct endpoint endpoint_of(const char* address, int port) {
  struct endpoint e;
  memset(&e, 0, sizeof e);
  if (strchr(address, ':') != NULL) {
    e.v6.sin6_family = AF_INET6;
    e.v6.sin6_port = htons((unsigned short)port);
    e.length = sizeof e.v6;
    if (inet_pton(AF_INET6, address, &e.v6.sin6_addr) != 1) exit(2);
  } else {
    e.v4.sin_family = AF_INET;
    e.v4.sin_port = htons((unsigned short)port);
    e.length = sizeof e.v4;
    if (inet_pton(AF_INET, address, &e.v4.sin_addr) != 1) exit(2);
  }
  return e;
}

static inline int port_of(int fd) {
  struct endpoint e;
  e.length = sizeof e.v6;
  if (getsockname(fd, &e.any, &e.length) != 0) return 0;
  return ntohs(e.any.sa_family == AF_INET6 ? e.v6.sin6_port : e.v4.sin_port);
}

static inline int open_socket(const struct endpoint* to, int type, int protocol) {
  const struct timeval limit = {.tv_sec = 20};
  const int fd = socket(to->any.sa_family, type | SOCK_CLOEXEC, protocol);
  if (fd < 0) die("socket");
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  return fd;
}

// A connected socket, from LOCAL_PORT if the environment names one.
static inline int dial(const char* address, int port, int type, int protocol) {
  const struct endpoint to = endpoint_of(address, port);
  const int fd = open_socket(&to, type, protocol);
  const char* local = getenv("LOCAL_PORT");
  const int one = 1;
  if (local != NULL) {
    struct endpoint from =
        endpoint_of(to.any.sa_family == AF_INET6 ? "::" : "0.0.0.0", atoi(local));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, &from.any, from.length) != 0) die("bind");
  }
  if (connect(fd, &to.any, to.length) != 0) die("connect");
  return fd;
}

static inline void add_port(struct report* r, int fd) {
  if (r->n_ports < MAX_PORTS) r->ports[r->n_ports++] = port_of(fd);
}

static inline long send_all(int fd, const void* data, long bytes) {
  long sent = 0;
  while (sent < bytes) {
    const ssize_t n = send(fd, (const char*)data + sent, (size_t)(bytes - sent), MSG_NOSIGNAL);
    if (n <= 0) break;
    sent += n;
  }
  return sent;
}

static inline long send_many(int fd, long bytes) {
  static const char zeros[CHUNK];
  long sent = 0;
  while (sent < bytes) {
    const long part = bytes - sent < CHUNK ? bytes - sent : CHUNK;
    const long n = send_all(fd, zeros, part);
    sent += n;
    if (n != part) break;
  }
  return sent;
}

static inline long receive_many(int fd, long bytes) {
  char buffer[CHUNK];
  long got = 0;
  while (got < bytes) {
    const long want = bytes - got < CHUNK ? bytes - got : CHUNK;
    const ssize_t n = recv(fd, buffer, (size_t)want, 0);
    if (n <= 0) break;
    got += n;
  }
  return got;
}

// Ends a TCP connection so that the last segments pass while the socket still exists.
static inline void end_gracefully(int fd) {
  char byte;
  shutdown(fd, SHUT_WR);
  while (recv(fd, &byte, 1, 0) > 0) continue;
  close(fd);
}

// Says that this process is there, and goes on when a line arrives.
static inline void wait_for_go(const char* what) {
  char line[16];
  printf("{\"%s\":%d}\n", what, getpid());
  fflush(stdout);
  if (fgets(line, sizeof line, stdin) == NULL) exit(1);
}

static inline void wait_if_asked(void) {
  if (getenv("GEN_WAIT") != NULL) wait_for_go("ready");
}

static inline void print_report(const struct report* r) {
  char exe[512] = "";
  if (readlink("/proc/self/exe", exe, sizeof exe - 1) < 0) exe[0] = 0;
  printf(
      "{\"pid\":%d,\"exe\":\"%s\",\"tx\":%ld,\"rx\":%ld,\"tx_packets\":%ld,\"rx_packets\":%ld,"
      "\"ports\":[",
      getpid(), exe, r->tx, r->rx, r->tx_packets, r->rx_packets);
  for (int i = 0; i < r->n_ports; ++i) printf("%s%d", i > 0 ? "," : "", r->ports[i]);
  printf("]}\n");
  fflush(stdout);
}

#endif  // CULPRIT_TESTS_BENCH_ATTRIBUTION_GEN_H_
