/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Everything that kernel programs and user space share, and nothing else: fixed width, padded by hand, never packed.
 * Included by bpf/ *.bpf.c (clang -target bpf) and by agent/source and agent/decode (C++). All integers are in host
 * order unless the name ends in _be; addresses are 16 bytes, IPv4 in its IPv4-mapped form. Times are CLOCK_BOOTTIME ns.
 * Additive changes only; any change of a size bumps CULPRIT_ABI_VERSION.
 */
#ifndef CULPRIT_BPF_ABI_H_
#define CULPRIT_BPF_ABI_H_

#ifdef __cplusplus
#include <cstdint>
#define CULPRIT_ABI_ASSERT(cond, text) static_assert(cond, text)
typedef std::uint8_t culprit_u8;
typedef std::uint16_t culprit_u16;
typedef std::uint32_t culprit_u32;
typedef std::uint64_t culprit_u64;
typedef std::int32_t culprit_s32;
#else
#define CULPRIT_ABI_ASSERT(cond, text) _Static_assert(cond, text)
typedef unsigned char culprit_u8;
typedef unsigned short culprit_u16;
typedef unsigned int culprit_u32;
typedef unsigned long long culprit_u64;
typedef int culprit_s32;
#endif

#define CULPRIT_ABI_VERSION 2
#define CULPRIT_COMM_LEN 16
#define CULPRIT_PATH_LEN 256
#define CULPRIT_ARGS_LEN 1024
#define CULPRIT_CGROUP_NAME_LEN 256 /* two names, each with room for a runtime's prefix, a 64-digit id and ".scope" */
#define CULPRIT_ADDRESS_REGISTERS 256 /* of the sketch of distinct remote addresses: standard error 6.5 % */
#define CULPRIT_PORT_REGISTERS 64     /* of the sketch of distinct remote ports: 13 % */
#define CULPRIT_ACTIVITY_WINDOW_NS 10000000000ULL /* what the sketches cover */

/* culprit_header.kind */
enum culprit_record_kind {
	CULPRIT_RECORD_EXEC = 1,     /* struct culprit_exec: a process image was replaced (or, from iter/task, found) */
	CULPRIT_RECORD_FORK = 2,     /* struct culprit_fork */
	CULPRIT_RECORD_EXIT = 3,     /* struct culprit_exit */
	CULPRIT_RECORD_FLOW = 4,     /* struct culprit_flow */
	CULPRIT_RECORD_COUNTERS = 5, /* struct culprit_counters: user space reads it from the process map */
	CULPRIT_RECORD_LOST = 6,     /* struct culprit_lost: written by user space from the loss counters */
	CULPRIT_RECORD_INTERFACE = 7, /* struct culprit_interface: user space reads it from the ledger */
};

/* First in every record. size = bytes of the whole record, header included. */
struct culprit_header {
	culprit_u16 kind;
	culprit_u16 reserved;
	culprit_u32 size;
	culprit_u64 boot_ns;
};
CULPRIT_ABI_ASSERT(sizeof(struct culprit_header) == 16, "culprit_header");

/* tgid 0 = unknown process, except that tgid 0 with flag CULPRIT_FLOW_KERNEL is the kernel itself. */
struct culprit_process_key {
	culprit_u64 start_boot_ns; /* task_struct.group_leader->start_boottime */
	culprit_u64 exec_id;       /* task_struct.self_exec_id */
	culprit_u32 tgid;
	culprit_u32 pad;
};
CULPRIT_ABI_ASSERT(sizeof(struct culprit_process_key) == 24, "culprit_process_key");

struct culprit_exe {
	culprit_u64 inode;
	culprit_u64 size;      /* bytes */
	culprit_u64 ctime_sec;
	culprit_u32 ctime_nsec;
	culprit_u32 dev_major;
	culprit_u32 dev_minor;
	culprit_u32 nlink;     /* 0: the file was deleted */
	culprit_u64 fs_magic;  /* super_block.s_magic; TMPFS with a name "memfd:…" is a memfd */
};
CULPRIT_ABI_ASSERT(sizeof(struct culprit_exe) == 48, "culprit_exe");

