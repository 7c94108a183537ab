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

/* A TCP attempt towards flow->rec.remote. */
static __always_inline void count_attempt(struct flow_state *flow, const struct destination *to, u64 now)
{
	struct process_state *process = owner_process(&flow->rec);

	flow->phase |= PHASE_CONNECTING;
	if (!process)
		return;
	__sync_fetch_and_add(&process->rec.tcp_attempts, 1);
	sketch(process, to, now);
	if (is_first_contact(to, flow->rec.uid)) {
		flow->phase |= PHASE_FIRST_CONTACT;
		__sync_fetch_and_add(&process->rec.first_contacts, 1);
	}
}

/* Ends what the socket did before, if anything, and begins the flow of this connect(). */
static __noinline int begin_connect(struct flow_state *flow, const struct owner_state *owner, u64 cookie,
				    u32 protocol, const struct destination *to)
{
	u64 now = bpf_ktime_get_boot_ns();

	if (!flow || !owner || !to)
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
	__builtin_memcpy(flow->rec.remote, to->address, 16);
	flow->rec.remote_port = to->port;
	flow->rec.family = is_mapped(flow->rec.remote) ? 4 : 6;
	if (protocol == IPPROTO_TCP)
		count_attempt(flow, to, now);
	return 0;
}

static __always_inline int on_connect(struct bpf_sock_addr *ctx, const struct destination *to)
{
	struct bpf_sock *sk = ctx->sk;
	struct owner_state owner;
	struct owner_state *creator;
	struct flow_state *flow;

	if (!sk)
		return 1;
	flow = bpf_sk_storage_get(&sk_flow, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!flow) {
		count_stat(CULPRIT_STAT_FLOW_STORAGE_FAILED);
		return 1;
	}
	owner_of_current(&owner);
	begin_connect(flow, &owner, bpf_get_socket_cookie(ctx), ctx->protocol, to);
	creator = bpf_sk_storage_get(&sk_owner, sk, 0, 0);
	if (creator) {
		flow->rec.creator = creator->key;
		flow->rec.netns = creator->netns;
	}
	if (ctx->type == SOCK_RAW) {
		flow->kind = KIND_DATAGRAM;
		flow->rec.flags |= CULPRIT_FLOW_RAW;
	}
	return 1;
}

SEC("cgroup/connect4")
int culprit_connect4(struct bpf_sock_addr *ctx)
{
	struct destination to = {};

	map_v4((u8 *)to.address, ctx->user_ip4);
	to.port = bpf_ntohs(ctx->user_port);
	return on_connect(ctx, &to);
}

SEC("cgroup/connect6")
int culprit_connect6(struct bpf_sock_addr *ctx)
{
	struct destination to = {};
	u32 *remote = (u32 *)to.address;

	remote[0] = ctx->user_ip6[0];
	remote[1] = ctx->user_ip6[1];
	remote[2] = ctx->user_ip6[2];
	remote[3] = ctx->user_ip6[3];
	to.port = bpf_ntohs(ctx->user_port);
	return on_connect(ctx, &to);
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

static __always_inline void begin_unannounced(struct flow_state *flow, struct bpf_sock *sk, u64 cookie)
{
	struct owner_state *owner = bpf_sk_storage_get(&sk_owner, sk, 0, 0);
	struct destination to = {};

	fill_tuple(&flow->rec, sk);
	__builtin_memcpy(to.address, flow->rec.remote, 16);
	to.port = flow->rec.remote_port;
	begin_connect(flow, owner, cookie, IPPROTO_TCP, &to);
	if (!owner)
		init_flow(flow, NULL, cookie, IPPROTO_TCP, bpf_ktime_get_boot_ns());
	flow->rec.direction = CULPRIT_DIRECTION_OUT;
}

static __always_inline void on_established(struct flow_state *flow)
{
	struct process_state *process = owner_process(&flow->rec);

	if (process && (flow->phase & PHASE_CONNECTING))
		count_outcome(flow, process, CULPRIT_OUTCOME_OK);
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
		if (!flow->rec.cookie) /* connect hook absent or made by the kernel */
			begin_unannounced(flow, sk, bpf_get_socket_cookie(ctx));
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

/*
 * accept() made a socket of an SCTP association, in the process's context; the kernel copies no storage to it. What the
 * association exchanged before is the listener's.
 */
static __always_inline void on_sctp_accept(struct sock *sk)
{
	struct owner_state *owner = bpf_sk_storage_get(&sk_owner, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	struct flow_state *flow = bpf_sk_storage_get(&sk_flow, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!owner || !flow) {
		count_stat(CULPRIT_STAT_OWNER_STORAGE_FAILED);
		return;
	}
	owner_of_current(owner);
	flow->phase |= PHASE_ACCEPTED;
	if (flow->rec.cookie) { /* a packet was first */
		set_owner(&flow->rec, owner);
		flow->rec.creator = owner->key;
		flow->rec.flags &= ~CULPRIT_FLOW_PREEXISTING;
	}
}

/* Runs in any context: nothing here may ask who is current, but for SCTP's accept(). */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(culprit_set_state, struct sock *sk, int old, int state)
{
	struct flow_state *flow;
	struct tcp_sock *tp;

	if (sk->sk_protocol == IPPROTO_SCTP && state == BPF_TCP_ESTABLISHED && !sk->sk_socket)
		on_sctp_accept(sk);
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

/* Another process takes the socket over: what was received until now was the old one's. */
static __always_inline void take_over(struct flow_state *flow, struct sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct owner_state owner;

	if (tp && flow->kind == KIND_STREAM)
		fill_tcp(&flow->rec, sk, tp);
	owner_of_current(&owner);
	own_flow(flow, &owner);
}

/* A send call returned: what left since the last one was this process's. */
SEC("tp_btf/sock_send_length")
int BPF_PROG(culprit_send_length, struct sock *sk, int length)
{
	struct flow_state *flow;
	u16 family = sk->__sk_common.skc_family;

	if (length > 0 && family == AF_PACKET)
		return link_sent(sk, length);
	if (length <= 0 || (family != AF_INET && family != AF_INET6))
		return 0;
	flow = bpf_sk_storage_get(&sk_flow, sk, 0, 0);
	if (!flow || !flow->rec.cookie)
		return 0;
	if (!is_owner(flow, bpf_get_current_task_btf())) {
		take_over(flow, sk);
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
	u16 family = sk->__sk_common.skc_family;

	if (length <= 0 || (flags & MSG_PEEK) || (family != AF_INET && family != AF_INET6))
		return 0;
	flow = bpf_sk_storage_get(&sk_flow, sk, 0, 0);
	if (!flow || !flow->rec.cookie || (flow->phase & PHASE_USED))
		return 0;
	if (!is_owner(flow, bpf_get_current_task_btf()))
		take_over(flow, sk);
	flow->phase |= PHASE_USED;
	return 0;
}
