// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Packets that reach a device without having passed a socket hook: frames of packet sockets, forwarded packets, and
 * what the kernel makes by itself. Everything else was counted at the socket and leaves at once.
 * Stacked devices: a packet comes by once for each. Flows are counted at the lowest device (it leaves by that one), the
 * ledger at all of them. A tunnel's outer packet is the kernel's.
 * Not seen: what a queueing discipline drops afterwards (counted all the same), AF_XDP, and packets that XDP or a
 * device itself sends back.
 */
#include "bpf/link.bpf.h"
#include "bpf/walk.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define MAX_FORWARDS 3072
#define FORWARD_RECORDS_PER_SEC 200
#define FORWARD_COOKIE (1ULL << 63)

struct forward_state {
	struct culprit_flow rec;
	struct ledger_mark tx_mark, rx_mark;
	u64 exported; /* packets + 1 at the last sweep */
	u64 last_jiffies;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_FORWARDS);
	__type(key, struct culprit_forward_key);
	__type(value, struct forward_state);
} forwards SEC(".maps");

static const struct forward_state zero_forward;
__u64 forward_window = 0;
__u32 forward_window_records = 0;

struct ip_header {
	u8 version_and_len, tos;
	__be16 total, id, fragment;
	u8 ttl, protocol;
	__be16 check;
	__be32 source, destination;
};

struct ip6_header {
	__be32 version;
	__be16 payload;
	u8 next, hops;
	u8 source[16], destination[16];
};

/* As much of an IPv6 extension header as has to be read, and of the header of a transport protocol. */
struct extension {
	u8 next, len;
	__be16 fragment;
};

struct transport {
	__be16 source, destination;
	u8 pad[8];
	u8 offset, flags;
};

/* Reads addresses; what follows them is at `*at`. False: no IP, or a fragment without its transport header. */
static __noinline int parse_addresses(const u8 *l3, u32 room, struct frame *frame, u32 *at)
{
	u8 first = 0;

	if (!frame || !at || bpf_probe_read_kernel(&first, 1, l3))
		return false;
	if (first >> 4 == 4 && room >= sizeof(struct ip_header)) {
		struct ip_header ip = {};

		bpf_probe_read_kernel(&ip, sizeof(ip), l3);
		map_v4(frame->ends.local, ip.source);
		map_v4(frame->ends.remote, ip.destination);
		frame->ends.family = 4;
		frame->protocol = ip.protocol;
		*at = (first & 15) * 4;
		return !(ip.fragment & bpf_htons(0x1fff));
	}
	if (first >> 4 == 6 && room >= sizeof(struct ip6_header)) {
		struct ip6_header ip = {};
		struct extension more = {};

		bpf_probe_read_kernel(&ip, sizeof(ip), l3);
		__builtin_memcpy(frame->ends.local, ip.source, 16);
		__builtin_memcpy(frame->ends.remote, ip.destination, 16);
		frame->ends.family = 6;
		frame->protocol = ip.next;
		*at = sizeof(ip);
		if (ip.next == 0 || ip.next == 43 || ip.next == 44 || ip.next == 60) {
			if (room < sizeof(ip) + 8)
				return false;
			bpf_probe_read_kernel(&more, sizeof(more), l3 + sizeof(ip));
			frame->protocol = more.next;
			*at += ip.next == 44 ? 8 : (more.len + 1) * 8;
			return ip.next != 44 || !(more.fragment & bpf_htons(0xfff8));
		}
		return true;
	}
	return false;
}

