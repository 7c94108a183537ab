// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Packets, once each, at the socket: below every system call and io_uring, above NAT. Runs in softirq as well as in
 * process context, so `current` means nothing here: a packet belongs to its socket, the socket to its owner.
 * The verdict is always 1 (allow).
 */
#include "bpf/flow.bpf.h"
#include "bpf/owner.bpf.h"
#include "bpf/peer.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct packet {
	u32 len;
	u32 wire;
	u32 segments;
	u32 headers;
	u32 l3;
	u8 version;
	u8 protocol;
	u16 pad;
};

/* A pointer that the verifier knows, as a number that probe reads can start from. */
static __always_inline void *as_kernel_pointer(void *pointer)
{
	u64 number = 0;

	bpf_probe_read_kernel(&number, sizeof(number), &pointer);
	return (void *)number;
}

/* IP fragments are made after this hook: every one but the first repeats the IP header. */
static __noinline u32 fragment_overhead(struct __sk_buff *skb, u32 len, u8 version)
{
	struct sk_buff *kernel_skb = as_kernel_pointer(skb);
	u32 mtu = BPF_CORE_READ(kernel_skb, dev, mtu);
	u32 header = version == 4 ? 20 : 48;
	u32 room;

	if (mtu < 576 || len <= mtu)
		return 0;
	room = (mtu - header) & ~7U;
	if (!room)
		return 0;
	return ((len - (version == 4 ? 20 : 40) + room - 1) / room) << 16 | header;
}

/* `fragments` as fragment_overhead() returns it: how many, and the header that each but the first repeats. */
static __always_inline void add_fragments(struct packet *packet, u32 fragments)
{
	if (fragments >> 16 <= 1)
		return;
	packet->segments = fragments >> 16;
	packet->wire += ((fragments >> 16) - 1) * (fragments & 0xffff);
	if (packet->version == 6)
		packet->wire += 8;
}

/* Headers, and what the segments of a super-packet will add to them on the wire. */
static __noinline int measure(struct __sk_buff *skb, struct packet *packet, bool egress)
{
	u8 first = 0, next = 0, offset = 0;
	u32 l3 = 20, l4 = 8;

	if (!packet || bpf_skb_load_bytes(skb, 0, &first, 1))
		return 0;
	packet->version = first >> 4;
	if (packet->version == 6) {
		l3 = 40;
		bpf_skb_load_bytes(skb, 6, &next, 1);
		if (next == 0 || next == 43 || next == 44 || next == 60) { /* extension headers */
			struct sk_buff *kernel_skb = as_kernel_pointer(skb);
			u16 transport = BPF_CORE_READ(kernel_skb, transport_header);
			u16 network = BPF_CORE_READ(kernel_skb, network_header);

			if (transport > network && transport != 0xffff)
				l3 = (u16)(transport - network);
			bpf_skb_load_bytes(skb, 40, &next, 1);
		}
	} else {
		l3 = (first & 15) * 4;
		bpf_skb_load_bytes(skb, 9, &next, 1);
	}
	packet->protocol = next;
	packet->l3 = l3;
	if (next == IPPROTO_TCP) {
		bpf_skb_load_bytes(skb, (l3 & 0xff) + 12, &offset, 1);
		l4 = (offset >> 4) * 4;
	} else if (next == IPPROTO_SCTP) {
		l4 = SCTP_HEADER_LEN;
	} else if (next != IPPROTO_UDP) {
		l4 = 0;
	}
	packet->headers = l3 + l4;
	if (skb->gso_size) {
		/* Super-packets beyond 64 KiB carry a jumbo option that segmentation takes out. */
		if (packet->version == 6 && l3 > 40 && packet->len > 65535) {
			packet->headers -= l3 - 40;
			packet->wire -= l3 - 40;
		}
		u32 segments = skb->gso_segs;

		if (!segments && packet->len > packet->headers)
			segments = (packet->len - packet->headers + skb->gso_size - 1) / skb->gso_size;
		if (segments > 1) {
			packet->segments = segments;
			packet->wire += (segments - 1) * packet->headers;
		}
	} else if (egress && packet->len > 1280 && next != IPPROTO_TCP) {
		add_fragments(packet, fragment_overhead(skb, packet->len, packet->version));
	}
	return 0;
}

