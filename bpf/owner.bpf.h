/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who is charged. An owner is set in process context only. When another process sends, the old owner keeps what it had
 * settled (an OWNER record says so), and packets that left since the last send call returned go to the new one.
 */
#ifndef CULPRIT_BPF_OWNER_BPF_H_
#define CULPRIT_BPF_OWNER_BPF_H_

#include "bpf/flow.bpf.h"

#define MAX_OWNER_RECORDS 8

static __always_inline void count_sender(struct flow_state *flow)
{
	flow->rec.n_senders += 1;
	if (flow->rec.n_senders > MAX_OWNER_RECORDS)
		flow->rec.flags |= CULPRIT_FLOW_SHARED;
}

/* Charges one peer of an unconnected socket to the socket's present owner. */
static __noinline int own_peer(struct flow_state *flow, struct flow_state *peer)
{
	u64 pending_wire, pending_packets;

	if (!flow || !peer)
		return 0;
	pending_wire = flow->pend_wire;
	pending_packets = flow->pend_packets;
	if (peer->rec.tx_packets > pending_packets) { /* the old owner has sent to it before */
		settle_up_to(peer, minus(peer->rec.tx_wire_bytes, pending_wire),
			     peer->rec.rx_wire_bytes, minus(peer->rec.tx_packets, pending_packets),
			     peer->rec.rx_packets);
		if (!(peer->rec.flags & CULPRIT_FLOW_SHARED)) {
			peer->pend_wire = pending_wire;
			peer->pend_skb = flow->pend_skb;
			peer->pend_packets = pending_packets;
			peer->pend_payload = flow->pend_payload;
			emit_flow(peer, CULPRIT_FLOW_OWNER, true);
		}
		count_sender(peer);
	}
	peer->rec.owner = flow->rec.owner;
	peer->rec.uid = flow->rec.uid;
	peer->rec.cgroup_id = flow->rec.cgroup_id;
	__builtin_memcpy(peer->rec.comm, flow->rec.comm, CULPRIT_COMM_LEN);
	return 0;
}

static __noinline __attribute__((unused)) int own_flow(struct flow_state *flow, const struct owner_state *owner)
{
	if (!flow || !owner)
		return 0;
	if (flow->phase & PHASE_USED) {
		settle_up_to(flow, minus(flow->rec.tx_wire_bytes, flow->pend_wire),
			     flow->rec.rx_wire_bytes,
			     minus(flow->rec.tx_packets, flow->pend_packets), flow->rec.rx_packets);
		if (flow->rec.tx_packets + flow->rec.rx_packets &&
		    !(flow->rec.flags & CULPRIT_FLOW_SHARED))
			emit_flow(flow, CULPRIT_FLOW_OWNER, true);
		count_sender(flow);
	} else if (flow->rec.direction == CULPRIT_DIRECTION_IN && flow->kind == KIND_STREAM) {
		flow->rec.creator = owner->key; /* accepted by this process, not by the listener's maker */
	}
	set_owner(&flow->rec, owner);
	flow->rec.flags &= ~CULPRIT_FLOW_KERNEL;
	flow->rec.flags |= owner->flags;
	return 0;
}

static __always_inline bool is_owner(const struct flow_state *flow, struct task_struct *task)
{
	return flow->rec.owner.tgid == (u32)task->tgid &&
	       flow->rec.owner.exec_id == task->self_exec_id &&
	       flow->rec.owner.start_boot_ns == task->group_leader->start_boottime;
}

#endif /* CULPRIT_BPF_OWNER_BPF_H_ */
