// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Iterators: sockets older than the agent, and the sweep that makes the counters, not the events, the truth. They run
 * when user space reads them, in its context. A failed bpf_seq_write makes the kernel show the same element again, so
 * nothing is marked as told before its record is in the buffer. Where a kernel has no iterator over a table, a program
 * that user space runs walks it (culprit_walk_*).
 */
#include "bpf/flow.bpf.h"
#include "bpf/walk.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct culprit_flow);
} sweep_scratch __weak SEC(".maps");

static __always_inline struct culprit_flow *scratch_flow(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&sweep_scratch, &zero);
}

static __always_inline void raise_to(u64 *counter, u64 value)
{
	if (value > *counter)
		*counter = value;
}

/*
 * What a connection moved before we came, from the stack's own counters: exact but for the longer header of the SYN,
 * which is added, for SACK blocks, and for received segments that were there already. How the stack had cut it into
 * super-packets is not known: skb bytes are taken as wire bytes. None of it is charged to the process's counters, which
 * begin with the programs. Packets that came between our hooks and this are in both and counted once.
 */
static __always_inline void reread_tcp(struct flow_state *flow, struct tcp_sock *tp)
{
	u64 header = (flow->rec.family == 4 ? 20 : 40) + tp->tcp_header_len;
	u64 tx_packets = tp->segs_out, rx_packets = tp->segs_in;
	u64 syn = tp->tcp_header_len > 20 ? 8 : 12;
	u64 tx = tp->bytes_sent + tx_packets * header, rx = tp->bytes_received + rx_packets * header;

	charge_ledger(flow);
	flow->done_tx_wire += minus(tx + syn, flow->rec.tx_wire_bytes);
	flow->done_rx_wire += minus(rx + syn, flow->rec.rx_wire_bytes);
	flow->done_tx_packets += minus(tx_packets, flow->rec.tx_packets);
	flow->done_rx_packets += minus(rx_packets, flow->rec.rx_packets);
	raise_to(&flow->rec.tx_wire_bytes, tx + syn);
	raise_to(&flow->rec.rx_wire_bytes, rx + syn);
	raise_to(&flow->rec.tx_skb_bytes, tx + syn);
	raise_to(&flow->rec.rx_skb_bytes, rx + syn);
	raise_to(&flow->rec.tx_packets, tx_packets);
	raise_to(&flow->rec.rx_packets, rx_packets);
	flow->rec.flags |= CULPRIT_FLOW_REREAD;
	mark_charged(flow); /* the ledger began with the programs */
}

static __always_inline void adopt(struct flow_state *flow, const struct owner_state *owner, struct sock *sk)
{
	u64 now = bpf_ktime_get_boot_ns();
	struct tcp_sock *tp;

	if (flow->rec.cookie) { /* a packet was first */
		set_owner(&flow->rec, owner);
		flow->rec.creator = owner->key;
	} else {
		init_flow(flow, owner, owner->cookie, sk->sk_protocol, now);
	}
	flow->rec.flags |= CULPRIT_FLOW_PREEXISTING;
	flow->rec.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	fill_tuple_of(&flow->rec, sk);
	if (flow->kind == KIND_STREAM || flow->kind == KIND_LISTENER) {
		flow->rec.tcp_state = sk->__sk_common.skc_state;
		if (flow->rec.tcp_state == BPF_TCP_LISTEN) {
			flow->kind = KIND_LISTENER;
			flow->rec.direction = CULPRIT_DIRECTION_LISTEN;
		} else {
			tp = bpf_skc_to_tcp_sock(sk);
			if (tp) {
				fill_tcp(&flow->rec, sk, tp);
				reread_tcp(flow, tp);
			}
		}
	}
	if (sk->sk_type == SOCK_RAW)
		flow->rec.flags |= CULPRIT_FLOW_RAW;
	if (flow->rec.remote_port || flow->kind == KIND_LISTENER)
		flow->phase |= PHASE_TUPLE;
}

static __always_inline struct sock *inet_sock_of(struct file *file)
{
	struct socket *socket = bpf_sock_from_file(file);
	struct sock *sk = socket ? socket->sk : 0;
	u16 family = sk ? sk->__sk_common.skc_family : 0;

	return family == AF_INET || family == AF_INET6 ? sk : 0;
}