/* culprit_exec.flags */
#define CULPRIT_EXEC_ARGS_TRUNCATED 1U
#define CULPRIT_EXEC_PATH_TRUNCATED 2U
#define CULPRIT_EXEC_FROM_ITERATOR 4U /* existed before the agent: parent key is the parent's present one */
#define CULPRIT_EXEC_MEMFD 8U
#define CULPRIT_EXEC_KERNEL_THREAD 16U

/* Variable length: only args_len bytes of args are sent; header.size tells the end. */
struct culprit_exec {
	struct culprit_header header;
	struct culprit_process_key key;
	struct culprit_process_key previous; /* the image that this one replaced: same tgid and start, older exec_id */
	struct culprit_process_key parent;   /* real_parent's group leader at fork time as far as the map knows it */
	culprit_u32 uid, euid, gid;
	culprit_u32 loginuid;   /* 0xffffffff = not set */
	culprit_u32 session_id; /* audit session; 0xffffffff = not set */
	culprit_u32 flags;
	culprit_u64 cgroup_id;  /* cgroup2 (default hierarchy) id */
	culprit_u32 netns;      /* inode of the network namespace */
	culprit_u32 pid_in_ns;  /* pid in the process's own pid namespace */
	struct culprit_exe exe;
	char comm[CULPRIT_COMM_LEN];
	char cgroup[CULPRIT_CGROUP_NAME_LEN]; /* "parent/leaf" of the deepest hierarchy known, NUL-terminated */
	char path[CULPRIT_PATH_LEN]; /* from a bounded dentry walk within the mount; NUL-terminated */
	culprit_u32 path_len;        /* without the NUL */
	culprit_u32 args_len;
	char args[CULPRIT_ARGS_LEN]; /* argv strings, each NUL-terminated */
};

struct culprit_fork {
	struct culprit_header header;
	struct culprit_process_key child;
	struct culprit_process_key parent;
	culprit_u32 uid;
	culprit_u32 loginuid;
	culprit_u32 session_id;
	culprit_u32 netns;
	culprit_u64 cgroup_id;
	char comm[CULPRIT_COMM_LEN];
};

struct culprit_exit {
	struct culprit_header header;
	struct culprit_process_key key;
	culprit_s32 exit_code; /* as in wait(2) */
	culprit_u32 pad;
};

/* culprit_flow.reason: why the kernel (or an iterator) wrote this record. Counters are cumulative in all of them. */
enum culprit_flow_reason {
	CULPRIT_FLOW_ATTEMPT = 1,     /* first SYN is about to go out */
	CULPRIT_FLOW_ESTABLISHED = 2, /* handshake done, either side */
	CULPRIT_FLOW_FAILED = 3,      /* connect ended without a connection; error says why */
	CULPRIT_FLOW_OWNER = 4,       /* another process is about to be charged: counters = what the old owner settled */
	CULPRIT_FLOW_END = 5,         /* socket destroyed (or peer entry of an unconnected socket removed) */
	CULPRIT_FLOW_SNAPSHOT = 6,    /* from an iterator */
	CULPRIT_FLOW_FIRST = 7,       /* first datagram of an unconnected or UDP flow */
};

/* culprit_flow.direction */
enum culprit_direction {
	CULPRIT_DIRECTION_UNKNOWN = 0, /* found by an iterator: user space decides by ports */
	CULPRIT_DIRECTION_OUT = 1,
	CULPRIT_DIRECTION_IN = 2,
	CULPRIT_DIRECTION_LISTEN = 3,
	CULPRIT_DIRECTION_FORWARDED = 4, /* no socket here: local = source, remote = destination, as it left */
};

