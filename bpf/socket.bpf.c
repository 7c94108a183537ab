// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Life of sockets: made, connected, accepted, sent through by somebody else, closed. Cgroup hooks that run in process
 * context say who; tracepoints, which run anywhere, say what became of it. Verdicts are always 1 (allow).
 */
#include "bpf/link.bpf.h"
#include "bpf/owner.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("cgroup/sock_create")
int culprit_sock_create(struct bpf_sock *ctx)
{
	struct owner_state *owner = bpf_sk_storage_get(&sk_owner, ctx, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!owner) {
		count_stat(CULPRIT_STAT_OWNER_STORAGE_FAILED);
		return 1;
	}
	owner_of_current(owner);
	owner->cookie = bpf_get_socket_cookie(ctx);
	return 1;
}

/* Ends what the socket did before, if anything, and begins the flow of this connect(). */
static __noinline int begin_connect(struct flow_state *flow, const struct owner_state *owner, u64 cookie,
				    u32 protocol)
{
	u64 now = bpf_ktime_get_boot_ns();
	struct process_state *process;

	if (!flow || !owner)
		return 0;
	if (flow->rec.cookie) {
		if (flow->phase & PHASE_CONNECTING)
			attempt_failed(flow, 0);
		settle(flow);
		if (!(flow->phase & PHASE_OVER) &&
		    flow->rec.tx_packets + flow->rec.rx_packets > 0)
			emit_flow(flow, CULPRIT_FLOW_END, false);
		next_generation(flow);
	}
	init_flow(flow, owner, cookie, protocol, now);
	flow->rec.direction = CULPRIT_DIRECTION_OUT;
	if (protocol != IPPROTO_TCP)
		return 0;
	flow->phase |= PHASE_CONNECTING;
	process = owner_process(&flow->rec);
	if (process)
		__sync_fetch_and_add(&process->rec.tcp_attempts, 1);
	return 0;
}

static __always_inline struct flow_state *on_connect(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct owner_state owner;
	struct owner_state *creator;
	struct flow_state *flow;

	if (!sk)
		return NULL;
	owner_of_current(&owner);
	flow = bpf_sk_storage_get(&sk_flow, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!flow) {
		count_stat(CULPRIT_STAT_FLOW_STORAGE_FAILED);
		return NULL;
	}
	begin_connect(flow, &owner, bpf_get_socket_cookie(ctx), ctx->protocol);
	creator = bpf_sk_storage_get(&sk_owner, sk, 0, 0);
	if (creator) {
		flow->rec.creator = creator->key;
		flow->rec.netns = creator->netns;
	}
	if (ctx->type == SOCK_RAW) {
		flow->kind = KIND_DATAGRAM;
		flow->rec.flags |= CULPRIT_FLOW_RAW;
	}
	return flow;
}

SEC("cgroup/connect4")
int culprit_connect4(struct bpf_sock_addr *ctx)
{
	struct flow_state *flow = on_connect(ctx);

	if (!flow)
		return 1;
	map_v4(flow->rec.remote, ctx->user_ip4);
	flow->rec.remote_port = bpf_ntohs(ctx->user_port);
	flow->rec.family = 4;
	return 1;
}

SEC("cgroup/connect6")
int culprit_connect6(struct bpf_sock_addr *ctx)
{
	struct flow_state *flow = on_connect(ctx);
	u32 *remote;

	if (!flow)
		return 1;
	remote = (u32 *)flow->rec.remote;
	remote[0] = ctx->user_ip6[0];
	remote[1] = ctx->user_ip6[1];
	remote[2] = ctx->user_ip6[2];
	remote[3] = ctx->user_ip6[3];
	flow->rec.remote_port = bpf_ntohs(ctx->user_port);
	flow->rec.family = is_mapped(flow->rec.remote) ? 4 : 6;
	return 1;
}

