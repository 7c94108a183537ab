/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Tables, settings and the ring, shared by all objects (weak: the static linker keeps one of each).
 * Bounded: sockets' storage is freed with the socket; the other tables have a size, and an insert that fails is counted
 * and its bytes go to a named overflow, never away. No uid gets more than a quarter of the two large tables.
 *
 * Kernel memory when everything is full, in KiB. An entry costs 48 bytes, key and value, rounded up to the allocator's
 * next size (512, 1024) where it is allocated on demand; a bucket 16 bytes.
 *   processes   8,192 x 1,024 +   128 = 8,320     contacts (both generations)    1,024
 *   peers       8,192 x 1,024 +   128 = 8,320     events                         1,024
 *   forwards    3,072 x 1,024 +    64 = 3,136     moved       4,096 x 128 + 64 =   576
 *   handshakes  8,192 x   136 +   128 = 1,216     closed_sockets 4,096 x 64 + 64 = 320
 *   ledger        512 x   512 +     8 =   264     uids        1,024 x  72 + 16 =    88
 *   unsent        128 x   512 +     2 =    66
 * 24,354 KiB = 24.9 MB, and 17 KiB of scratch and counters for each CPU.
 */
#ifndef CULPRIT_BPF_MAPS_BPF_H_
#define CULPRIT_BPF_MAPS_BPF_H_

#include "bpf/abi.h"
#include "bpf/core_types.h"

#define RING_BYTES (1 << 20)
#define RING_WAKE_BYTES (RING_BYTES / 4) /* below this user space's drain timer does the work */
#define MAX_PROCESSES 8192
#define MAX_PEERS 8192
#define MAX_HANDSHAKES 8192
#define MAX_LISTENERS 4096
#define PEERS_PER_WINDOW 2048 /* new peers of one socket within PEER_IDLE_NS; more go to "other peers" */
#define NSEC_PER_SEC 1000000000ULL
#define PEER_IDLE_NS (60 * NSEC_PER_SEC)
#define SCTP_CLOSE_NS (5 * NSEC_PER_SEC) /* a closed SCTP socket still shakes hands: its peers end after this rest */
#define PROCESS_GRACE_NS (60 * NSEC_PER_SEC)
#define PROCESS_GRACE_PRESSED_NS (5 * NSEC_PER_SEC) /* where the table or the uid's share of it is 3/4 full */
#define MAX_UIDS 1024
#define MAX_UNSENT 128
#define UNSENT_MIN_BYTES 65536 /* wire, both ways: a storm of small connections has no right to a place */
#define CONTACT_WORDS 65536 /* 64-bit words of one generation: 512 KiB */
#define FLOW_RECORDS_PER_SEC 200

/* Who made a socket. Cloned by the kernel into accepted sockets, so small and without counters. */
struct owner_state {
	struct culprit_process_key key;
	u64 cgroup_id;
	u64 cookie; /* of the socket that it was first written for: an accepted socket finds its listener by it */
	u32 uid;
	u32 netns;
	u32 flags; /* CULPRIT_FLOW_KERNEL, _PREEXISTING */
	u32 pad;
	char comm[CULPRIT_COMM_LEN];
};

enum flow_kind {
	KIND_STREAM = 0,    /* TCP */
	KIND_LISTENER = 1,  /* TCP, listening */
	KIND_DATAGRAM = 2,  /* UDP, raw, ICMP: connected or not, seen per packet; SCTP: always by peer */
	KIND_AGGREGATE = 3, /* kernel socket: one flow for all its peers */
};

#define PHASE_CONNECTING 1U /* connect() was called, its outcome is not counted yet */
#define PHASE_SYN 2U        /* the stack was about to send the SYN */
#define PHASE_ANNOUNCED 4U  /* user space knows this generation from the ring */
#define PHASE_SUPPRESSED 8U /* over the rate: user space is not told unless it connects */
#define PHASE_OVER 16U      /* the last record of this generation was written */
#define PHASE_TUPLE 32U
#define PHASE_USED 64U      /* the present owner has sent or received */
#define PHASE_ACCEPTED 256U /* SCTP: accept() made this socket */
#define PHASE_STALE 128U    /* the last packet went to a peer that is charged to another process */
#define PHASE_FIRST_CONTACT 512U /* the outcome of this attempt counts for first_contacts_ok or _failed */
#define PHASE_RELEASED 1024U /* peer: given back to its uid's share, user space is about to take it out */

/* What of a flow's one way is already in the ledger. */
struct ledger_mark {
	u64 skb, wire, packets;
};

