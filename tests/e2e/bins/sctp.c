// SPDX-License-Identifier: Apache-2.0
// Talks SCTP and says on stdout, as JSON lines, what it did. Built statically by the end-to-end tests.
//   sctp serve one|many PORT                   echoes messages until it is killed. "one": the parent listens, a child accepts;
//                                              "many": one socket for all associations
//   sctp one|many ADDRESS PORT COUNT BYTES     sends COUNT messages of BYTES, each when the one before came back
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static unsigned char buffer[65536];

static _Noreturn void fail(const char* what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static int open_socket(int family, int many) {
  const int fd = socket(family, many ? SOCK_SEQPACKET : SOCK_STREAM, IPPROTO_SCTP);
  struct timeval limit = {.tv_sec = 20};
  if (fd < 0) fail("socket");
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  return fd;
}

static void echo(int fd) {
  struct sockaddr_storage peer;
  for (;;) {
    socklen_t length = sizeof peer;
    const ssize_t n = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr*)&peer, &length);
    if (n <= 0) return;
    if (sendto(fd, buffer, (size_t)n, MSG_NOSIGNAL, (struct sockaddr*)&peer, length) != n) return;
  }
}

static _Noreturn void serve(int many, int port) {
  struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((unsigned short)port)};
  const int fd = open_socket(AF_INET6, many);
  int child = 0;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (bind(fd, (struct sockaddr*)&any, sizeof any) != 0) fail("bind");
  if (listen(fd, 8) != 0) fail("listen");
  if (!many) child = fork();
  if (child != 0 || many) {
    printf("{\"pid\":%d,\"child\":%d}\n", getpid(), child);
    fflush(stdout);
  }
  if (child != 0) {
    for (;;) pause();
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (many) {
    for (;;) echo(fd);
  }
  for (;;) {
    const int got = accept(fd, NULL, NULL);
    if (got < 0) fail("accept");
    echo(got);
    close(got);
  }
}

int main(int argc, char** argv) {
  struct sockaddr_storage name;
  socklen_t length = sizeof name;
  if (argc == 4 && strcmp(argv[1], "serve") == 0) serve(strcmp(argv[2], "many") == 0, atoi(argv[3]));
  if (argc != 6) return 2;
  const int many = strcmp(argv[1], "many") == 0, six = strchr(argv[2], ':') != NULL;
  const long count = atol(argv[4]), size = atol(argv[5]);
  struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = htons((unsigned short)atoi(argv[3]))};
  struct sockaddr_in to4 = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[3]))};
  if (inet_pton(six ? AF_INET6 : AF_INET, argv[2], six ? (void*)&to6.sin6_addr : (void*)&to4.sin_addr) != 1) return 2;
  const struct sockaddr* to = six ? (struct sockaddr*)&to6 : (struct sockaddr*)&to4;
  const socklen_t to_length = six ? sizeof to6 : sizeof to4;
  const int fd = open_socket(six ? AF_INET6 : AF_INET, many);
  if (!many && connect(fd, to, to_length) != 0) fail("connect");
  long tx = 0, rx = 0;
  for (long i = 0; i < count; ++i) {
    if (sendto(fd, buffer, (size_t)size, MSG_NOSIGNAL, many ? to : NULL, many ? to_length : 0) != size) fail("send");
    tx += size;
    for (long got = 0; got < size;) {
      const ssize_t n = recv(fd, buffer, sizeof buffer, 0);
      if (n <= 0) fail("receive");
      got += n;
      rx += n;
    }
  }
  if (getsockname(fd, (struct sockaddr*)&name, &length) != 0) fail("getsockname");
  const int port = ntohs(six ? ((struct sockaddr_in6*)&name)->sin6_port : ((struct sockaddr_in*)&name)->sin_port);
  close(fd);
  printf("{\"pid\":%d,\"local_port\":%d,\"tx\":%ld,\"rx\":%ld}\n", getpid(), port, tx, rx);
  return 0;
}
