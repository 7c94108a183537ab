// SPDX-License-Identifier: Apache-2.0
// TCP through io_uring by bare system calls; every second request is handed to a worker thread of
// the kernel.
//   uring out|in ADDRESS PORT BYTES      out: to a port that discards; in: from a source
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "tests/bench/attribution/bins/gen.h"

struct ring {
  int fd;
  unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
  struct io_uring_sqe* sqes;
  struct io_uring_cqe* cqes;
};

static void* map_ring(int fd, size_t bytes, off_t offset) {
  void* at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);
  if (at == MAP_FAILED) die("mmap");
  return at;
}

static void open_ring(struct ring* ring) {
  struct io_uring_params p;
  memset(&p, 0, sizeof p);
  ring->fd = (int)syscall(SYS_io_uring_setup, 4, &p);
  if (ring->fd < 0) die("io_uring_setup");
  char* sq =
      map_ring(ring->fd, p.sq_off.array + p.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
  char* cq = map_ring(ring->fd, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe),
                      IORING_OFF_CQ_RING);
  ring->sqes = map_ring(ring->fd, p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
  ring->sq_tail = (unsigned*)(sq + p.sq_off.tail);
  ring->sq_mask = (unsigned*)(sq + p.sq_off.ring_mask);
  ring->sq_array = (unsigned*)(sq + p.sq_off.array);
  ring->cq_head = (unsigned*)(cq + p.cq_off.head);
  ring->cq_tail = (unsigned*)(cq + p.cq_off.tail);
  ring->cq_mask = (unsigned*)(cq + p.cq_off.ring_mask);
  ring->cqes = (struct io_uring_cqe*)(cq + p.cq_off.cqes);
}

// One request and its result.
static long transfer(struct ring* ring, int opcode, int fd, void* buffer, long bytes,
                     int to_worker) {
  const unsigned tail = *ring->sq_tail, slot = tail & *ring->sq_mask;
  struct io_uring_sqe* sqe = &ring->sqes[slot];
  memset(sqe, 0, sizeof *sqe);
  sqe->opcode = (unsigned char)opcode;
  sqe->fd = fd;
  sqe->addr = (unsigned long)buffer;
  sqe->len = (unsigned)bytes;
  sqe->msg_flags = MSG_NOSIGNAL;
  if (to_worker) sqe->flags = IOSQE_ASYNC;
  ring->sq_array[slot] = slot;
  atomic_store_explicit((_Atomic unsigned*)ring->sq_tail, tail + 1, memory_order_release);
  if (syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
    die("io_uring_enter");
  const unsigned head = *ring->cq_head;
  while (head == atomic_load_explicit((_Atomic unsigned*)ring->cq_tail, memory_order_acquire))
    continue;
  const long result = ring->cqes[head & *ring->cq_mask].res;
  atomic_store_explicit((_Atomic unsigned*)ring->cq_head, head + 1, memory_order_release);
  return result;
}

int main(int argc, char** argv) {
  static struct report r;
  static char buffer[CHUNK];
  struct ring ring;
  if (argc != 5) return 2;
  const int out = strcmp(argv[1], "out") == 0;
  const long bytes = atol(argv[4]);
  wait_if_asked();
  open_ring(&ring);
  const int fd = dial(argv[2], atoi(argv[3]), SOCK_STREAM, 0);
  add_port(&r, fd);
  if (!out)
    r.tx =
        transfer(&ring, IORING_OP_SEND, fd, memcpy(buffer, &bytes, sizeof bytes), sizeof bytes, 0);
  long* done = out ? &r.tx : &r.rx;
  for (long i = 0; *done < bytes; ++i) {
    const long part = bytes - *done < CHUNK ? bytes - *done : CHUNK;
    const long n =
        transfer(&ring, out ? IORING_OP_SEND : IORING_OP_RECV, fd, buffer, part, i % 2 == 1);
    if (n <= 0) {
      errno = (int)-n;
      die("io_uring");
    }
    *done += n;
  }
  end_gracefully(fd);
  print_report(&r);
  return 0;
}
