/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the flow programs share: making, charging, ending and sending flow state.
 * Races: counters are added atomically; everything else about a socket is written under its lock or by its only user.
 * Two settlers of one flow may overlap: both read the same difference, and the surplus is absorbed by what comes next,
 * because only growth beyond what is already charged is charged.
 */
#ifndef CULPRIT_BPF_FLOW_BPF_H_
#define CULPRIT_BPF_FLOW_BPF_H_

#include "bpf/activity.bpf.h"
#include "bpf/budget.bpf.h"
#include "bpf/ledger.bpf.h"
#include "bpf/task.bpf.h"

static const struct flow_state zero_flow;

static __always_inline struct process_state *owner_process(const struct culprit_flow *rec)
{
	return process_of(&rec->owner, rec->comm, rec->uid);
}

/* What a process wrote itself, headers and all: frames through packet sockets, packets through raw ones. */
static __always_inline void charge_crafted(struct process_state *process, struct flow_state *flow, u64 bytes,
					   u64 packets)
{
	if (flow->rec.flags & CULPRIT_FLOW_LINK) {
		__sync_fetch_and_add(&process->rec.link_bytes, bytes);
		__sync_fetch_and_add(&process->rec.link_packets, packets);
	} else {
		__sync_fetch_and_add(&process->rec.raw_bytes, bytes);
		__sync_fetch_and_add(&process->rec.raw_packets, packets);
	}
	charge(&process->rec.bare_syns, &flow->done_bare_syns, flow->bare_syns);
}

/* Charges the owner with the flow's counters up to the given ones. */
static __always_inline void settle_up_to(struct flow_state *flow, u64 tx_wire, u64 rx_wire,
					 u64 tx_packets, u64 rx_packets)
{
	u64 tx_wire_before = flow->done_tx_wire, tx_packets_before = flow->done_tx_packets;
	struct process_state *process;
	u64 tx, rx;

	if (tx_wire == flow->done_tx_wire && rx_wire == flow->done_rx_wire)
		return;
	process = owner_process(&flow->rec);
	if (!process)
		return;
	tx = charge(&process->rec.tx_wire_bytes, &flow->done_tx_wire, tx_wire);
	rx = charge(&process->rec.rx_wire_bytes, &flow->done_rx_wire, rx_wire);
	if (flow->rec.direction == CULPRIT_DIRECTION_OUT) {
		__sync_fetch_and_add(&process->rec.initiated_tx_wire_bytes, tx);
		__sync_fetch_and_add(&process->rec.initiated_rx_wire_bytes, rx);
	} else if (flow->rec.direction == CULPRIT_DIRECTION_IN) {
		__sync_fetch_and_add(&process->rec.accepted_tx_wire_bytes, tx);
		__sync_fetch_and_add(&process->rec.accepted_rx_wire_bytes, rx);
	}
	charge(&process->rec.tx_packets, &flow->done_tx_packets, tx_packets);
	charge(&process->rec.rx_packets, &flow->done_rx_packets, rx_packets);
	if (flow->rec.flags & CULPRIT_FLOW_RAW)
		charge_crafted(process, flow, flow->done_tx_wire - tx_wire_before,
			       flow->done_tx_packets - tx_packets_before);
}

static __always_inline u64 minus(u64 a, u64 b)
{
	return a > b ? a - b : 0;
}

/* A listener keeps the handshakes that no accepted socket took over. */
static __always_inline void subtract_moved(struct culprit_flow *rec)
{
	u64 cookie = rec->cookie;
	struct handshake *gone = bpf_map_lookup_elem(&moved, &cookie);

	if (!gone)
		return;
	rec->tx_wire_bytes = minus(rec->tx_wire_bytes, gone->tx_wire);
	rec->rx_wire_bytes = minus(rec->rx_wire_bytes, gone->rx_wire);
	rec->tx_skb_bytes = minus(rec->tx_skb_bytes, gone->tx_skb);
	rec->rx_skb_bytes = minus(rec->rx_skb_bytes, gone->rx_skb);
	rec->tx_packets = minus(rec->tx_packets, gone->tx_packets);
	rec->rx_packets = minus(rec->rx_packets, gone->rx_packets);
}