/* Only where sock_send_length is missing: the sender of an unconnected datagram, before it leaves. */
static __always_inline int on_sendmsg(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct owner_state owner;
	struct flow_state *flow;

	if (!sk)
		return 1;
	flow = bpf_sk_storage_get(&sk_flow, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!flow)
		return 1;
	owner_of_current(&owner);
	if (!flow->rec.cookie)
		init_flow(flow, &owner, bpf_get_socket_cookie(ctx), ctx->protocol,
			  bpf_ktime_get_boot_ns());
	flow->pend_wire = flow->pend_skb = flow->pend_packets = flow->pend_payload = 0;
	if (!same_process(&flow->rec.owner, &owner.key))
		own_flow(flow, &owner);
	flow->phase |= PHASE_USED;
	return 1;
}

SEC("cgroup/sendmsg4")
int culprit_sendmsg4(struct bpf_sock_addr *ctx)
{
	return on_sendmsg(ctx);
}

SEC("cgroup/sendmsg6")
int culprit_sendmsg6(struct bpf_sock_addr *ctx)
{
	return on_sendmsg(ctx);
}

static __always_inline void take(struct flow_state *flow, const struct handshake *from)
{
	flow->rec.tx_wire_bytes += from->tx_wire;
	flow->rec.rx_wire_bytes += from->rx_wire;
	flow->rec.tx_skb_bytes += from->tx_skb;
	flow->rec.rx_skb_bytes += from->rx_skb;
	flow->rec.tx_packets += from->tx_packets;
	flow->rec.rx_packets += from->rx_packets;
	mark_charged(flow); /* the ledger has them from the listener */
	flow->rec.start_boot_ns = from->start_ns;
	flow->rec.counted_from_boot_ns = from->start_ns;
}

/* The packets of the handshake were counted at the listener: move them to the accepted socket. */
static __noinline int move_handshake(struct flow_state *flow, u64 listener)
{
	struct handshake_key key = {};
	struct handshake zero = {};
	struct handshake *from, *gone;

	if (!flow || !listener)
		return 0;
	key.listener = listener;
	__builtin_memcpy(key.remote, flow->rec.remote, 16);
	key.remote_port = flow->rec.remote_port;
	from = bpf_map_lookup_elem(&handshakes, &key);
	if (!from)
		return 0;
	gone = bpf_map_lookup_elem(&moved, &listener);
	if (!gone) {
		bpf_map_update_elem(&moved, &listener, &zero, BPF_NOEXIST);
		gone = bpf_map_lookup_elem(&moved, &listener);
		if (!gone)
			return 0; /* the listener keeps them */
	}
	__sync_fetch_and_add(&gone->tx_wire, from->tx_wire);
	__sync_fetch_and_add(&gone->rx_wire, from->rx_wire);
	__sync_fetch_and_add(&gone->tx_skb, from->tx_skb);
	__sync_fetch_and_add(&gone->rx_skb, from->rx_skb);
	__sync_fetch_and_add(&gone->tx_packets, from->tx_packets);
	__sync_fetch_and_add(&gone->rx_packets, from->rx_packets);
	take(flow, from);
	bpf_map_delete_elem(&handshakes, &key);
	return 0;
}

static __always_inline void on_syn(struct flow_state *flow, struct bpf_sock *sk)
{
	struct process_state *process;

	fill_tuple(&flow->rec, sk);
	flow->phase |= PHASE_TUPLE | PHASE_SYN;
	process = owner_process(&flow->rec);
	if (process && !within_rate(process, flow->rec.start_boot_ns))
		flow->phase |= PHASE_SUPPRESSED;
	else
		emit_flow(flow, CULPRIT_FLOW_ATTEMPT, false);
}

static __always_inline void on_established(struct flow_state *flow)
{
	struct process_state *process = owner_process(&flow->rec);

	if (process && (flow->phase & PHASE_CONNECTING))
		count_outcome(process, CULPRIT_OUTCOME_OK);
	flow->phase &= ~(PHASE_CONNECTING | PHASE_SUPPRESSED);
	flow->rec.established_boot_ns = bpf_ktime_get_boot_ns();
	flow->rec.tcp_state = BPF_TCP_ESTABLISHED;
	emit_flow(flow, CULPRIT_FLOW_ESTABLISHED, false);
}