/* Ports, flags, and the headers that every segment of a super-packet repeats. */
static __noinline u32 parse_transport(const u8 *l3, u32 room, u32 at, struct frame *frame)
{
	struct transport l4 = {};

	if (!frame || room < at + 8)
		return at;
	bpf_probe_read_kernel(&l4, 4, l3 + at);
	if (frame->protocol == IPPROTO_TCP && room >= at + sizeof(l4))
		bpf_probe_read_kernel(&l4, sizeof(l4), l3 + at);
	else if (frame->protocol != IPPROTO_UDP && frame->protocol != IPPROTO_SCTP)
		return at;
	frame->ends.local_port = bpf_ntohs(l4.source);
	frame->ends.remote_port = bpf_ntohs(l4.destination);
	if (frame->protocol != IPPROTO_TCP)
		return at + 8;
	frame->bare_syn = (l4.flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	return at + (l4.offset >> 4) * 4;
}

/* Headers that are not in the linear part (a packet socket's TX ring) are not read: destination unknown. */
static __noinline int read_frame(struct sk_buff *skb, struct frame *frame)
{
	const u8 *head = (const u8 *)BPF_CORE_READ(skb, head), *data = (const u8 *)BPF_CORE_READ(skb, data);
	u32 len = BPF_CORE_READ(skb, len), linear = len - BPF_CORE_READ(skb, data_len);
	const u8 *l3 = head + BPF_CORE_READ(skb, network_header);
	const struct skb_shared_info *shared = (const void *)(head + BPF_CORE_READ(skb, end));
	u32 gso = BPF_CORE_READ(shared, gso_size), segments = 1, headers = 0, link;

	if (!frame)
		return 0;
	if (l3 < data || l3 > data + linear)
		l3 = data;
	link = l3 - data;
	if (parse_addresses(l3, linear - link, frame, &headers))
		headers = parse_transport(l3, linear - link, headers, frame);
	len -= link;
	frame->payload = minus(len, headers);
	if (gso) {
		segments = BPF_CORE_READ(shared, gso_segs);
		if (!segments)
			segments = (frame->payload + gso - 1) / gso;
		if (!segments)
			segments = 1;
	}
	frame->size.skb = len;
	frame->size.wire = len + (u64)(segments - 1) * headers;
	frame->size.packets = segments;
	return 0;
}

static __noinline int on_link(struct sk_buff *skb, struct sock *sk)
{
	struct net_device *dev = skb->dev;
	struct frame frame = {};
	struct flow_state *flow;
	bool lowest = dev->lower_level <= 1, alone = dev->upper_level <= 1;

	/* Below another device whose queue held the frame, current may be anybody. */
	flow = link_flow(sk, lowest && !alone);
	if (!flow)
		return 0;
	read_frame(skb, &frame);
	if (!lowest) {
		charge_packet(dev, CULPRIT_CLASS_PROCESS, &frame.size, true);
		return 0;
	}
	__sync_fetch_and_add(&flow->queued, sk->sk_type == SOCK_DGRAM ? frame.size.skb : skb->len);
	count_frame(flow, &frame, dev);
	return 0;
}

static __always_inline u64 forward_cookie(const struct culprit_forward_key *key, u64 now)
{
	const u32 *words = (const u32 *)key;
	u64 hash = now;

	for (int i = 0; i < (int)(sizeof(*key) / 4); i++)
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ULL;
	return FORWARD_COOKIE | hash >> 1;
}

static __always_inline void emit_forward(struct forward_state *forward, u64 now)
{
	struct culprit_flow *record;

	if (forward_window != now / NSEC_PER_SEC) {
		forward_window = now / NSEC_PER_SEC;
		forward_window_records = 0;
	}
	if (forward_window_records >= FORWARD_RECORDS_PER_SEC) {
		count_stat(CULPRIT_STAT_FLOW_SUPPRESSED); /* the sweep tells of it */
		return;
	}
	forward_window_records += 1;
	record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);
	if (!record) {
		count_stat(CULPRIT_STAT_RING_FULL_FLOW);
		return;
	}
	__builtin_memcpy(record, &forward->rec, sizeof(*record));
	finish_record(record, CULPRIT_FLOW_FIRST, now);
	record->last_boot_ns = now;
	bpf_ringbuf_submit(record, wake_flags());
	count_stat(CULPRIT_STAT_EVENTS_SENT);
}

static __always_inline struct forward_state *make_forward(const struct culprit_forward_key *key, u8 family, u64 now)
{
	struct forward_state *forward;

	bpf_map_update_elem(&forwards, key, &zero_forward, BPF_NOEXIST);
	forward = bpf_map_lookup_elem(&forwards, key);
	if (!forward)
		return NULL;
	forward->rec.cookie = forward_cookie(key, now);
	forward->rec.start_boot_ns = now;
	forward->rec.counted_from_boot_ns = now;
	forward->rec.netns = key->netns;
	forward->rec.rx_ifindex = key->in;
	forward->rec.tx_ifindex = key->out;
	forward->rec.direction = CULPRIT_DIRECTION_FORWARDED;
	forward->rec.family = family;
	forward->rec.protocol = key->protocol;
	forward->rec.flags = family ? 0 : CULPRIT_FLOW_OVERFLOW;
	forward->rec.local_port = key->source_port;
	forward->rec.remote_port = key->destination_port;
	__builtin_memcpy(forward->rec.local, key->source, 16);
	__builtin_memcpy(forward->rec.remote, key->destination, 16);
	return forward;
}

/* The entry of a forwarded packet; what is no IP and what has no room goes to "other" of its pair of interfaces. */
static __noinline struct forward_state *forward_of(struct culprit_forward_key *key, u8 family)
{
	struct forward_state *forward;

	if (!key)
		return NULL;
	forward = bpf_map_lookup_elem(&forwards, key);
	if (forward)
		return forward;
	forward = make_forward(key, family, bpf_ktime_get_boot_ns());
	if (forward || !family)
		return forward;
	count_stat(CULPRIT_STAT_FORWARD_TABLE_FULL);
	__builtin_memset(key->source, 0, 16);
	__builtin_memset(key->destination, 0, 16);
	key->source_port = key->destination_port = 0;
	key->protocol = 0;
	return bpf_map_lookup_elem(&forwards, key);
}

