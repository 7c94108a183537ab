// SPDX-License-Identifier: Apache-2.0
// The other side: discards, gives and echoes, over TCP, UDP and a raw protocol, IPv4 and IPv6, a
// thread for each.
//   peer                       ports below, until it is ended
//   peer share PORT            only a TCP port that discards, with SO_REUSEPORT
//   peer at ADDRESS PORT       only a TCP port that discards, bound to an address
// Prints {"ready":pid}, then a JSON line for each TCP connection when it has ended.
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/prctl.h>

#include "tests/bench/attribution/bins/gen.h"

enum role { kDiscard, kSource, kEcho, kHold };
enum {
  kTcpDiscard = 7001,
  kTcpSource = 7002,
  kTcpEcho = 7003,
  kTcpHold = 7004,
  kUdpSource = 7102,
  kUdpRelease = 7105
};

struct service {
  int fd;
  enum role role;
};

struct connection {
  int fd, peer_port;
  enum role role;
};

static pthread_mutex_t printing = PTHREAD_MUTEX_INITIALIZER;
static sem_t release;

static long echo_stream(int fd, long* rx) {
  char buffer[CHUNK];
  long tx = 0;
  for (;;) {
    const ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0) return tx;
    *rx += n;
    const long sent = send_all(fd, buffer, n);
    tx += sent;
    if (sent != n) return tx;
  }
}

static void* serve(void* argument) {
  struct connection* c = argument;
  long rx = 0, tx = 0, wanted = 0;
  if (c->role == kHold) sem_wait(&release);
  if (c->role == kSource && recv(c->fd, &wanted, sizeof wanted, MSG_WAITALL) == sizeof wanted) {
    rx = sizeof wanted;
    tx = send_many(c->fd, wanted);
  }
  if (c->role == kEcho)
    tx = echo_stream(c->fd, &rx);
  else
    rx += receive_many(c->fd, 1L << 50);
  close(c->fd);
  pthread_mutex_lock(&printing);
  printf("{\"pid\":%d,\"peer_port\":%d,\"rx\":%ld,\"tx\":%ld}\n", getpid(), c->peer_port, rx, tx);
  fflush(stdout);
  pthread_mutex_unlock(&printing);
  free(c);
  return NULL;
}

static void* accept_all(void* argument) {
  const struct service* s = argument;
  for (;;) {
    struct connection* c = calloc(1, sizeof *c);
    struct endpoint who;
    pthread_t thread;
    who.length = sizeof who.v6;
    if (c == NULL || (c->fd = accept4(s->fd, &who.any, &who.length, SOCK_CLOEXEC)) < 0)
      die("accept");
    c->peer_port = ntohs(who.any.sa_family == AF_INET6 ? who.v6.sin6_port : who.v4.sin_port);
    c->role = s->role;
    if (pthread_create(&thread, NULL, serve, c) != 0) die("thread");
    pthread_detach(thread);
  }
  return NULL;
}

static void* datagrams(void* argument) {
  const struct service* s = argument;
  static const char zeros[2048];
  char buffer[CHUNK];
  for (;;) {
    struct endpoint who;
    who.length = sizeof who.v6;
    const ssize_t n = recvfrom(s->fd, buffer, sizeof buffer, 0, &who.any, &who.length);
    if (n < 0) continue;
    if (s->role == kHold) sem_post(&release);
    if (s->role == kEcho && sendto(s->fd, buffer, (size_t)n, 0, &who.any, who.length) != n)
      die("echo");
    if (s->role == kSource && n == 2 * sizeof(long)) {
      long question[2];
      memcpy(question, buffer, sizeof question);
      for (long i = 0; i < question[0] && question[1] <= (long)sizeof zeros; ++i)
        if (sendto(s->fd, zeros, (size_t)question[1], 0, &who.any, who.length) < 0) die("source");
    }
  }
  return NULL;
}

static void start(int fd, enum role role, void* (*loop)(void*)) {
  static struct service services[16];
  static int used;
  pthread_t thread;
  services[used].fd = fd;
  services[used].role = role;
  if (pthread_create(&thread, NULL, loop, &services[used++]) != 0) die("thread");
}

static int bound(const char* address, int port, int type, int protocol, int share) {
  const struct endpoint here = endpoint_of(address, port);
  const int fd = socket(here.any.sa_family, type | SOCK_CLOEXEC, protocol);
  const int one = 1, zero = 0, room = 8 << 20;
  if (fd < 0) return fd;
  if (here.any.sa_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (share) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  if (type != SOCK_STREAM) setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  if (bind(fd, &here.any, here.length) != 0) die("bind");
  if (type == SOCK_STREAM && listen(fd, 4096) != 0) die("listen");
  return fd;
}

static void start_all(void) {
  start(bound("::", kTcpDiscard, SOCK_STREAM, 0, 0), kDiscard, accept_all);
  start(bound("::", kTcpSource, SOCK_STREAM, 0, 0), kSource, accept_all);
  start(bound("::", kTcpEcho, SOCK_STREAM, 0, 0), kEcho, accept_all);
  start(bound("::", kTcpHold, SOCK_STREAM, 0, 0), kHold, accept_all);
  start(bound("::", 7101, SOCK_DGRAM, 0, 0), kDiscard, datagrams);
  start(bound("::", kUdpSource, SOCK_DGRAM, 0, 0), kSource, datagrams);
  start(bound("::", 443, SOCK_DGRAM, 0, 0), kDiscard, datagrams);
  start(bound("::", 53, SOCK_DGRAM, 0, 0), kEcho, datagrams);
  start(bound("127.0.0.1", kUdpRelease, SOCK_DGRAM, 0, 0), kHold, datagrams);
  start(bound("0.0.0.0", 0, SOCK_RAW, 253, 0), kDiscard, datagrams);
  const int sctp = bound("0.0.0.0", 7001, SOCK_STREAM, IPPROTO_SCTP, 0);
  if (sctp >= 0) start(sctp, kDiscard, accept_all);
}

int main(int argc, char** argv) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGPIPE, SIG_IGN);
  sem_init(&release, 0, 0);
  if (argc == 3 && strcmp(argv[1], "share") == 0)
    start(bound("::", atoi(argv[2]), SOCK_STREAM, 0, 1), kDiscard, accept_all);
  else if (argc == 4 && strcmp(argv[1], "at") == 0)
    start(bound(argv[2], atoi(argv[3]), SOCK_STREAM, 0, 0), kDiscard, accept_all);
  else if (argc == 1)
    start_all();
  else
    return 2;
  printf("{\"ready\":%d}\n", getpid());
  fflush(stdout);
  for (;;) pause();
}
