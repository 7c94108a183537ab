// SPDX-License-Identifier: Apache-2.0
// Talks to an echo server and says on stdout, as one JSON line, what it did. Built statically by the end-to-end tests.
//   talk tcp|udp ADDRESS PORT BYTES              sends BYTES, reads them back
//   talk fork-tcp|fork-udp ADDRESS PORT N1 N2    sends N1; a child then sends N2 through the same socket
//   talk quick ADDRESS PORT BYTES                as tcp, but ends without waiting for an answer
//   talk refused ADDRESS PORT 0                  one connect that is expected to fail; says errno
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned char buffer[65536];

static int open_socket(const char* address, int port, int type, int* error) {
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((unsigned short)port)};
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  const int is6 = strchr(address, ':') != NULL;
  if (inet_pton(is6 ? AF_INET6 : AF_INET, address, is6 ? (void*)&six.sin6_addr : (void*)&four.sin_addr) != 1) exit(2);
  const int fd = socket(is6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0);
  struct timeval limit = {.tv_sec = 10};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  *error = 0;
  if (connect(fd, is6 ? (struct sockaddr*)&six : (struct sockaddr*)&four, is6 ? sizeof six : sizeof four) != 0)
    *error = errno;
  return fd;
}

static int local_port(int fd) {
  struct sockaddr_storage name;
  socklen_t length = sizeof name;
  if (getsockname(fd, (struct sockaddr*)&name, &length) != 0) return 0;
  return ntohs(name.ss_family == AF_INET6 ? ((struct sockaddr_in6*)&name)->sin6_port
                                          : ((struct sockaddr_in*)&name)->sin_port);
}

static long send_all(int fd, long bytes, long chunk) {
  long sent = 0;
  while (sent < bytes) {
    const long part = bytes - sent < chunk ? bytes - sent : chunk;
    const ssize_t n = send(fd, buffer, (size_t)part, MSG_NOSIGNAL);
    if (n <= 0) break;
    sent += n;
  }
  return sent;
}

static long receive_all(int fd, long bytes) {
  long received = 0;
  while (received < bytes) {
    const ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0) break;
    received += n;
  }
  return received;
}

// Sends and reads back in turns, so that neither side's window fills up.
static void exchange(int fd, long bytes, int datagrams, long* tx, long* rx) {
  const long step = datagrams ? 1200 : 32768;
  while (*tx < bytes) {
    const long part = bytes - *tx < step ? bytes - *tx : step;
    if (send_all(fd, part, part) != part) return;
    *tx += part;
    const long got = receive_all(fd, part);
    *rx += got;
    if (got != part) return;
  }
}

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  const char* mode = argv[1];
  const long first = atol(argv[4]);
  const int udp = strcmp(mode, "udp") == 0 || strcmp(mode, "fork-udp") == 0;
  int error = 0, child = 0;
  const int fd = open_socket(argv[2], atoi(argv[3]), udp ? SOCK_DGRAM : SOCK_STREAM, &error);
  const int port = local_port(fd);
  long tx = 0, rx = 0, child_tx = 0;
  if (error != 0) {
    printf("{\"pid\":%d,\"local_port\":%d,\"errno\":%d}\n", getpid(), port, error);
    return 0;
  }
  if (strcmp(mode, "quick") == 0) {
    tx = send_all(fd, first, first);
  } else {
    exchange(fd, first, udp, &tx, &rx);
  }
  if (strncmp(mode, "fork-", 5) == 0 && argc > 5) {
    child_tx = atol(argv[5]);
    child = fork();
    if (child == 0) {
      long sent = 0, got = 0;
      exchange(fd, child_tx, udp, &sent, &got);
      _exit(sent == child_tx && got == child_tx ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (status != 0) return 1;
  }
  printf("{\"pid\":%d,\"local_port\":%d,\"errno\":0,\"tx\":%ld,\"rx\":%ld,\"child\":%d,\"child_tx\":%ld}\n", getpid(), port,
         tx, rx, child, child_tx);
  return 0;
}