static __noinline int on_forwarded(struct sk_buff *skb)
{
	struct net_device *dev = skb->dev;
	struct culprit_forward_key key = {}, other = {};
	struct forward_state *forward;
	struct frame frame = {};

	read_frame(skb, &frame);
	if (dev->lower_level > 1) {
		charge_packet(dev, CULPRIT_CLASS_FORWARDED, &frame.size, true);
		return 0;
	}
	other.netns = key.netns = netns_of_device(dev);
	other.in = key.in = skb->skb_iif;
	other.out = key.out = dev->ifindex;
	if (frame.ends.family) {
		__builtin_memcpy(key.source, frame.ends.local, 16);
		__builtin_memcpy(key.destination, frame.ends.remote, 16);
		key.source_port = frame.ends.local_port;
		key.destination_port = frame.ends.remote_port;
		key.protocol = frame.protocol;
	}
	if (!bpf_map_lookup_elem(&forwards, &key)) {
		/* "Other" of the pair is made while there is room. */
		if (!bpf_map_lookup_elem(&forwards, &other))
			make_forward(&other, 0, bpf_ktime_get_boot_ns());
		ledger_of_device(dev, key.netns, key.out);
	}
	forward = forward_of(&key, frame.ends.family);
	if (!forward) {
		charge_packet(dev, CULPRIT_CLASS_FORWARDED, &frame.size, true);
		return 0;
	}
	forward->last_jiffies = bpf_jiffies64();
	__sync_fetch_and_add(&forward->rec.tx_wire_bytes, frame.size.wire);
	__sync_fetch_and_add(&forward->rec.tx_skb_bytes, frame.size.skb);
	__sync_fetch_and_add(&forward->rec.tx_packets, frame.size.packets);
	if (forward->rec.tx_packets == frame.size.packets)
		emit_forward(forward, bpf_ktime_get_boot_ns());
	return 0;
}

static __noinline int on_kernel(struct sk_buff *skb)
{
	struct frame frame = {};

	read_frame(skb, &frame);
	charge_packet(skb->dev, CULPRIT_CLASS_KERNEL, &frame.size, true);
	return 0;
}

SEC("tp_btf/net_dev_queue")
int BPF_PROG(culprit_net_dev_queue, struct sk_buff *skb)
{
	struct sock *sk = skb->sk;

	if (skb->skb_iif) /* a socket of another namespace may still be attached */
		return on_forwarded(skb);
	if (!sk)
		return on_kernel(skb);
	switch (sk->__sk_common.skc_family) {
	case AF_INET:
	case AF_INET6:
		return sk->__sk_common.skc_state == BPF_TCP_TIME_WAIT ? on_kernel(skb) : 0;
	case AF_PACKET:
		return on_link(skb, sk);
	default:
		return on_kernel(skb);
	}
}

/* Charges the ledger for one forwarded flow: out by one interface, in by the other. */
static __always_inline void charge_forward(struct forward_state *forward)
{
	struct culprit_flow *rec = &forward->rec;
	struct culprit_interface *entry;

	if (rec->tx_skb_bytes == forward->tx_mark.skb)
		return;
	entry = ledger_of(rec->netns, rec->tx_ifindex);
	if (entry)
		charge_way(&entry->tx, CULPRIT_CLASS_FORWARDED, &forward->tx_mark, rec->tx_skb_bytes,
			   rec->tx_wire_bytes, rec->tx_packets);
	entry = ledger_of(rec->netns, rec->rx_ifindex);
	if (entry)
		charge_way(&entry->rx, CULPRIT_CLASS_FORWARDED, &forward->rx_mark, rec->tx_skb_bytes,
			   rec->tx_wire_bytes, rec->tx_packets);
}

static __always_inline int tell_forward(struct seq_file *seq, const bool walk, struct forward_state *forward)
{
	u64 now = bpf_ktime_get_boot_ns();
	u64 packets;
	u16 sweep = 0;

	if (!forward->rec.cookie)
		return 0;
	charge_forward(forward);
	packets = forward->rec.tx_packets + 1;
	if (packets == 1)
		return 0;
	forward->rec.last_boot_ns = now - (bpf_jiffies64() - forward->last_jiffies) * tick_ns;
	if (packets == forward->exported)
		sweep |= CULPRIT_SWEEP_UNCHANGED;
	if (forward->rec.last_boot_ns + PEER_IDLE_NS < now)
		sweep |= CULPRIT_SWEEP_REMOVE;
	if (sweep == CULPRIT_SWEEP_UNCHANGED)
		return 0;
	finish_record(&forward->rec, CULPRIT_FLOW_SNAPSHOT, now);
	forward->rec.header.reserved = sweep;
	if (write_table(seq, walk, &forward->rec, sizeof(forward->rec)))
		return 1;
	forward->exported = packets;
	return 0;
}

SEC("iter/bpf_map_elem")
int culprit_iter_forwards(struct bpf_iter__bpf_map_elem *ctx)
{
	if (ctx->value)
		tell_forward(ctx->meta->seq, ITERATE, ctx->value);
	return 0;
}

static long walk_forward(void *map, struct culprit_forward_key *key, struct forward_state *forward, u32 *full)
{
	return *full = tell_forward(0, WALK, forward);
}

SEC("syscall")
int culprit_walk_forwards(void *context)
{
	u32 full = 0;

	bpf_for_each_map_elem(&forwards, walk_forward, &full, 0);
	return (int)full;
}