/* The common datagram, from the linear data: plain header, one packet. False: measure() it. */
static __always_inline bool measure_plain(struct __sk_buff *skb, struct packet *packet, bool egress)
{
	const u8 *data = (const u8 *)(long)skb->data;
	const u8 *end = (const u8 *)(long)skb->data_end;

	if (data + 28 > end || skb->gso_size || (egress && packet->len > 1280))
		return false;
	if (data[0] == 0x45 && data[9] == IPPROTO_UDP) {
		packet->version = 4;
		packet->l3 = 20;
	} else if (data[0] >> 4 == 6 && data[6] == IPPROTO_UDP) {
		packet->version = 6;
		packet->l3 = 40;
	} else {
		return false;
	}
	packet->protocol = IPPROTO_UDP;
	packet->headers = packet->l3 + 8;
	return true;
}

static __always_inline void add_packet(struct flow_state *flow, const struct packet *packet,
				       bool egress)
{
	flow->last_jiffies = bpf_jiffies64();
	if (egress) {
		__sync_fetch_and_add(&flow->rec.tx_wire_bytes, packet->wire);
		__sync_fetch_and_add(&flow->rec.tx_skb_bytes, packet->len);
		__sync_fetch_and_add(&flow->rec.tx_packets, packet->segments);
	} else {
		__sync_fetch_and_add(&flow->rec.rx_wire_bytes, packet->wire);
		__sync_fetch_and_add(&flow->rec.rx_skb_bytes, packet->len);
		__sync_fetch_and_add(&flow->rec.rx_packets, packet->segments);
	}
}

static __always_inline void add_pending(struct flow_state *flow, const struct packet *packet)
{
	flow->pend_wire += packet->wire;
	flow->pend_skb += packet->len;
	flow->pend_packets += packet->segments;
}

/* The addresses and ports of a packet, seen from the socket. */
static __always_inline void read_ends(struct __sk_buff *skb, const struct packet *packet, struct ends *ends,
				      bool egress)
{
	u8 addresses[32] = {};
	__be32 ipv4[2] = {};
	u16 ports[2] = {};
	const u8 *data = (const u8 *)(long)skb->data;
	const u8 *end = (const u8 *)(long)skb->data_end;
	bool plain = false;

	if (packet->version == 6) {
		bpf_skb_load_bytes(skb, 8, addresses, 32);
		__builtin_memcpy(egress ? ends->local : ends->remote, addresses, 16);
		__builtin_memcpy(egress ? ends->remote : ends->local, addresses + 16, 16);
		ends->family = 6;
	} else {
		if (data + 28 <= end && packet->l3 == 20 && packet->protocol == IPPROTO_UDP) {
			ipv4[0] = *(const __be32 *)(data + 12);
			ipv4[1] = *(const __be32 *)(data + 16);
			ports[0] = *(const u16 *)(data + 20);
			ports[1] = *(const u16 *)(data + 22);
			plain = true;
		} else {
			bpf_skb_load_bytes(skb, 12, ipv4, 8);
		}
		map_v4(ends->local, egress ? ipv4[0] : ipv4[1]);
		map_v4(ends->remote, egress ? ipv4[1] : ipv4[0]);
		ends->family = 4;
	}
	if (!plain && (packet->protocol == IPPROTO_TCP || packet->protocol == IPPROTO_UDP ||
		       packet->protocol == IPPROTO_SCTP))
		bpf_skb_load_bytes(skb, packet->l3 & 0xff, ports, 4);
	ends->local_port = bpf_ntohs(egress ? ports[0] : ports[1]);
	ends->remote_port = bpf_ntohs(egress ? ports[1] : ports[0]);
}

/* Listener: keep each handshake apart until an accepted socket claims it. */
static __noinline int add_handshake(struct __sk_buff *skb, struct flow_state *flow, struct packet *packet,
				    bool egress)
{
	struct handshake_key key = {};
	struct handshake fresh = {};
	struct handshake *entry;
	struct culprit_flow *ends = &flow->rec;
	u8 addresses[16] = {};
	u16 port = 0;

	if (!flow)
		return 0;
	measure(skb, packet, egress);
	key.listener = ends->cookie;
	if (packet->version == 6) {
		bpf_skb_load_bytes(skb, egress ? 24 : 8, addresses, 16);
		__builtin_memcpy(key.remote, addresses, 16);
	} else {
		__be32 address = 0;

		bpf_skb_load_bytes(skb, egress ? 16 : 12, &address, 4);
		map_v4(key.remote, address);
	}
	bpf_skb_load_bytes(skb, (packet->l3 & 0xff) + (egress ? 2 : 0), &port, 2);
	key.remote_port = bpf_ntohs(port);
	entry = bpf_map_lookup_elem(&handshakes, &key);
	if (!entry) {
		fresh.start_ns = bpf_ktime_get_boot_ns();
		bpf_map_update_elem(&handshakes, &key, &fresh, BPF_NOEXIST);
		entry = bpf_map_lookup_elem(&handshakes, &key);
		if (!entry)
			return 0;
	}
	if (egress) {
		entry->tx_wire += packet->wire;
		entry->tx_skb += packet->len;
		entry->tx_packets += packet->segments;
	} else {
		entry->rx_wire += packet->wire;
		entry->rx_skb += packet->len;
		entry->rx_packets += packet->segments;
	}
	return 0;
}