static __always_inline void settle(struct flow_state *flow)
{
	charge_ledger(flow);
	if (flow->kind == KIND_LISTENER) {
		u64 cookie = flow->rec.cookie;
		struct handshake *gone = bpf_map_lookup_elem(&moved, &cookie);

		if (gone) {
			settle_up_to(flow, minus(flow->rec.tx_wire_bytes, gone->tx_wire),
				     minus(flow->rec.rx_wire_bytes, gone->rx_wire),
				     minus(flow->rec.tx_packets, gone->tx_packets),
				     minus(flow->rec.rx_packets, gone->rx_packets));
			return;
		}
	}
	settle_up_to(flow, flow->rec.tx_wire_bytes, flow->rec.rx_wire_bytes, flow->rec.tx_packets,
		     flow->rec.rx_packets);
}

/* TCP's own counters: bytes_received counts the peer's FIN as one byte. */
static __always_inline void fill_tcp(struct culprit_flow *rec, struct sock *sk, struct tcp_sock *tp)
{
	u64 sent = tp->bytes_sent, again = tp->bytes_retrans, got = tp->bytes_received;

	if (got && (sk->__sk_common.skc_flags & (1UL << SOCK_FLAG_DONE)))
		got -= 1;
	if (sent - again > rec->tx_payload_bytes)
		rec->tx_payload_bytes = sent - again;
	if (got > rec->rx_payload_bytes)
		rec->rx_payload_bytes = got;
	if (again > rec->retransmitted_bytes)
		rec->retransmitted_bytes = again;
	if (tp->srtt_us >> 3)
		rec->srtt_us = tp->srtt_us >> 3;
}

/* Turns the tick of the last packet into a time, as exact as the tick. */
static __always_inline void stamp_last(struct flow_state *flow, u64 now)
{
	u64 ticks = bpf_jiffies64() - flow->last_jiffies;

	if (flow->last_jiffies)
		flow->rec.last_boot_ns = now - ticks * tick_ns;
}

static __always_inline void finish_record(struct culprit_flow *rec, u8 reason, u64 now)
{
	rec->header.kind = CULPRIT_RECORD_FLOW;
	rec->header.reserved = 0;
	rec->header.size = sizeof(*rec);
	rec->header.boot_ns = now;
	rec->reason = reason;
	if (!has_send_length && !(rec->flags & CULPRIT_FLOW_LINK) &&
	    rec->direction != CULPRIT_DIRECTION_FORWARDED)
		rec->flags |= CULPRIT_FLOW_OWNER_BY_CREATOR;
}

/* The ring is full and the flow is over: nothing would tell its bytes later. False: nobody keeps it. */
static __always_inline bool keep_unsent(struct flow_state *flow, u64 now)
{
	struct culprit_unsent_key key = {flow->rec.cookie, flow->rec.generation};

	if (flow->rec.tx_wire_bytes + flow->rec.rx_wire_bytes < UNSENT_MIN_BYTES)
		return false;
	stamp_last(flow, now);
	finish_record(&flow->rec, CULPRIT_FLOW_END, now);
	return bpf_map_update_elem(&unsent, &key, &flow->rec, BPF_ANY) == 0;
}