/* Counters of a flow or of a peer: `rec` is what is sent, the rest is book-keeping. */
struct flow_state {
	struct culprit_flow rec;
	/* sent since the last send call returned: belongs to whoever makes the next one */
	u64 pend_wire, pend_skb, pend_packets, pend_payload;
	u64 app_tx; /* what send calls returned so far */
	/* how much of rec is already in a process's counters */
	u64 done_tx_wire, done_rx_wire, done_tx_packets, done_rx_packets;
	u64 exported; /* packets + 1 at the last sweep */
	u64 last_jiffies; /* of the last packet: a clock read for each would double its cost */
	u64 window_ns;
	u32 window_peers;
	u32 phase;
	u8 kind;
	u8 pad;
	u16 peer_port;
	u32 share_uid; /* peer: of whose share of the table it is */
	u8 peer[16]; /* of the last packet sent */
	struct ledger_mark tx_mark, rx_mark; /* the interfaces are rec.tx_ifindex and rec.rx_ifindex */
	u64 bare_syns, done_bare_syns;
	u64 queued; /* packet socket: bytes seen at a device that no send call has returned yet */
	u32 ledger_netns;
	u32 pad3;
};

struct process_state {
	struct culprit_counters rec;
	u64 exited_ns;
	u64 exported; /* sum of all counters at the last sweep */
	u64 window;
	u32 window_records;
	u32 released; /* given back to its uid's share, user space is about to take it out */
};

/* Entries of the large tables that belong to one uid. */
struct uid_share {
	u64 processes, peers;
};

struct handshake_key {
	u64 listener;
	u8 remote[16];
	u16 remote_port;
	u16 pad[3];
};

struct handshake {
	u64 tx_wire, rx_wire, tx_skb, rx_skb, tx_packets, rx_packets;
	u64 start_ns;
};

/* Settings, written by the loader before the load. No bool: the skeleton would spell it _Bool, which C++ does not know. */
const volatile __u8 has_send_length __weak = false;
const volatile __u8 has_task_btf __weak = false; /* cgroup programs may call bpf_get_current_task_btf() */
const volatile __u64 tick_ns __weak = 4000000;
const volatile __u64 hash_seed[2] __weak = {};
const volatile __u32 processes_per_uid __weak = MAX_PROCESSES / 4;
const volatile __u32 peers_per_uid __weak = MAX_PEERS / 4;
/* Set by the programs when they woke the reader, cleared by the reader after a drain. */
__u32 wake_pending __weak = 0;
/* Set by the reader when it stops its drain timer: then the next record wakes it, instead of twenty ticks a second. */
__u32 reader_asleep __weak = 0;
/* Of the contact filter: the generation that takes inserts, set by user space, and how many it has. */
__u32 contact_generation __weak = 0;
__u64 contact_inserts __weak = 0;
__u64 process_entries __weak = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES);
} events __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct owner_state);
} sk_owner __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct flow_state);
} sk_flow __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_PEERS);
	__type(key, struct culprit_peer_key);
	__type(value, struct flow_state);
} peers __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_PROCESSES);
	__type(key, struct culprit_process_key);
	__type(value, struct process_state);
} processes __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_UIDS);
	__type(key, u32);
	__type(value, struct uid_share);
} uids __weak SEC(".maps");

/* Bloom filter of (uid, address, port), two generations: user space clears the older and makes it the younger. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2 * CONTACT_WORDS);
	__type(key, u32);
	__type(value, u64);
} contacts __weak SEC(".maps");

/* Packets of passive handshakes, counted at the listener, until the accepted socket takes them over. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_HANDSHAKES);
	__type(key, struct handshake_key);
	__type(value, struct handshake);
} handshakes __weak SEC(".maps");

/* Listener's cookie -> what its accepted sockets took over. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_LISTENERS);
	__type(key, u64);
	__type(value, struct handshake);
} moved __weak SEC(".maps");

/* Cookies of closed sockets that had peers, until the sweep has ended those. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u8);
} closed_sockets __weak SEC(".maps");

/* Ends of large flows that the ring had no room for; user space takes them out at its sweep. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_UNSENT);
	__type(key, struct culprit_unsent_key);
	__type(value, struct culprit_flow);
} unsent __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CULPRIT_STAT_COUNT);
	__type(key, u32);
	__type(value, u64);
} stats __weak SEC(".maps");

static __always_inline void count_stat(u32 index)
{
	u64 *value = bpf_map_lookup_elem(&stats, &index);

	if (value)
		*value += 1;
}

/* The default wakes the reader for every record, which costs ten times the record. */
static __always_inline u64 wake_flags(void)
{
	if (wake_pending ||
	    (!reader_asleep && bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) < RING_WAKE_BYTES))
		return BPF_RB_NO_WAKEUP;
	wake_pending = 1;
	return BPF_RB_FORCE_WAKEUP;
}

static __always_inline bool same_process(const struct culprit_process_key *a,
					 const struct culprit_process_key *b)
{
	return a->tgid == b->tgid && a->start_boot_ns == b->start_boot_ns && a->exec_id == b->exec_id;
}

#endif /* CULPRIT_BPF_MAPS_BPF_H_ */