/* culprit_flow.flags */
#define CULPRIT_FLOW_PREEXISTING 1U /* socket older than the agent: counted_from says since when wire bytes count */
#define CULPRIT_FLOW_KERNEL 2U      /* kernel socket (control sockets: RST, ICMP) */
#define CULPRIT_FLOW_PEER 4U        /* one peer of an unconnected datagram or raw socket */
#define CULPRIT_FLOW_SHARED 8U      /* more than 8 owner changes */
#define CULPRIT_FLOW_NOT_SENT 16U   /* connect() was called, no packet ever left */
#define CULPRIT_FLOW_ABORTED 32U    /* closed by its owner before the handshake ended */
#define CULPRIT_FLOW_RAW 64U
#define CULPRIT_FLOW_SUPPRESSED 128U /* over the per-process event rate: details of others were counted only */
#define CULPRIT_FLOW_OVERFLOW 256U  /* "other peers" of an unconnected socket whose peer table was full */
#define CULPRIT_FLOW_OWNER_BY_CREATOR 512U /* this kernel cannot tell senders apart (no sock_send_length) */
#define CULPRIT_FLOW_LINK 1024U /* packet socket: frames made by the process itself; the tuple is what they say */
#define CULPRIT_FLOW_REREAD 2048U /* counters before counted_from were taken from the kernel's own (tcp_sock) */

struct culprit_flow {
	struct culprit_header header;
	struct culprit_process_key owner;   /* the process charged: last settled sender; on OWNER the old one */
	struct culprit_process_key creator; /* who made (or accepted) the socket */
	culprit_u64 cookie;
	culprit_u64 start_boot_ns;      /* first connect/accept/datagram of this generation */
	culprit_u64 established_boot_ns; /* 0 = never */
	culprit_u64 last_boot_ns;       /* last packet */
	culprit_u64 counted_from_boot_ns;
	/* cumulative over this generation of the socket, since counted_from */
	culprit_u64 tx_wire_bytes, rx_wire_bytes; /* L3 bytes as segmented on the wire, retransmits included */
	culprit_u64 tx_skb_bytes, rx_skb_bytes;   /* L3 bytes as the stack handed them over (super-packets) */
	culprit_u64 tx_packets, rx_packets;       /* wire packets */
	culprit_u64 tx_payload_bytes, rx_payload_bytes; /* TCP: unique stream bytes; others: behind the transport header (SCTP: chunks) */
	culprit_u64 retransmitted_bytes;          /* TCP payload sent again */
	culprit_u64 cgroup_id;
	culprit_u8 local[16], remote[16];
	culprit_u16 local_port, remote_port; /* host order */
	culprit_u8 family;                   /* 4 or 6; a mapped address counts as 4 */
	culprit_u8 protocol;                 /* IPPROTO_* */
	culprit_u8 direction;
	culprit_u8 reason;
	culprit_u8 tcp_state;                /* enum of the kernel, 1 = ESTABLISHED … 12; 0 for others */
	culprit_u8 pad8[3];
	culprit_u32 flags;
	culprit_u32 generation;              /* reconnects of one socket */
	culprit_s32 error;                   /* errno > 0, 0 = none known */
	culprit_u32 uid;                     /* of the owner */
	culprit_u32 n_senders;               /* distinct owner changes + 1 */
	culprit_u32 netns;                   /* 0: a kernel socket that serves several */
	culprit_u32 srtt_us;
	culprit_u32 tx_ifindex, rx_ifindex;  /* of the last packet out and in, 0 = none yet; FORWARDED: out by, in by */
	char comm[CULPRIT_COMM_LEN];         /* of the owner */
};

/* Outcome classes of connect attempts; index into culprit_counters.outcome. */
enum culprit_outcome {
	CULPRIT_OUTCOME_OK = 0,
	CULPRIT_OUTCOME_REFUSED = 1,     /* ECONNREFUSED */
	CULPRIT_OUTCOME_TIMED_OUT = 2,   /* ETIMEDOUT */
	CULPRIT_OUTCOME_UNREACHABLE = 3, /* EHOSTUNREACH, ENETUNREACH, ENETDOWN, EHOSTDOWN */
	CULPRIT_OUTCOME_DENIED = 4,      /* EPERM, EACCES: local firewall */
	CULPRIT_OUTCOME_RESET = 5,       /* ECONNRESET during the handshake */
	CULPRIT_OUTCOME_ABORTED = 6,     /* closed by its owner before an answer */
	CULPRIT_OUTCOME_NOT_SENT = 7,    /* nothing left the host (no route, no source port) */
	CULPRIT_OUTCOME_OTHER = 8,
	CULPRIT_OUTCOME_COUNT = 9,
};

