// SPDX-License-Identifier: Apache-2.0
// UDP in many ways. Peer: peer.c.
//   dgram up ADDRESS PORT COUNT SIZE          connected, to a port that discards
//   dgram to ADDRESS PORT COUNT SIZE          the same, unconnected
//   dgram echo ADDRESS PORT COUNT SIZE        unconnected, to an echo; waits for each answer
//   dgram sendmmsg ADDRESS PORT COUNT SIZE    32 a call, to a port that discards
//   dgram recvmmsg ADDRESS PORT COUNT SIZE    asks a source for 32 at a time and takes them with
//   one call dgram relay ADDRESS PORT COUNT SIZE LISTEN_ADDRESS LISTEN_PORT
//                                             a resolver's stub: COUNT questions in, the same out,
//                                             the answers back
#include "tests/bench/attribution/bins/gen.h"

#define BATCH 32

static struct report r;
static char data[2048];

// Leaves the receiver's queue room: what is lost on the way is not what is measured.
static void pace(long sent) {
  if (sent % BATCH == 0) usleep(300);
}

static void send_each(const struct endpoint* to, int connected, long count, long size) {
  const int fd = open_socket(to, SOCK_DGRAM, 0);
  if (connected && connect(fd, &to->any, to->length) != 0) die("connect");
  for (long i = 0; i < count; ++i) {
    const ssize_t n = connected ? send(fd, data, (size_t)size, 0)
                                : sendto(fd, data, (size_t)size, 0, &to->any, to->length);
    if (n != size) die("send");
    r.tx += n;
    r.tx_packets += 1;
    pace(i);
  }
  add_port(&r, fd);
}

static void echo(const struct endpoint* to, long count, long size) {
  const int fd = open_socket(to, SOCK_DGRAM, 0);
  for (long i = 0; i < count; ++i) {
    if (sendto(fd, data, (size_t)size, 0, &to->any, to->length) != size) die("send");
    r.tx += size;
    r.tx_packets += 1;
    const ssize_t n = recv(fd, data, sizeof data, 0);
    if (n < 0) die("recv");
    r.rx += n;
    r.rx_packets += 1;
  }
  add_port(&r, fd);
}

static void make_batch(struct mmsghdr* messages, struct iovec* parts, char (*buffers)[2048],
                       size_t size) {
  memset(messages, 0, BATCH * sizeof *messages);
  for (int i = 0; i < BATCH; ++i) {
    parts[i].iov_base = buffers[i];
    parts[i].iov_len = size;
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
}

static void batched(const char* address, int port, long count, long size, int receive) {
  static struct mmsghdr messages[BATCH];
  static struct iovec parts[BATCH];
  static char buffers[BATCH][2048];
  const int fd = dial(address, port, SOCK_DGRAM, 0);
  const int room = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  for (long done = 0; done < count;) {
    const unsigned part = count - done < BATCH ? (unsigned)(count - done) : BATCH;
    if (receive) {
      const long question[2] = {part, size};
      if (send(fd, question, sizeof question, 0) != sizeof question) die("send");
      r.tx += (long)sizeof question;
      r.tx_packets += 1;
    }
    for (unsigned got = 0; got < part;) {
      make_batch(messages, parts, buffers, receive ? sizeof buffers[0] : (size_t)size);
      const int n = receive ? recvmmsg(fd, messages, part - got, MSG_WAITFORONE, NULL)
                            : sendmmsg(fd, messages, part - got, 0);
      if (n <= 0) die("mmsg");
      for (int i = 0; i < n; ++i) *(receive ? &r.rx : &r.tx) += messages[i].msg_len;
      *(receive ? &r.rx_packets : &r.tx_packets) += n;
      got += (unsigned)n;
    }
    done += part;
    if (!receive) usleep(300);
  }
  add_port(&r, fd);
}

static void relay(const struct endpoint* to, long count, const char* address, int port) {
  const struct endpoint here = endpoint_of(address, port);
  const int in = open_socket(&here, SOCK_DGRAM, 0), out = open_socket(to, SOCK_DGRAM, 0);
  if (bind(in, &here.any, here.length) != 0) die("bind");
  wait_if_asked();
  for (long i = 0; i < count; ++i) {
    struct endpoint who;
    who.length = sizeof who.v6;
    ssize_t n = recvfrom(in, data, sizeof data, 0, &who.any, &who.length);
    if (n < 0 || sendto(out, data, (size_t)n, 0, &to->any, to->length) != n) die("relay");
    r.tx += n;
    n = recv(out, data, sizeof data, 0);
    if (n < 0 || sendto(in, data, (size_t)n, 0, &who.any, who.length) != n) die("relay");
    r.rx += n;
  }
  add_port(&r, out);
}

int main(int argc, char** argv) {
  if (argc < 6) return 2;
  const char* mode = argv[1];
  const int port = atoi(argv[3]);
  const long count = atol(argv[4]), size = atol(argv[5]);
  const struct endpoint to = endpoint_of(argv[2], port);
  if (size < 1 || size > (long)sizeof data || count < 1) return 2;
  if (strcmp(mode, "relay") == 0 && argc == 8) {
    relay(&to, count, argv[6], atoi(argv[7]));
    print_report(&r);
    return 0;
  }
  wait_if_asked();
  if (strcmp(mode, "up") == 0 || strcmp(mode, "to") == 0) {
    send_each(&to, strcmp(mode, "up") == 0, count, size);
  } else if (strcmp(mode, "echo") == 0) {
    echo(&to, count, size);
  } else {
    batched(argv[2], port, count, size, strcmp(mode, "recvmmsg") == 0);
  }
  print_report(&r);
  return 0;
}