/* Sockets that were there before: the first process that has it open is taken for the owner. */
SEC("iter/task_file")
int culprit_iter_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct owner_state *owner;
	struct flow_state *flow;
	struct culprit_flow *record;
	struct sock *sk;

	if (!task || !file)
		return 0;
	sk = inet_sock_of(file);
	if (!sk)
		return 0;
	flow = bpf_sk_storage_get(&sk_flow, sk, 0, 0);
	owner = bpf_sk_storage_get(&sk_owner, sk, 0, 0);
	if (owner && (!flow || (owner->flags & CULPRIT_FLOW_PREEXISTING) == 0 || flow->rec.owner.tgid))
		return 0; /* made under our eyes, or taken up already */
	owner = bpf_sk_storage_get(&sk_owner, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	flow = bpf_sk_storage_get(&sk_flow, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!owner || !flow) {
		count_stat(CULPRIT_STAT_OWNER_STORAGE_FAILED);
		return 0;
	}
	owner_of_task(task, owner);
	owner->flags |= CULPRIT_FLOW_PREEXISTING;
	owner->cookie = bpf_get_socket_cookie(sk);
	adopt(flow, owner, sk);
	record = scratch_flow();
	if (!record || (flow->kind == KIND_STREAM && flow->rec.tcp_state == BPF_TCP_CLOSE))
		return 0;
	__builtin_memcpy(record, &flow->rec, sizeof(*record));
	finish_record(record, CULPRIT_FLOW_SNAPSHOT, bpf_ktime_get_boot_ns());
	if (record->protocol == IPPROTO_SCTP)
		return 0; /* told by peer */
	if (flow->kind == KIND_LISTENER || flow->rec.remote_port)
		bpf_seq_write(ctx->meta->seq, record, sizeof(*record));
	return 0;
}

static __always_inline int tell_flow(struct seq_file *seq, struct flow_state *flow, struct sock *sk)
{
	struct culprit_flow *record;
	struct tcp_sock *tp;
	u64 now = bpf_ktime_get_boot_ns();
	u64 packets;

	if (!flow->rec.cookie)
		return 0;
	if (flow->kind == KIND_LISTENER && (flow->phase & PHASE_OVER))
		return 0; /* what it gave to accepted sockets is forgotten already */
	settle(flow);
	packets = flow->rec.tx_packets + flow->rec.rx_packets + 1;
	if (packets == flow->exported || packets == 1 ||
	    (flow->phase & (PHASE_OVER | PHASE_SUPPRESSED)))
		return 0;
	record = scratch_flow();
	if (!record)
		return 0;
	stamp_last(flow, now);
	__builtin_memcpy(record, &flow->rec, sizeof(*record));
	if (flow->kind == KIND_STREAM) {
		tp = bpf_skc_to_tcp_sock(sk);
		if (tp)
			fill_tcp(record, sk, tp);
	}
	if (record->protocol == IPPROTO_TCP)
		record->tcp_state = sk->__sk_common.skc_state;
	if (flow->kind == KIND_LISTENER) {
		subtract_moved(record);
		record->local_port = sk->__sk_common.skc_num;
	}
	finish_record(record, CULPRIT_FLOW_SNAPSHOT, now);
	if (bpf_seq_write(seq, record, sizeof(*record)) == 0)
		flow->exported = packets;
	return 0;
}

SEC("iter/bpf_sk_storage_map")
int culprit_iter_flows(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	return ctx->value && ctx->sk ? tell_flow(ctx->meta->seq, ctx->value, ctx->sk) : 0;
}

/* Where the kernel shows no storage: the sockets that processes have open. One that several hold is told once. */
SEC("iter/task_file")
int culprit_iter_open(struct bpf_iter__task_file *ctx)
{
	struct sock *sk = ctx->task && ctx->file ? inet_sock_of(ctx->file) : 0;
	struct flow_state *flow = sk ? bpf_sk_storage_get(&sk_flow, sk, 0, 0) : 0;

	return flow ? tell_flow(ctx->meta->seq, flow, sk) : 0;
}

