/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The coverage ledger: whose bytes passed each interface, to be held against the interface's own counters. A flow
 * remembers the interface of its last packet each way and how much of itself is charged, so that the packet hooks do no
 * look-up here: the difference is charged when the interface changes and when the flow is settled. What no flow is kept
 * for (the kernel's own packets) is charged packet by packet.
 * Stacked devices (VLAN, bond, bridge, tunnel): a local socket's packet is charged to the device that the socket hook
 * saw, and to no device below it.
 */
#ifndef CULPRIT_BPF_LEDGER_BPF_H_
#define CULPRIT_BPF_LEDGER_BPF_H_

#include "bpf/maps.bpf.h"

#define MAX_INTERFACES 512

struct ledger_key {
	u32 netns;
	u32 ifindex;
};

/* The entry {0, 0}, which user space makes beforehand, takes what has no interface or no room. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_INTERFACES);
	__type(key, struct ledger_key);
	__type(value, struct culprit_interface);
} ledger __weak SEC(".maps");

static const struct culprit_interface zero_interface;

/* What was charged. */
static __always_inline u64 charge(u64 *total, u64 *done, u64 now_at)
{
	s64 d = now_at - *done;

	if (d <= 0)
		return 0;
	*done += d;
	__sync_fetch_and_add(total, d);
	return d;
}

static __always_inline struct culprit_interface *ledger_of(u32 netns, u32 ifindex)
{
	struct ledger_key key = {netns, ifindex}, rest = {};
	struct culprit_interface *entry;

	if (!ifindex)
		return bpf_map_lookup_elem(&ledger, &rest);
	entry = bpf_map_lookup_elem(&ledger, &key);
	if (entry)
		return entry;
	bpf_map_update_elem(&ledger, &key, &zero_interface, BPF_NOEXIST);
	entry = bpf_map_lookup_elem(&ledger, &key);
	if (entry) {
		entry->netns = netns;
		entry->ifindex = ifindex;
		return entry;
	}
	count_stat(CULPRIT_STAT_LEDGER_FULL);
	return bpf_map_lookup_elem(&ledger, &rest);
}

static __always_inline u32 netns_of_device(struct net_device *dev)
{
	return BPF_CORE_READ(dev, nd_net.net, ns.inum);
}

/* The entry of a device, described as the device is now if it was not yet. */
static __always_inline struct culprit_interface *ledger_of_device(struct net_device *dev, u32 netns, u32 ifindex)
{
	struct culprit_interface *entry = ledger_of(netns, ifindex);

	if (entry && entry->ifindex && !entry->name[0]) {
		entry->hardware = BPF_CORE_READ(dev, dev.parent) != NULL;
		/* The loopback device counts packets as they are without the header that it takes off. */
		entry->header_len = BPF_CORE_READ(dev, flags) & IFF_LOOPBACK ?
					    0 :
					    BPF_CORE_READ(dev, hard_header_len);
		BPF_CORE_READ_INTO(&entry->name, dev, name);
	}
	return entry;
}

static __always_inline void charge_way(struct culprit_ledger *to, u32 class, struct ledger_mark *mark,
				       u64 skb, u64 wire, u64 packets)
{
	class &= CULPRIT_CLASS_COUNT - 1;
	charge(&to->skb_bytes[class], &mark->skb, skb);
	charge(&to->wire_bytes[class], &mark->wire, wire);
	charge(&to->packets[class], &mark->packets, packets);
}

static __always_inline u32 class_of(const struct culprit_flow *rec)
{
	if (rec->flags & CULPRIT_FLOW_KERNEL)
		return CULPRIT_CLASS_KERNEL;
	return rec->owner.tgid ? CULPRIT_CLASS_PROCESS : CULPRIT_CLASS_UNKNOWN;
}

/* Charges the interfaces of a flow with what passed since the last time. */
static __noinline int charge_ledger(struct flow_state *flow)
{
	struct culprit_interface *entry;

	if (!flow || flow->kind == KIND_AGGREGATE)
		return 0;
	if (flow->rec.tx_skb_bytes != flow->tx_mark.skb) {
		entry = ledger_of(flow->ledger_netns, flow->rec.tx_ifindex);
		if (entry)
			charge_way(&entry->tx, class_of(&flow->rec), &flow->tx_mark,
				   flow->rec.tx_skb_bytes, flow->rec.tx_wire_bytes,
				   flow->rec.tx_packets);
	}
	if (flow->rec.rx_skb_bytes != flow->rx_mark.skb) {
		entry = ledger_of(flow->ledger_netns, flow->rec.rx_ifindex);
		if (entry)
			charge_way(&entry->rx, class_of(&flow->rec), &flow->rx_mark,
				   flow->rec.rx_skb_bytes, flow->rec.rx_wire_bytes,
				   flow->rec.rx_packets);
	}
	return 0;
}

/* The counters of this flow so far are somebody else's in the ledger. */
static __always_inline __attribute__((unused)) void mark_charged(struct flow_state *flow)
{
	flow->tx_mark.skb = flow->rec.tx_skb_bytes;
	flow->tx_mark.wire = flow->rec.tx_wire_bytes;
	flow->tx_mark.packets = flow->rec.tx_packets;
	flow->rx_mark.skb = flow->rec.rx_skb_bytes;
	flow->rx_mark.wire = flow->rec.rx_wire_bytes;
	flow->rx_mark.packets = flow->rec.rx_packets;
}

/* The packet that is about to be counted passes another interface than the one before. */
static __noinline __attribute__((unused)) int change_interface(struct flow_state *flow, struct net_device *dev,
							       u32 ifindex, bool egress)
{
	if (!flow)
		return 0;
	charge_ledger(flow);
	flow->ledger_netns = netns_of_device(dev);
	if (egress)
		flow->rec.tx_ifindex = ifindex;
	else
		flow->rec.rx_ifindex = ifindex;
	ledger_of_device(dev, flow->ledger_netns, ifindex);
	return 0;
}

/* One packet that no flow is kept for. */
static __noinline __attribute__((unused)) int charge_packet(struct net_device *dev, u32 class,
							    const struct ledger_mark *packet, bool egress)
{
	struct culprit_interface *entry;
	struct culprit_ledger *to;

	if (!packet)
		return 0;
	entry = ledger_of_device(dev, netns_of_device(dev), BPF_CORE_READ(dev, ifindex));
	if (!entry)
		return 0;
	to = egress ? &entry->tx : &entry->rx;
	class &= CULPRIT_CLASS_COUNT - 1;
	__sync_fetch_and_add(&to->skb_bytes[class], packet->skb);
	__sync_fetch_and_add(&to->wire_bytes[class], packet->wire);
	__sync_fetch_and_add(&to->packets[class], packet->packets);
	return 0;
}

#endif /* CULPRIT_BPF_LEDGER_BPF_H_ */
