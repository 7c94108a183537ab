// SPDX-License-Identifier: Apache-2.0
// TCP (and SCTP) in many ways. Peer: peer.c.
//   stream up|sendfile|splice|sctp ADDRESS PORT BYTES     sends BYTES to a port that discards
//   stream down ADDRESS PORT BYTES                        asks a source for BYTES
//   stream duplex ADDRESS PORT BYTES                      to an echo: sends and receives at the
//   same time stream drip ADDRESS PORT BYTES                        one byte every 40 ms stream
//   quick ADDRESS PORT BYTES                       connects, sends, exits stream many ADDRESS PORT
//   BYTES COUNT                  COUNT connections one after the other, closed at once stream burst
//   ADDRESS PORT BYTES COUNT                 COUNT connections at the same time stream staged
//   ADDRESS PORT BYTES STEPS                one connection to an echo; each step waits for a line
//   stream leave ADDRESS PORT BYTES                       fills the send buffer with BYTES and
//   exits
#include <fcntl.h>
#include <pthread.h>
#include <sys/sendfile.h>

#include "tests/bench/attribution/bins/gen.h"

static struct report r;

static int file_of(long bytes) {
  const int fd = memfd_create("payload", MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, bytes) != 0) die("memfd");
  return fd;
}

static long send_file(int fd, long bytes) {
  const int file = file_of(bytes);
  off_t at = 0;
  while (at < bytes)
    if (sendfile(fd, file, &at, (size_t)(bytes - at)) <= 0) break;
  return at;
}

static long send_spliced(int fd, long bytes) {
  const int file = file_of(bytes);
  int ends[2];
  long sent = 0;
  if (pipe(ends) != 0) die("pipe");
  while (sent < bytes) {
    ssize_t in = splice(file, NULL, ends[1], NULL, (size_t)CHUNK, 0);
    if (in <= 0) break;
    while (in > 0) {
      const ssize_t out = splice(ends[0], NULL, fd, NULL, (size_t)in, SPLICE_F_MORE);
      if (out <= 0) return sent;
      in -= out;
      sent += out;
    }
  }
  return sent;
}

struct half {
  int fd;
  long bytes, done;
};

static void* send_half(void* argument) {
  struct half* h = argument;
  h->done = send_many(h->fd, h->bytes);
  return NULL;
}

static void duplex(int fd, long bytes) {
  struct half out = {.fd = fd, .bytes = bytes};
  pthread_t thread;
  if (pthread_create(&thread, NULL, send_half, &out) != 0) die("thread");
  r.rx = receive_many(fd, bytes);
  pthread_join(thread, NULL);
  r.tx = out.done;
}

static void drip(int fd, long bytes) {
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  for (; r.tx < bytes; ++r.tx) {
    if (send_all(fd, "d", 1) != 1) break;
    usleep(40000);
  }
}

static void many(const char* address, int port, long bytes, long count) {
  for (long i = 0; i < count; ++i) {
    const int fd = dial(address, port, SOCK_STREAM, 0);
    add_port(&r, fd);
    r.tx += send_many(fd, bytes);
    close(fd);
  }
}

static const char* burst_address;
static int burst_port;

static void* burst_one(void* argument) {
  struct half* h = argument;
  h->fd = dial(burst_address, burst_port, SOCK_STREAM, 0);
  h->done = send_many(h->fd, h->bytes);
  return NULL;
}

static void burst(const char* address, int port, long bytes, long count) {
  static struct half parts[256];
  static pthread_t threads[256];
  if (count > 256) exit(2);
  burst_address = address;
  burst_port = port;
  for (long i = 0; i < count; ++i) {
    parts[i].bytes = bytes;
    if (pthread_create(&threads[i], NULL, burst_one, &parts[i]) != 0) die("thread");
  }
  for (long i = 0; i < count; ++i) {
    pthread_join(threads[i], NULL);
    r.tx += parts[i].done;
    add_port(&r, parts[i].fd);
    end_gracefully(parts[i].fd);
  }
}

static void staged(int fd, long bytes, long steps) {
  for (long i = 0; i < steps; ++i) {
    wait_for_go("step");
    for (long left = bytes; left > 0; left -= 16384) {
      const long part = left < 16384 ? left : 16384;
      r.tx += send_many(fd, part);
      r.rx += receive_many(fd, part);
    }
  }
  wait_for_go("step");
}

static void leave(int fd, long bytes) {
  const int size = (int)bytes;  // the kernel doubles it: room for what it needs beside the payload
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0) die("SO_SNDBUFFORCE");
  r.tx = send_many(fd, bytes);
}

static void one_connection(const char* mode, int fd, long bytes, long count) {
  if (strcmp(mode, "down") == 0) {
    r.tx = send_all(fd, &bytes, sizeof bytes);
    r.rx = receive_many(fd, bytes);
  } else if (strcmp(mode, "duplex") == 0) {
    duplex(fd, bytes);
  } else if (strcmp(mode, "drip") == 0) {
    drip(fd, bytes);
  } else if (strcmp(mode, "sendfile") == 0) {
    r.tx = send_file(fd, bytes);
  } else if (strcmp(mode, "splice") == 0) {
    r.tx = send_spliced(fd, bytes);
  } else if (strcmp(mode, "staged") == 0) {
    staged(fd, bytes, count);
  } else if (strcmp(mode, "leave") == 0) {
    leave(fd, bytes);
  } else {
    r.tx = send_many(fd, bytes);
  }
}

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  const char *mode = argv[1], *address = argv[2];
  const int port = atoi(argv[3]);
  const long bytes = atol(argv[4]), count = argc > 5 ? atol(argv[5]) : 1;
  wait_if_asked();
  if (strcmp(mode, "many") == 0) {
    many(address, port, bytes, count);
  } else if (strcmp(mode, "burst") == 0) {
    burst(address, port, bytes, count);
  } else {
    const int fd = dial(address, port, SOCK_STREAM, strcmp(mode, "sctp") == 0 ? IPPROTO_SCTP : 0);
    add_port(&r, fd);
    one_connection(mode, fd, bytes, count);
    if (strcmp(mode, "quick") != 0 && strcmp(mode, "leave") != 0) end_gracefully(fd);
  }
  print_report(&r);
  return 0;
}