/*
 * Cumulative per process image (one key), but for the window at the end. attempts = sum of outcome + those still open.
 * A key with tgid 0, start 0 and exec_id 0 collects whoever the table had no room for; one with tgid 0, start 0 and
 * exec_id = uid + 1 is the overflow bucket of that uid: its processes over the uid's share of the table.
 * First contact: a TCP (address, port) that nobody of this uid has tried for some minutes (Jung et al. 2004, TRW); its
 * outcome counts into _ok or, whatever else it was, _failed.
 *
 * The sketches take in the destination of every TCP connect attempt and, of other flows with direction OUT, that of the
 * first datagram to each peer. With a and b the two 64-bit halves of the 16 address bytes as the CPU loads them, p the
 * port in host order, s0 and s1 random for each load and mix() the 64-bit finalizer of MurmurHash3:
 *   address: h = mix(mix(mix(a ^ s0) ^ b) ^ s1), register h >> 56, rank = leading zeros of ((h << 8) | 0x80) + 1
 *   port:    h = mix(mix(p ^ s0) ^ s1),          register h >> 58, rank = leading zeros of ((h << 6) | 0x20) + 1
 * A register holds the highest rank of its values in the window, 0 = none. All registers begin at 0 in every window.
 */
struct culprit_counters {
	struct culprit_header header;
	struct culprit_process_key key;
	culprit_u64 tcp_attempts;
	culprit_u64 outcome[CULPRIT_OUTCOME_COUNT];
	culprit_u64 accepts;
	culprit_u64 tx_wire_bytes, rx_wire_bytes, tx_packets, rx_packets;
	culprit_u64 suppressed_flows; /* flow records not emitted because of the rate limit; their attempts are counted */
	culprit_u64 first_contacts, first_contacts_ok, first_contacts_failed;
	culprit_u64 initiated_tx_wire_bytes, initiated_rx_wire_bytes; /* on flows with direction OUT */
	culprit_u64 accepted_tx_wire_bytes, accepted_rx_wire_bytes;   /* on flows with direction IN */
	culprit_u64 raw_packets, raw_bytes;   /* sent through raw sockets, L3 */
	culprit_u64 link_packets, link_bytes; /* sent through packet sockets, L3 (frames without their link header) */
	culprit_u64 bare_syns;                /* of those two: TCP segments with SYN and without ACK */
	culprit_u64 window_boot_ns;           /* start of the window that the registers cover; 0 = nothing yet */
	culprit_u8 address_registers[CULPRIT_ADDRESS_REGISTERS]; /* HyperLogLog (Flajolet et al. 2007): highest rank seen */
	culprit_u8 port_registers[CULPRIT_PORT_REGISTERS];
	char comm[CULPRIT_COMM_LEN];
	culprit_u32 uid;
	culprit_u32 pad;
};

/* Loss by cause, cumulative since the programs were loaded; index of the kernel's stats array. */
enum culprit_stat {
	CULPRIT_STAT_RING_FULL_EXEC = 0,
	CULPRIT_STAT_RING_FULL_FORK = 1,
	CULPRIT_STAT_RING_FULL_EXIT = 2,
	CULPRIT_STAT_RING_FULL_FLOW = 3,
	CULPRIT_STAT_OWNER_STORAGE_FAILED = 4, /* sk_storage refused: the socket's owner is unknown */
	CULPRIT_STAT_FLOW_STORAGE_FAILED = 5,
	CULPRIT_STAT_PEER_TABLE_FULL = 6,      /* bytes went to the socket's "other peers" */
	CULPRIT_STAT_PROCESS_TABLE_FULL = 7,
	CULPRIT_STAT_EVENTS_SENT = 8,
	CULPRIT_STAT_FLOW_SUPPRESSED = 9,
	CULPRIT_STAT_FORWARD_TABLE_FULL = 10,  /* forwarded bytes went to "other" of the interface pair */
	CULPRIT_STAT_LEDGER_FULL = 11,         /* more interfaces than the ledger holds: bytes went to interface 0 */
	CULPRIT_STAT_PROCESS_BUDGET = 12,      /* a uid has used up its share of the process table: its overflow bucket */
	CULPRIT_STAT_COUNT = 13,
};