/* `settled_only`: without what was sent since the last send call returned. */
static __always_inline void emit_flow(struct flow_state *flow, u8 reason, bool settled_only)
{
	struct culprit_flow *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);
	u64 now = bpf_ktime_get_boot_ns();

	if (!record) {
		if (reason != CULPRIT_FLOW_END || !keep_unsent(flow, now))
			count_stat(CULPRIT_STAT_RING_FULL_FLOW);
		return;
	}
	stamp_last(flow, now);
	__builtin_memcpy(record, &flow->rec, sizeof(*record));
	finish_record(record, reason, now);
	if (settled_only) {
		record->tx_wire_bytes = minus(record->tx_wire_bytes, flow->pend_wire);
		record->tx_skb_bytes = minus(record->tx_skb_bytes, flow->pend_skb);
		record->tx_packets = minus(record->tx_packets, flow->pend_packets);
		if (flow->kind == KIND_STREAM)
			record->tx_payload_bytes = flow->app_tx;
		else
			record->tx_payload_bytes =
				minus(record->tx_payload_bytes, flow->pend_payload);
	}
	if (flow->kind == KIND_LISTENER)
		subtract_moved(record);
	bpf_ringbuf_submit(record, wake_flags());
	count_stat(CULPRIT_STAT_EVENTS_SENT);
	flow->phase |= PHASE_ANNOUNCED;
}

/* True if the process may have another record of a beginning in this second. */
static __always_inline bool within_rate(struct process_state *process, u64 now)
{
	u64 window = now / NSEC_PER_SEC;

	if (process->window != window) {
		process->window = window;
		process->window_records = 0;
	}
	if (process->window_records >= FLOW_RECORDS_PER_SEC)
		return false;
	process->window_records += 1;
	return true;
}

static __always_inline void set_owner(struct culprit_flow *rec, const struct owner_state *owner)
{
	rec->owner = owner->key;
	rec->uid = owner->uid;
	rec->cgroup_id = owner->cgroup_id;
	__builtin_memcpy(rec->comm, owner->comm, CULPRIT_COMM_LEN);
}

/* A new flow without counters; `owner` may be NULL (unknown). */
static __always_inline void init_flow(struct flow_state *flow, const struct owner_state *owner,
				      u64 cookie, u8 protocol, u64 now)
{
	flow->rec.cookie = cookie;
	flow->rec.protocol = protocol;
	flow->rec.start_boot_ns = now;
	flow->rec.counted_from_boot_ns = now;
	flow->rec.n_senders = 1;
	flow->kind = protocol == IPPROTO_TCP ? KIND_STREAM : KIND_DATAGRAM;
	if (owner) {
		set_owner(&flow->rec, owner);
		flow->rec.creator = owner->key;
		flow->rec.netns = owner->netns;
		flow->rec.flags |= owner->flags;
	}
}

static __always_inline void map_v4(u8 *out, __be32 address)
{
	u32 *words = (u32 *)out;

	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = address;
}

static __always_inline bool is_mapped(const u8 *address)
{
	const u32 *words = (const u32 *)address;

	return words[0] == 0 && words[1] == 0 && words[2] == bpf_htonl(0xffff);
}

static __always_inline void fill_tuple(struct culprit_flow *rec, struct bpf_sock *sk)
{
	u32 *local = (u32 *)rec->local, *remote = (u32 *)rec->remote;

	if (sk->family == AF_INET) {
		map_v4(rec->local, sk->src_ip4);
		map_v4(rec->remote, sk->dst_ip4);
		rec->family = 4;
	} else {
		local[0] = sk->src_ip6[0];
		local[1] = sk->src_ip6[1];
		local[2] = sk->src_ip6[2];
		local[3] = sk->src_ip6[3];
		remote[0] = sk->dst_ip6[0];
		remote[1] = sk->dst_ip6[1];
		remote[2] = sk->dst_ip6[2];
		remote[3] = sk->dst_ip6[3];
		rec->family = is_mapped(rec->remote) || is_mapped(rec->local) ? 4 : 6;
	}
	rec->local_port = sk->src_port;
	rec->remote_port = bpf_ntohs(sk->dst_port);
}