static __always_inline void on_accepted(struct flow_state *flow, struct bpf_sock *sk, u64 cookie)
{
	struct owner_state *owner = bpf_sk_storage_get(&sk_owner, sk, 0, 0);
	struct process_state *process;

	init_flow(flow, owner, cookie, IPPROTO_TCP, bpf_ktime_get_boot_ns());
	flow->rec.flags &= ~CULPRIT_FLOW_PREEXISTING; /* the listener is, this socket is not */
	flow->rec.direction = CULPRIT_DIRECTION_IN;
	fill_tuple(&flow->rec, sk);
	flow->phase |= PHASE_TUPLE;
	if (owner)
		move_handshake(flow, owner->cookie);
	process = owner_process(&flow->rec);
	if (process)
		__sync_fetch_and_add(&process->rec.accepts, 1);
}

SEC("sockops")
int culprit_sockops(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct flow_state *flow;

	if (ctx->op != BPF_SOCK_OPS_TCP_CONNECT_CB &&
	    ctx->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB &&
	    ctx->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		return 1;
	if (!sk)
		return 1;
	flow = bpf_sk_storage_get(&sk_flow, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!flow) {
		count_stat(CULPRIT_STAT_FLOW_STORAGE_FAILED);
		return 1;
	}
	if (ctx->op == BPF_SOCK_OPS_TCP_CONNECT_CB) {
		if (!flow->rec.cookie) { /* connect hook absent or made by the kernel */
			struct owner_state *owner = bpf_sk_storage_get(&sk_owner, sk, 0, 0);

			begin_connect(flow, owner, bpf_get_socket_cookie(ctx), IPPROTO_TCP);
			if (!owner)
				init_flow(flow, NULL, bpf_get_socket_cookie(ctx), IPPROTO_TCP,
					  bpf_ktime_get_boot_ns());
			flow->rec.direction = CULPRIT_DIRECTION_OUT;
		}
		on_syn(flow, sk);
		return 1;
	}
	if (!flow->rec.cookie || !flow->rec.direction)
		on_accepted(flow, sk, bpf_get_socket_cookie(ctx));
	on_established(flow);
	return 1;
}

/* End of a socket without a TCP state: its own flow if connected, else its peers, which the sweep ends. */
SEC("cgroup/sock_release")
int culprit_sock_release(struct bpf_sock *ctx)
{
	struct flow_state *flow = bpf_sk_storage_get(&sk_flow, ctx, 0, 0);
	u64 cookie;
	u8 one = 1;

	if (!flow || flow->kind != KIND_DATAGRAM)
		return 1;
	settle(flow);
	if (flow->window_peers) {
		cookie = flow->rec.cookie;
		bpf_map_update_elem(&closed_sockets, &cookie, &one, BPF_ANY);
	}
	if (flow->rec.tx_packets + flow->rec.rx_packets)
		emit_flow(flow, CULPRIT_FLOW_END, false);
	flow->phase |= PHASE_OVER;
	return 1;
}

static __always_inline void on_listen(struct sock *sk)
{
	struct flow_state *flow = bpf_sk_storage_get(&sk_flow, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	struct owner_state *owner = bpf_sk_storage_get(&sk_owner, sk, 0, 0);

	if (!flow) {
		count_stat(CULPRIT_STAT_FLOW_STORAGE_FAILED);
		return;
	}
	if (!flow->rec.cookie)
		init_flow(flow, owner, owner ? owner->cookie : 0, IPPROTO_TCP, bpf_ktime_get_boot_ns());
	flow->kind = KIND_LISTENER;
	flow->rec.direction = CULPRIT_DIRECTION_LISTEN;
	flow->rec.tcp_state = BPF_TCP_LISTEN;
	fill_tuple_of(&flow->rec, sk);
	emit_flow(flow, CULPRIT_FLOW_SNAPSHOT, false);
}

/* Runs in any context: nothing here may ask who is current. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(culprit_set_state, struct sock *sk, int old, int state)
{
	struct flow_state *flow;
	struct tcp_sock *tp;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (state == BPF_TCP_LISTEN) {
		on_listen(sk);
		return 0;
	}
	if (state != BPF_TCP_CLOSE)
		return 0;
	flow = bpf_sk_storage_get(&sk_flow, sk, 0, 0);
	if (!flow || !flow->rec.cookie)
		return 0;
	flow->rec.tcp_state = BPF_TCP_CLOSE;
	if (sk->sk_err > 0)
		flow->rec.error = sk->sk_err;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp && flow->kind == KIND_STREAM) /* a reconnect would reset them */
		fill_tcp(&flow->rec, sk, tp);
	if (flow->phase & PHASE_CONNECTING)
		attempt_failed(flow, sk->sk_err > 0 ? sk->sk_err : 0);
	return 0;
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(culprit_tcp_destroy, struct sock *sk)
{
	struct flow_state *flow = bpf_sk_storage_get(&sk_flow, sk, 0, 0);
	struct tcp_sock *tp;
	u64 cookie;

	if (!flow || !flow->rec.cookie)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp && flow->kind == KIND_STREAM)
		fill_tcp(&flow->rec, sk, tp);
	if (flow->phase & PHASE_CONNECTING)
		attempt_failed(flow, 0);
	settle(flow);
	if (!(flow->phase & PHASE_OVER)) {
		flow->rec.tcp_state = BPF_TCP_CLOSE;
		emit_flow(flow, CULPRIT_FLOW_END, false);
		flow->phase |= PHASE_OVER;
	}
	if (flow->kind == KIND_LISTENER) {
		cookie = flow->rec.cookie;
		bpf_map_delete_elem(&moved, &cookie);
	}
	return 0;
}

/* A send call returned: what left since the last one was this process's. */
SEC("tp_btf/sock_send_length")
int BPF_PROG(culprit_send_length, struct sock *sk, int length)
{
	struct flow_state *flow;
	struct owner_state owner;
	u16 family = sk->__sk_common.skc_family;

	if (length > 0 && family == AF_PACKET)
		return link_sent(sk, length);
	if (length <= 0 || (family != AF_INET && family != AF_INET6))
		return 0;
	flow = bpf_sk_storage_get(&sk_flow, sk, 0, 0);
	if (!flow || !flow->rec.cookie)
		return 0;
	if (!is_owner(flow, bpf_get_current_task_btf())) {
		owner_of_current(&owner);
		own_flow(flow, &owner);
		if (flow->kind == KIND_DATAGRAM)
			flow->phase |= PHASE_STALE;
	}
	if (flow->phase & PHASE_STALE) {
		struct culprit_peer_key key = {};
		struct flow_state *peer;

		key.cookie = flow->rec.cookie;
		__builtin_memcpy(key.remote, flow->peer, 16);
		key.remote_port = flow->peer_port;
		key.protocol = flow->rec.protocol;
		key.generation = flow->rec.generation;
		peer = bpf_map_lookup_elem(&peers, &key);
		if (peer && !same_process(&peer->rec.owner, &flow->rec.owner))
			own_peer(flow, peer);
		flow->phase &= ~PHASE_STALE;
	}
	flow->phase |= PHASE_USED;
	flow->app_tx += length;
	flow->pend_wire = 0;
	flow->pend_skb = 0;
	flow->pend_packets = 0;
	flow->pend_payload = 0;
	return 0;
}

/* Who receives takes over only a socket that its owner has never used: the worker of a pre-forking server. */
SEC("tp_btf/sock_recv_length")
int BPF_PROG(culprit_recv_length, struct sock *sk, int length, int flags)
{
	struct flow_state *flow;
	struct owner_state owner;
	u16 family = sk->__sk_common.skc_family;

	if (length <= 0 || (flags & MSG_PEEK) || (family != AF_INET && family != AF_INET6))
		return 0;
	flow = bpf_sk_storage_get(&sk_flow, sk, 0, 0);
	if (!flow || !flow->rec.cookie || (flow->phase & PHASE_USED))
		return 0;
	if (!is_owner(flow, bpf_get_current_task_btf())) {
		owner_of_current(&owner);
		own_flow(flow, &owner);
	}
	flow->phase |= PHASE_USED;
	return 0;
}
