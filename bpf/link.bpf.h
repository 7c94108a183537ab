/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packet sockets (AF_PACKET): no cgroup hook sees them, and nothing is told when they close. So nothing is kept at the
 * socket but who sends: each frame goes to the entry of its destination or, without one, to the socket's "other peers",
 * which is an entry as well (no address, no port) and outlives the socket. Callers run in the sender's own context.
 */
#ifndef CULPRIT_BPF_LINK_BPF_H_
#define CULPRIT_BPF_LINK_BPF_H_

#include "bpf/owner.bpf.h"
#include "bpf/peer.bpf.h"

#define LINK_COOKIE (1ULL << 62)
#define VNET_HEADER_MAX 20 /* a frame may have one before it that send() counts and no device sees */

/* What is counted of one frame, or of several whose destinations nobody saw. */
struct frame {
	struct ends ends; /* family 0: not known */
	struct ledger_mark size; /* L3 */
	u64 payload;
	u32 bare_syn;
	u8 protocol;
};

/* The socket's cookie if somebody has asked for one: the helper that makes it takes no socket found by its packet. */
static __always_inline u64 link_cookie(struct sock *sk, u64 now)
{
	u64 cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);

	return cookie ?: LINK_COOKIE | (now ^ (u64)bpf_get_prandom_u32() << 30) >> 2;
}

/* The flow of a packet socket, charged to the current process unless `keep_owner` and somebody is charged already. */
static __noinline struct flow_state *link_flow(struct sock *sk, bool keep_owner)
{
	struct flow_state *flow = bpf_sk_storage_get(&sk_flow, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	struct owner_state owner;
	u64 now;

	if (!flow) {
		count_stat(CULPRIT_STAT_FLOW_STORAGE_FAILED);
		return NULL;
	}
	if (!flow->rec.cookie) {
		owner_of_current(&owner);
		now = bpf_ktime_get_boot_ns();
		init_flow(flow, &owner, link_cookie(sk, now), 0, now);
		flow->rec.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
		flow->rec.flags |= CULPRIT_FLOW_LINK | CULPRIT_FLOW_RAW;
		flow->rec.direction = CULPRIT_DIRECTION_OUT;
		flow->phase |= PHASE_USED;
	} else if (!keep_owner && !is_owner(flow, bpf_get_current_task_btf())) {
		owner_of_current(&owner);
		own_flow(flow, &owner);
	}
	return flow;
}

static __always_inline struct flow_state *link_peer(struct flow_state *flow, const struct frame *frame)
{
	struct ends unknown = {};
	struct flow_state *peer = NULL;
	struct process_state *process;

	if (frame->ends.family) {
		peer = find_peer(flow, &frame->ends, frame->protocol, true, true);
		if (peer)
			return peer;
		/* Over the budget of peers: the sketch still sees where it went. */
		process = owner_process(&flow->rec);
		if (process)
			sketch_peer(process, frame->ends.remote, frame->ends.remote_port);
	}
	peer = find_peer(flow, &unknown, 0, true, false);
	if (!peer)
		peer = flow; /* the whole table is full */
	peer->rec.flags |= CULPRIT_FLOW_OVERFLOW;
	return peer;
}

/* `dev` may be NULL: by which interface is not known. */
static __noinline int count_frame(struct flow_state *flow, const struct frame *frame, struct net_device *dev)
{
	struct flow_state *peer;
	u32 ifindex;

	if (!flow || !frame)
		return 0;
	peer = link_peer(flow, frame);
	if (peer != flow && !same_process(&peer->rec.owner, &flow->rec.owner))
		own_peer(flow, peer);
	ifindex = BPF_CORE_READ(dev, ifindex);
	if (ifindex && peer->rec.tx_ifindex != ifindex)
		change_interface(peer, dev, ifindex, true);
	peer->last_jiffies = bpf_jiffies64();
	__sync_fetch_and_add(&peer->rec.tx_wire_bytes, frame->size.wire);
	__sync_fetch_and_add(&peer->rec.tx_skb_bytes, frame->size.skb);
	__sync_fetch_and_add(&peer->rec.tx_packets, frame->size.packets);
	__sync_fetch_and_add(&peer->rec.tx_payload_bytes, frame->payload);
	if (frame->bare_syn)
		__sync_fetch_and_add(&peer->bare_syns, 1);
	if (peer->rec.tx_packets == frame->size.packets)
		announce_first(peer, bpf_ktime_get_boot_ns());
	if (peer == flow)
		settle(flow); /* there will be no other occasion once the socket is closed */
	return 0;
}

/* The interface that the socket is bound to. The type is a module's on some systems, and unknown until it is loaded. */
static __always_inline struct net_device *bound_device(struct sock *sk)
{
	struct packet_sock *po = (struct packet_sock *)sk;

	if (!bpf_core_field_exists(po->prot_hook.dev))
		return NULL;
	return BPF_CORE_READ(po, prot_hook.dev);
}

/*
 * A send call returned. PACKET_QDISC_BYPASS takes frames past every hook of the device, so what was sent beyond what
 * the device hook saw is counted by its length: one packet a call (a TX ring may have sent more), to nobody knows where.
 */
static __noinline __attribute__((unused)) int link_sent(struct sock *sk, u32 length)
{
	struct flow_state *flow = link_flow(sk, false);
	struct frame frame = {};
	struct net_device *dev;
	u64 seen, header = 0;

	if (!flow)
		return 0;
	seen = flow->queued < length ? flow->queued : length;
	flow->queued -= seen;
	length -= seen;
	if (length <= VNET_HEADER_MAX)
		return 0;
	dev = bound_device(sk);
	if (sk->sk_type != SOCK_DGRAM)
		header = dev ? BPF_CORE_READ(dev, hard_header_len) : ETH_HLEN;
	frame.size.skb = minus(length, header);
	frame.size.wire = frame.size.skb;
	frame.size.packets = 1;
	count_frame(flow, &frame, dev);
	return 0;
}

#endif /* CULPRIT_BPF_LINK_BPF_H_ */
