// SPDX-License-Identifier: Apache-2.0
// One socket, two processes, and processes of unusual birth.
//   hand fork ADDRESS PORT N1 N2           swaps N1 bytes with an echo; a forked child swaps N2
//   through the same socket hand pass ADDRESS PORT N1 N2           the same, but a new program gets
//   the socket by SCM_RIGHTS hand each COUNT PROGRAM ARGUMENT...    runs the program COUNT times,
//   each a process of its own hand pid PID PROGRAM ARGUMENT...       runs it as process PID (which
//   must be free), and waits hand memfd|deleted PROGRAM ARGUMENT... becomes a copy of the program
//   in memory, or one already unlinked
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/bench/attribution/bins/gen.h"

static void swap(int fd, long bytes, struct report* r) {
  for (long left = bytes; left > 0; left -= 16384) {
    const long part = left < 16384 ? left : 16384;
    r->tx += send_many(fd, part);
    r->rx += receive_many(fd, part);
  }
}

static void pass_descriptor(int channel, int fd) {
  union {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int))];
  } control;
  char byte = 'x';
  struct iovec part = {.iov_base = &byte, .iov_len = 1};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  memset(&control, 0, sizeof control);
  control.head.cmsg_level = SOL_SOCKET;
  control.head.cmsg_type = SCM_RIGHTS;
  control.head.cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
  if (sendmsg(channel, &message, 0) != 1) die("sendmsg");
}

static int take_descriptor(int channel) {
  union {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int))];
  } control;
  char byte;
  struct iovec part = {.iov_base = &byte, .iov_len = 1};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  int fd = -1;
  if (recvmsg(channel, &message, 0) != 1) die("recvmsg");
  memcpy(&fd, CMSG_DATA(&control.head), sizeof fd);
  return fd;
}

// The program at the other end of the channel.
static int receiver(int channel, long bytes) {
  static struct report r;
  const int fd = take_descriptor(channel);
  add_port(&r, fd);
  swap(fd, bytes, &r);
  end_gracefully(fd);
  print_report(&r);
  return r.tx == bytes && r.rx == bytes ? 0 : 1;
}

static int shared(char** argv, int pass) {
  static struct report r;
  int channel[2], status = 0;
  const long first = atol(argv[4]), second = atol(argv[5]);
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, channel) != 0) die("socketpair");
  const int fd = dial(argv[2], atoi(argv[3]), SOCK_STREAM, 0);
  add_port(&r, fd);
  swap(fd, first, &r);
  print_report(&r);
  const pid_t child = fork();
  if (child == 0 && pass) {
    char number[16];
    snprintf(number, sizeof number, "%d", channel[1]);
    execl("/proc/self/exe", "hand", "receive", number, argv[5], (char*)NULL);
    _exit(127);
  }
  if (child == 0) {
    memset(&r, 0, sizeof r);
    swap(fd, second, &r);
    add_port(&r, fd);
    end_gracefully(fd);
    print_report(&r);
    _exit(r.tx == second && r.rx == second ? 0 : 1);
  }
  if (pass) pass_descriptor(channel[0], fd);
  close(fd);
  if (waitpid(child, &status, 0) != child) die("waitpid");
  return status == 0 ? 0 : 1;
}

static int each(long count, char** command) {
  int bad = 0;
  for (long i = 0; i < count; ++i) {
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
      execv(command[0], command);
      _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) bad = 1;
  }
  return bad;
}

static int as_pid(pid_t pid, char** command) {
  struct clone_args args;
  int status = 0;
  memset(&args, 0, sizeof args);
  args.exit_signal = SIGCHLD;
  args.set_tid = (unsigned long)&pid;
  args.set_tid_size = 1;
  const pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof args);
  if (child < 0) die("clone3");
  if (child == 0) {
    execv(command[0], command);
    _exit(127);
  }
  return waitpid(child, &status, 0) == child && status == 0 ? 0 : 1;
}

static int become(char** command, int memory) {
  char buffer[CHUNK], path[600];
  ssize_t n = 0;
  const int from = open(command[0], O_RDONLY | O_CLOEXEC);
  snprintf(path, sizeof path, "%s-gone", command[0]);
  const int to = memory ? memfd_create("nothing-on-disk", MFD_CLOEXEC)
                        : open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
  if (from < 0 || to < 0) die("open");
  while ((n = read(from, buffer, sizeof buffer)) > 0)
    if (write(to, buffer, (size_t)n) != n) die("write");
  snprintf(buffer, sizeof buffer, "/proc/self/fd/%d", to);
  const int program =
      open(buffer, O_RDONLY | O_CLOEXEC);  // a file open for writing cannot be executed
  close(to);
  if (!memory && unlink(path) != 0) die("unlink");
  fexecve(program, command, environ);
  die("fexecve");
  return 1;
}

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  if (strcmp(argv[1], "receive") == 0) return receiver(atoi(argv[2]), atol(argv[3]));
  if (strcmp(argv[1], "each") == 0) return each(atol(argv[2]), argv + 3);
  if (strcmp(argv[1], "pid") == 0) return as_pid((pid_t)atol(argv[2]), argv + 3);
  if (strcmp(argv[1], "memfd") == 0) return become(argv + 2, 1);
  if (strcmp(argv[1], "deleted") == 0) return become(argv + 2, 0);
  if (argc != 6) return 2;
  return shared(argv, strcmp(argv[1], "pass") == 0);
}