/* Over the budget of peers: the socket's own flow takes the bytes, the sketch still sees where they went. */
static __always_inline void count_other_peer(struct flow_state *flow, bool egress)
{
	struct process_state *process;

	flow->rec.flags |= CULPRIT_FLOW_OVERFLOW;
	if (!egress)
		return;
	process = owner_process(&flow->rec);
	if (process)
		sketch_peer(process, flow->peer, flow->peer_port);
}

/* The entry of the peer that a packet comes from or goes to; NULL: there is no room for it. */
static __always_inline struct flow_state *peer_of(struct __sk_buff *skb, struct flow_state *flow,
					     struct packet *packet, bool egress)
{
	struct ends ends = {};

	if (!flow || !packet)
		return NULL;
	read_ends(skb, packet, &ends, egress);
	if (egress) {
		__builtin_memcpy(flow->peer, ends.remote, 16);
		flow->peer_port = ends.remote_port;
	}
	return find_peer(flow, &ends, flow->rec.protocol, egress, true);
}

/* Kernel sockets serve every namespace (RST, ICMP): each packet is charged by itself. */
static __noinline int charge_aggregate(struct __sk_buff *skb, struct flow_state *flow, struct packet *packet,
				       bool egress)
{
	struct sk_buff *kernel_skb = as_kernel_pointer(skb);
	struct net_device *dev = BPF_CORE_READ(kernel_skb, dev);
	struct ledger_mark size = {};

	if (!flow || !packet)
		return 0;
	if (flow->rec.netns != netns_of_device(dev))
		flow->rec.netns = 0;
	if (egress)
		flow->rec.tx_ifindex = skb->ifindex;
	else
		flow->rec.rx_ifindex = skb->ifindex;
	size.skb = packet->len;
	size.wire = packet->wire;
	size.packets = packet->segments;
	return charge_packet(dev, CULPRIT_CLASS_KERNEL, &size, egress);
}

/* Before the packet is counted: what came by another interface is charged to that one. */
static __always_inline void note_interface(struct __sk_buff *skb, struct flow_state *flow, bool egress)
{
	u32 ifindex = skb->ifindex;

	if ((egress ? flow->rec.tx_ifindex : flow->rec.rx_ifindex) != ifindex) {
		struct sk_buff *kernel_skb = as_kernel_pointer(skb);

		change_interface(flow, BPF_CORE_READ(kernel_skb, dev), ifindex, egress);
	}
}