struct culprit_lost {
	struct culprit_header header;
	culprit_u64 stat[CULPRIT_STAT_COUNT];
};

/* Whose bytes passed an interface. */
enum culprit_class {
	CULPRIT_CLASS_PROCESS = 0,
	CULPRIT_CLASS_KERNEL = 1,    /* made by the kernel: control sockets, ARP, ND, time-wait entries */
	CULPRIT_CLASS_FORWARDED = 2, /* came in by another interface */
	CULPRIT_CLASS_UNKNOWN = 3,   /* a socket whose owner is not known */
	CULPRIT_CLASS_COUNT = 4,
};

/* Indexed by culprit_class. skb: as the stack hands packets over (super-packets); wire: as segmented. L3 bytes. */
struct culprit_ledger {
	culprit_u64 skb_bytes[CULPRIT_CLASS_COUNT];
	culprit_u64 wire_bytes[CULPRIT_CLASS_COUNT];
	culprit_u64 packets[CULPRIT_CLASS_COUNT]; /* as segmented */
};

/* What the hooks counted on one interface, cumulative since the programs were loaded. Forwarded, rx: by skb_iif. */
struct culprit_interface {
	struct culprit_header header;
	culprit_u32 netns;
	culprit_u32 ifindex;    /* 0: interfaces that the ledger had no room for */
	culprit_u32 hardware;   /* 1: a device that segments by itself and counts wire packets; 0: virtual, counts skbs */
	culprit_u32 header_len; /* link header bytes that the device's own counters include in each packet */
	struct culprit_ledger tx, rx;
	char name[16];
};

/*
 * Key of the table of peers (unconnected datagram and raw sockets); its values start with a struct culprit_flow, those
 * of the process table (key: struct culprit_process_key) with a struct culprit_counters.
 */
struct culprit_peer_key {
	culprit_u64 cookie;
	culprit_u8 remote[16];
	culprit_u16 remote_port;
	culprit_u16 protocol;
	culprit_u32 generation;
};
CULPRIT_ABI_ASSERT(sizeof(struct culprit_peer_key) == 32, "culprit_peer_key");

/* Key of the table of forwarded flows, whose values start with a struct culprit_flow. "Other": no address, no port. */
struct culprit_forward_key {
	culprit_u32 netns;
	culprit_u32 in, out; /* ifindex */
	culprit_u8 source[16], destination[16]; /* as it leaves */
	culprit_u16 source_port, destination_port; /* host order */
	culprit_u32 protocol;
};
CULPRIT_ABI_ASSERT(sizeof(struct culprit_forward_key) == 52, "culprit_forward_key");

/* Key of the table of ends that found the ring full; its values are struct culprit_flow. */
struct culprit_unsent_key {
	culprit_u64 cookie;
	culprit_u64 generation;
};

/* culprit_header.reserved between iterators and bpf_source; always 0 in what the source delivers. */
#define CULPRIT_SWEEP_UNCHANGED 1U /* do not deliver: only there for REMOVE */
#define CULPRIT_SWEEP_REMOVE 2U    /* the table entry is over: user space takes it out */

CULPRIT_ABI_ASSERT(sizeof(struct culprit_fork) % 8 == 0, "culprit_fork");
CULPRIT_ABI_ASSERT(sizeof(struct culprit_exec) % 8 == 0, "culprit_exec");
CULPRIT_ABI_ASSERT(sizeof(struct culprit_flow) % 8 == 0, "culprit_flow");
CULPRIT_ABI_ASSERT(sizeof(struct culprit_counters) % 8 == 0, "culprit_counters");
CULPRIT_ABI_ASSERT(sizeof(struct culprit_interface) % 8 == 0, "culprit_interface");

#endif /* CULPRIT_BPF_ABI_H_ */
