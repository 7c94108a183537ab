/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Peers of sockets that have many: unconnected datagram, raw and packet sockets. Each is a flow of its own, in a table
 * with room for so many of one socket in a window; the rest is counted as the socket's "other peers".
 */
#ifndef CULPRIT_BPF_PEER_BPF_H_
#define CULPRIT_BPF_PEER_BPF_H_

#include "bpf/flow.bpf.h"

struct ends {
	u8 local[16], remote[16];
	u16 local_port, remote_port;
	u8 family;
};

static __noinline __attribute__((unused)) int sketch_peer(struct process_state *process, const u8 *remote, u16 port)
{
	struct destination to = {};

	if (!process || !remote)
		return 0;
	__builtin_memcpy(to.address, remote, 16);
	to.port = port;
	return sketch(process, &to, bpf_ktime_get_boot_ns());
}

static __always_inline void announce_first(struct flow_state *flow, u64 now)
{
	struct process_state *process = owner_process(&flow->rec);

	if (!process)
		return;
	if (flow->rec.direction == CULPRIT_DIRECTION_OUT && !(flow->rec.flags & CULPRIT_FLOW_OVERFLOW))
		sketch_peer(process, flow->rec.remote, flow->rec.remote_port);
	if (within_rate(process, now))
		emit_flow(flow, CULPRIT_FLOW_FIRST, false);
}

/* A new peer: the socket's flow without its counters. */
static __always_inline void init_peer(struct flow_state *peer, const struct flow_state *flow, const struct ends *ends,
				      u8 protocol, u64 now, bool egress)
{
	__builtin_memcpy(&peer->rec, &flow->rec, sizeof(peer->rec));
	peer->rec.tx_wire_bytes = peer->rec.rx_wire_bytes = 0;
	peer->rec.tx_skb_bytes = peer->rec.rx_skb_bytes = 0;
	peer->rec.tx_packets = peer->rec.rx_packets = 0;
	peer->rec.tx_payload_bytes = peer->rec.rx_payload_bytes = 0;
	peer->rec.tx_ifindex = peer->rec.rx_ifindex = 0;
	peer->rec.established_boot_ns = 0;
	peer->rec.flags &= ~CULPRIT_FLOW_OVERFLOW;
	peer->rec.flags |= CULPRIT_FLOW_PEER;
	peer->rec.start_boot_ns = now;
	peer->rec.counted_from_boot_ns = now;
	peer->rec.n_senders = 1;
	peer->rec.direction = egress ? CULPRIT_DIRECTION_OUT : CULPRIT_DIRECTION_IN;
	if (flow->phase & PHASE_ACCEPTED)
		peer->rec.direction = CULPRIT_DIRECTION_IN;
	peer->rec.family = ends->family;
	peer->rec.protocol = protocol;
	__builtin_memcpy(peer->rec.local, ends->local, 16);
	__builtin_memcpy(peer->rec.remote, ends->remote, 16);
	peer->rec.local_port = ends->local_port;
	peer->rec.remote_port = ends->remote_port;
	peer->kind = KIND_DATAGRAM;
}

/*
 * The entry of one peer of an unconnected socket; NULL: the table, its user's share or, if `limited`, the
 * socket's share of it is full.
 */
static __always_inline struct flow_state *find_peer(struct flow_state *flow, const struct ends *ends, u8 protocol,
						    bool egress, bool limited)
{
	struct culprit_peer_key key = {};
	struct flow_state *peer;
	u32 uid;
	u64 now;

	key.cookie = flow->rec.cookie;
	__builtin_memcpy(key.remote, ends->remote, 16);
	key.remote_port = ends->remote_port;
	key.protocol = protocol;
	key.generation = flow->rec.generation;
	peer = bpf_map_lookup_elem(&peers, &key);
	if (peer)
		return peer;
	now = bpf_ktime_get_boot_ns();
	if (now - flow->window_ns > PEER_IDLE_NS) {
		flow->window_ns = now;
		flow->window_peers = 0;
	}
	uid = flow->rec.uid;
	if ((limited && flow->window_peers >= PEERS_PER_WINDOW) || !claim_peer(&uid)) {
		count_stat(CULPRIT_STAT_PEER_TABLE_FULL);
		return NULL;
	}
	if (bpf_map_update_elem(&peers, &key, &zero_flow, BPF_NOEXIST)) {
		release_peer(uid);
		peer = bpf_map_lookup_elem(&peers, &key); /* another CPU was first */
		if (!peer)
			count_stat(CULPRIT_STAT_PEER_TABLE_FULL);
		return peer;
	}
	flow->window_peers += 1;
	peer = bpf_map_lookup_elem(&peers, &key);
	if (!peer)
		return NULL;
	init_peer(peer, flow, ends, protocol, now, egress);
	peer->share_uid = uid;
	return peer;
}

#endif /* CULPRIT_BPF_PEER_BPF_H_ */