/* The same from the kernel's own struct, for tracepoints and iterators. */
static __always_inline void fill_tuple_of(struct culprit_flow *rec, const struct sock *sk)
{
	if (sk->__sk_common.skc_family == AF_INET) {
		map_v4(rec->local, sk->__sk_common.skc_rcv_saddr);
		map_v4(rec->remote, sk->__sk_common.skc_daddr);
		rec->family = 4;
	} else {
		BPF_CORE_READ_INTO(&rec->local, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
		BPF_CORE_READ_INTO(&rec->remote, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
		rec->family = is_mapped(rec->remote) || is_mapped(rec->local) ? 4 : 6;
	}
	rec->local_port = sk->__sk_common.skc_num;
	rec->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
}

static __always_inline u32 outcome_of(s32 error)
{
	switch (error) {
	case 0:
		return CULPRIT_OUTCOME_ABORTED;
	case ECONNREFUSED:
		return CULPRIT_OUTCOME_REFUSED;
	case ETIMEDOUT:
		return CULPRIT_OUTCOME_TIMED_OUT;
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
		return CULPRIT_OUTCOME_UNREACHABLE;
	case EPERM:
	case EACCES:
		return CULPRIT_OUTCOME_DENIED;
	case ECONNRESET:
		return CULPRIT_OUTCOME_RESET;
	default:
		return CULPRIT_OUTCOME_OTHER;
	}
}

static __always_inline void count_outcome(struct flow_state *flow, struct process_state *process, u32 outcome)
{
	if (outcome < CULPRIT_OUTCOME_COUNT)
		__sync_fetch_and_add(&process->rec.outcome[outcome], 1);
	if (!(flow->phase & PHASE_FIRST_CONTACT))
		return;
	flow->phase &= ~PHASE_FIRST_CONTACT;
	if (outcome == CULPRIT_OUTCOME_OK)
		__sync_fetch_and_add(&process->rec.first_contacts_ok, 1);
	else
		__sync_fetch_and_add(&process->rec.first_contacts_failed, 1);
}

/* The attempt of this generation ended without a connection. Every attempt is counted once, told or not. */
static __always_inline void attempt_failed(struct flow_state *flow, s32 error)
{
	struct process_state *process = owner_process(&flow->rec);
	u32 outcome = outcome_of(error);

	flow->phase &= ~PHASE_CONNECTING;
	if (!(flow->phase & PHASE_SYN)) {
		outcome = CULPRIT_OUTCOME_NOT_SENT;
		flow->rec.flags |= CULPRIT_FLOW_NOT_SENT;
	} else if (!error) {
		flow->rec.flags |= CULPRIT_FLOW_ABORTED;
	}
	flow->rec.error = error;
	settle(flow);
	if (process)
		count_outcome(flow, process, outcome);
	if (outcome == CULPRIT_OUTCOME_NOT_SENT && !(flow->phase & PHASE_ANNOUNCED) && process &&
	    !within_rate(process, flow->rec.start_boot_ns))
		flow->phase |= PHASE_SUPPRESSED;
	if (flow->phase & PHASE_SUPPRESSED) {
		if (process)
			__sync_fetch_and_add(&process->rec.suppressed_flows, 1);
		count_stat(CULPRIT_STAT_FLOW_SUPPRESSED);
	} else {
		emit_flow(flow, CULPRIT_FLOW_FAILED, false);
	}
	flow->phase |= PHASE_OVER;
	flow->exported = flow->rec.tx_packets + flow->rec.rx_packets + 1;
}

/* Everything of the old generation was told: begin the next one on the same socket. */
static __always_inline void next_generation(struct flow_state *flow)
{
	u32 generation = flow->rec.generation + 1;
	u64 cookie = flow->rec.cookie;
	struct culprit_process_key creator = flow->rec.creator;
	u32 netns = flow->rec.netns;

	__builtin_memcpy(flow, &zero_flow, sizeof(*flow));
	flow->rec.generation = generation;
	flow->rec.cookie = cookie;
	flow->rec.creator = creator;
	flow->rec.netns = netns;
}

#endif /* CULPRIT_BPF_FLOW_BPF_H_ */