/* A packet that the process wrote itself. */
static __noinline int count_bare_syn(struct __sk_buff *skb, struct flow_state *flow, struct packet *packet)
{
	u8 flags = 0;

	if (!flow || !packet || packet->protocol != IPPROTO_TCP)
		return 0;
	bpf_skb_load_bytes(skb, (packet->l3 & 0xff) + 13, &flags, 1);
	if ((flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		__sync_fetch_and_add(&flow->bare_syns, 1);
	return 0;
}

/* UDP, raw, ICMP, SCTP. Unconnected sockets count by peer; what no entry can be made for goes to "other peers". */
static __always_inline int add_datagram(struct __sk_buff *skb, struct flow_state *flow, struct packet *packet,
				   bool connected, bool egress)
{
	struct flow_state *target = flow;
	u64 payload;

	if (!flow || !packet)
		return 0;
	if (!measure_plain(skb, packet, egress))
		measure(skb, packet, egress);
	payload = packet->len > packet->headers ? packet->len - packet->headers : 0;
	if (!connected && flow->kind == KIND_DATAGRAM) {
		target = peer_of(skb, flow, packet, egress);
		if (!target) {
			target = flow;
			count_other_peer(flow, egress);
		}
	}
	if (flow->kind == KIND_AGGREGATE)
		charge_aggregate(skb, flow, packet, egress);
	else
		note_interface(skb, target, egress);
	if (egress && (flow->rec.flags & CULPRIT_FLOW_RAW))
		count_bare_syn(skb, target, packet);
	add_packet(target, packet, egress);
	if (egress)
		__sync_fetch_and_add(&target->rec.tx_payload_bytes, payload);
	else
		__sync_fetch_and_add(&target->rec.rx_payload_bytes, payload);
	if (egress && flow->kind == KIND_DATAGRAM) {
		add_pending(flow, packet);
		flow->pend_payload += payload;
		if (!same_process(&target->rec.owner, &flow->rec.owner)) {
			if (has_send_length)
				flow->phase |= PHASE_STALE;
			else
				own_peer(flow, target);
		}
	}
	if (target->rec.tx_packets + target->rec.rx_packets == packet->segments &&
	    flow->kind == KIND_DATAGRAM) {
		if (target == flow && !flow->rec.direction)
			flow->rec.direction = egress ? CULPRIT_DIRECTION_OUT : CULPRIT_DIRECTION_IN;
		announce_first(target, bpf_ktime_get_boot_ns());
	}
	return 0;
}

/* Sockets that the kernel made for itself were not seen by the create hook and hold no reference to their netns. */
static __always_inline bool is_kernel_socket(struct sock *sk)
{
	return BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_net_refcnt) == 0;
}

static __noinline struct flow_state *first_packet(struct __sk_buff *skb, struct bpf_sock *sk)
{
	struct owner_state *owner = bpf_sk_storage_get(&sk_owner, sk, 0, 0);
	struct flow_state *flow = bpf_sk_storage_get(&sk_flow, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	struct sock *kernel_sk = as_kernel_pointer(sk);

	if (!flow) {
		count_stat(CULPRIT_STAT_FLOW_STORAGE_FAILED);
		return NULL;
	}
	init_flow(flow, owner, bpf_get_socket_cookie(skb), sk->protocol, bpf_ktime_get_boot_ns());
	flow->rec.netns = BPF_CORE_READ(kernel_sk, __sk_common.skc_net.net, ns.inum);
	if (!owner && is_kernel_socket(kernel_sk)) {
		flow->rec.flags |= CULPRIT_FLOW_KERNEL;
		flow->kind = KIND_AGGREGATE;
	} else if (!owner) {
		flow->rec.flags |= CULPRIT_FLOW_PREEXISTING;
	}
	if (sk->type == SOCK_RAW) {
		flow->rec.flags |= CULPRIT_FLOW_RAW;
		if (flow->kind == KIND_STREAM)
			flow->kind = KIND_DATAGRAM;
	}
	if (flow->kind == KIND_STREAM && sk->state == BPF_TCP_LISTEN) {
		flow->kind = KIND_LISTENER;
		flow->rec.direction = CULPRIT_DIRECTION_LISTEN;
	}
	return flow;
}

static __always_inline int on_packet(struct __sk_buff *skb, bool egress)
{
	struct bpf_sock *sk = skb->sk, *full;
	struct flow_state *flow;
	struct packet packet = {};

	if (!sk)
		return 1;
	flow = bpf_sk_storage_get(&sk_flow, sk, 0, 0);
	if (!flow || !flow->rec.cookie) {
		full = bpf_sk_fullsock(sk);
		if (!full)
			return 1;
		flow = first_packet(skb, full);
		if (!flow)
			return 1;
	}
	packet.len = skb->len;
	packet.wire = packet.len;
	packet.segments = 1;
	if (!(flow->phase & PHASE_TUPLE) && (sk->dst_port || flow->kind == KIND_LISTENER)) {
		fill_tuple(&flow->rec, sk);
		flow->phase |= PHASE_TUPLE;
	}
	if (flow->kind == KIND_DATAGRAM || flow->kind == KIND_AGGREGATE) {
		/* An SCTP association may have several addresses on each side: one flow for each remote one. */
		add_datagram(skb, flow, &packet,
			     sk->state == BPF_TCP_ESTABLISHED && flow->rec.protocol != IPPROTO_SCTP, egress);
		return 1;
	}
	if (flow->kind == KIND_LISTENER)
		add_handshake(skb, flow, &packet, egress);
	else if (skb->gso_size)
		measure(skb, &packet, egress);
	note_interface(skb, flow, egress);
	add_packet(flow, &packet, egress);
	if (egress)
		add_pending(flow, &packet);
	return 1;
}

SEC("cgroup_skb/egress")
int culprit_egress(struct __sk_buff *skb)
{
	return on_packet(skb, true);
}

SEC("cgroup_skb/ingress")
int culprit_ingress(struct __sk_buff *skb)
{
	return on_packet(skb, false);
}
