/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the packet tap's filter (bpf/tap.bpf.c) and agent/ring share: fixed-width, padded by hand. The filter is an object
 * of its own, loaded and replaced apart from the others.
 */
#ifndef CULPRIT_BPF_TAP_ABI_H_
#define CULPRIT_BPF_TAP_ABI_H_

#include "bpf/abi.h"

/* What a packet is kept for; each has its own rate, and the last two none. */
enum culprit_tap_class {
	CULPRIT_TAP_LINK = 0,     /* no IP: ARP, LLDP, … */
	CULPRIT_TAP_GENERAL = 1,  /* connections and datagrams by their budget */
	CULPRIT_TAP_SSH = 2,      /* ports of settings.ssh_ports */
	CULPRIT_TAP_DNS = 3,      /* port 53 */
	CULPRIT_TAP_CONTACT = 4,  /* SYN and SYN-ACK of any connection */
	CULPRIT_TAP_FLAGGED = 5,  /* somebody is suspected: whole packets */
	CULPRIT_TAP_EXCLUDED = 6, /* the agent's own connection to its collector */
	CULPRIT_TAP_CLASS_COUNT = 7,
};

/* Of one CPU since the load; a packet is in seen and in exactly one of kept, past_budget, over_rate. */
struct culprit_tap_counters {
	culprit_u64 seen, seen_bytes;
	culprit_u64 kept, kept_bytes; /* as cut */
	culprit_u64 cut;              /* of kept: not whole */
	culprit_u64 past_budget;      /* its connection has had its first bytes and headers */
	culprit_u64 over_rate;        /* its class has had its bytes of this second */
};

/* The same for both directions: the lower (address, port) first. Addresses in their IPv6 form. */
struct culprit_tap_flow_key {
	culprit_u64 low[2], high[2]; /* 16 bytes each, compared as two native 64-bit numbers */
	culprit_u16 low_port, high_port; /* host order; 0: none, or a fragment behind the first */
	culprit_u32 protocol;
};
CULPRIT_ABI_ASSERT(sizeof(struct culprit_tap_flow_key) == 40, "culprit_tap_flow_key");

/* Values of the tables of policy: by flow, and by address of either end. */
#define CULPRIT_TAP_WHOLE 1U
#define CULPRIT_TAP_EXCLUDE 2U

struct culprit_tap_rate {
	culprit_u64 bytes_per_sec, burst_bytes;
};

#define CULPRIT_TAP_SSH_PORTS 4
struct culprit_tap_settings {
	culprit_u64 first_bytes;     /* of each connection whole */
	culprit_u64 ssh_first_bytes; /* the same for SSH */
	culprit_u32 header_packets;  /* after those so many packets by their headers */
	culprit_u32 header_bytes;
	culprit_u16 ssh_ports[CULPRIT_TAP_SSH_PORTS]; /* 0: none */
	struct culprit_tap_rate rate[CULPRIT_TAP_CLASS_COUNT + 1]; /* one more: a power of two */
};
CULPRIT_ABI_ASSERT(CULPRIT_TAP_CLASS_COUNT + 1 == 8, "culprit_tap_class");

#endif /* CULPRIT_BPF_TAP_ABI_H_ */
