// SPDX-License-Identifier: Apache-2.0
// Short lives: churn COUNT PER_SECOND ADDRESS UDP_PORT TCP_PORT. Starts COUNT processes one after the other (fork and
// exec of itself), each of which sends one datagram to ADDRESS:UDP_PORT, has one connect to ADDRESS:TCP_PORT refused, and
// ends. UDP_PORT 0: processes that touch no network. Says as one JSON line what was made. At most 2 million.
#include <arpa/inet.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char** environ;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int child(char** argv) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[3]))};
  if (inet_pton(AF_INET, argv[2], &to.sin_addr) != 1) return 2;
  if (to.sin_port == 0) return 0;
  const int datagram = socket(AF_INET, SOCK_DGRAM, 0);
  if (sendto(datagram, "churn", 5, 0, (struct sockaddr*)&to, sizeof to) != 5) return 1;
  to.sin_port = htons((unsigned short)atoi(argv[4]));
  const int stream = socket(AF_INET, SOCK_STREAM, 0);
  return connect(stream, (struct sockaddr*)&to, sizeof to) == 0 ? 1 : 0;
}

int main(int argc, char** argv) {
  if (argc == 5 && strcmp(argv[1], "child") == 0) return child(argv);
  if (argc != 6) return 2;
  const long count = atol(argv[1]), rate = atol(argv[2]);
  if (count < 1 || count > 2000000 || rate < 1) return 2;
  char* arguments[] = {argv[0], "child", argv[3], argv[4], argv[5], NULL};
  long failed = 0;
  const double began = now();
  for (long made = 0; made < count; ++made) {
    while ((double)made > (now() - began) * (double)rate) usleep(200);
    pid_t pid;
    int status = 0;
    if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environ) != 0) return 1;
    if (waitpid(pid, &status, 0) != pid || status != 0) ++failed;
  }
  printf("{\"pid\":%d,\"processes\":%ld,\"failed\":%ld,\"seconds\":%.2f}\n", getpid(), count, failed, now() - began);
  return 0;
}
