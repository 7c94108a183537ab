/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where the records of a table go: to the reader of an iterator, or, where the kernel has none over tables, to a ring of
 * their own that user space empties after each walk. A walk stops when the ring is full; the next one skips what was told.
 */
#ifndef CULPRIT_BPF_WALK_H_
#define CULPRIT_BPF_WALK_H_

#include "bpf/maps.bpf.h"

#define WALK_RING_BYTES (256 * 1024)

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, WALK_RING_BYTES);
} walked __weak SEC(".maps");

#define ITERATE false
#define WALK true

/*
 * `walk` is a constant, so that an iterator does not mention the ring: it is not made where nothing walks, and a program that
 * names a map that is not there does not load. Other than 0: no room.
 */
static __always_inline long write_table(struct seq_file *seq, const bool walk, void *record, u32 size)
{
	if (!walk)
		return bpf_seq_write(seq, record, size);
	return bpf_ringbuf_output(&walked, record, size, BPF_RB_NO_WAKEUP);
}

#endif