static __always_inline int tell_peer(struct seq_file *seq, const bool walk, struct flow_state *flow)
{
	struct culprit_flow *record;
	u64 now = bpf_ktime_get_boot_ns();
	u64 packets, cookie, idle;
	u16 sweep = 0;

	if (!flow->rec.cookie)
		return 0;
	packets = flow->rec.tx_packets + flow->rec.rx_packets + 1;
	cookie = flow->rec.cookie;
	stamp_last(flow, now);
	if (packets == flow->exported)
		sweep |= CULPRIT_SWEEP_UNCHANGED;
	idle = bpf_map_lookup_elem(&closed_sockets, &cookie) ? 0 : PEER_IDLE_NS;
	if (!idle && flow->rec.protocol == IPPROTO_SCTP)
		idle = SCTP_CLOSE_NS;
	if (!idle || flow->rec.last_boot_ns + idle < now)
		sweep |= CULPRIT_SWEEP_REMOVE;
	if (sweep == CULPRIT_SWEEP_UNCHANGED)
		return 0;
	settle(flow);
	record = scratch_flow();
	if (!record)
		return 0;
	__builtin_memcpy(record, &flow->rec, sizeof(*record));
	finish_record(record, CULPRIT_FLOW_SNAPSHOT, now);
	record->header.reserved = sweep;
	if (write_table(seq, walk, record, sizeof(*record)))
		return 1;
	flow->exported = packets;
	if ((sweep & CULPRIT_SWEEP_REMOVE) && !(flow->phase & PHASE_RELEASED)) {
		flow->phase |= PHASE_RELEASED;
		release_peer(flow->share_uid);
	}
	return 0;
}

SEC("iter/bpf_map_elem")
int culprit_iter_peers(struct bpf_iter__bpf_map_elem *ctx)
{
	if (ctx->value)
		tell_peer(ctx->meta->seq, ITERATE, ctx->value);
	return 0;
}

static long walk_peer(void *map, struct culprit_peer_key *key, struct flow_state *flow, u32 *full)
{
	return *full = tell_peer(0, WALK, flow);
}

SEC("syscall")
int culprit_walk_peers(void *context)
{
	u32 full = 0;

	bpf_for_each_map_elem(&peers, walk_peer, &full, 0);
	return (int)full;
}

static __always_inline u64 sum_of(const struct culprit_counters *rec)
{
	u64 sum = rec->tcp_attempts + rec->accepts + rec->tx_packets + rec->rx_packets +
		  rec->suppressed_flows + rec->tx_wire_bytes + rec->rx_wire_bytes +
		  rec->first_contacts + rec->first_contacts_ok + rec->first_contacts_failed +
		  rec->raw_packets + rec->link_packets + rec->bare_syns + 1;

	for (int i = 0; i < CULPRIT_OUTCOME_COUNT; i++)
		sum += rec->outcome[i];
	return sum;
}

static __always_inline int tell_process(struct seq_file *seq, const bool walk, struct process_state *process)
{
	u64 now = bpf_ktime_get_boot_ns();
	u64 sum = sum_of(&process->rec);
	u16 sweep = 0;

	if (sum == process->exported || sum == 1)
		sweep |= CULPRIT_SWEEP_UNCHANGED;
	if (process->exited_ns && process->exited_ns + PROCESS_GRACE_PRESSED_NS < now &&
	    process->exited_ns + process_grace(process) < now)
		sweep |= CULPRIT_SWEEP_REMOVE;
	if (sweep == CULPRIT_SWEEP_UNCHANGED)
		return 0;
	process->rec.header.kind = CULPRIT_RECORD_COUNTERS;
	process->rec.header.reserved = sweep;
	process->rec.header.size = sizeof(process->rec);
	process->rec.header.boot_ns = now;
	if (write_table(seq, walk, &process->rec, sizeof(process->rec)))
		return 1;
	process->exported = sum;
	if (sweep & CULPRIT_SWEEP_REMOVE)
		release_process(process);
	return 0;
}

SEC("iter/bpf_map_elem")
int culprit_iter_processes(struct bpf_iter__bpf_map_elem *ctx)
{
	if (ctx->value)
		tell_process(ctx->meta->seq, ITERATE, ctx->value);
	return 0;
}

static long walk_process(void *map, struct culprit_process_key *key, struct process_state *process, u32 *full)
{
	return *full = tell_process(0, WALK, process);
}

SEC("syscall")
int culprit_walk_processes(void *context)
{
	u32 full = 0;

	bpf_for_each_map_elem(&processes, walk_process, &full, 0);
	return (int)full;
}
