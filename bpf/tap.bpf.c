// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Filter of the packet sockets of agent/ring: how many bytes of a packet are worth keeping. A connection has a budget: its
 * first bytes whole, then headers, then nothing but its end; so a relay of terabytes takes no more room than a login. What
 * a login, a name or a first contact needs has a rate of its own, which bulk cannot use up.
 * Two programs, since libpcap does not tell the direction of a packet: each handle takes one.
 */
#include "bpf/core_types.h"
#include "bpf/tap_abi.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define MAX_FLOWS 32768 /* least recently used go first; user space may set another size. 152 bytes each */
#define MAX_POLICIES 4096
#define WHOLE 0x7fffffff
#define PACKET_OUTGOING 4
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define ETH_P_8021Q 0x8100
#define ETH_P_8021AD 0x88a8
#define TCP_FIN_OR_RST 5
#define PORT_DNS 53
#define MAX_EXTENSION_HEADERS 6
#define RECORD_BYTES 96 /* what a packet costs on disk beside its own bytes */
#define REFILL_NS 10000000ULL
#define REFILL_MAX_US 10000000ULL

const volatile struct culprit_tap_settings settings;

/* Raised by user space when a table of policy changes: flows then look again. */
culprit_u32 policy_generation = 1;
culprit_u32 policy_entries;

struct budget {
	u64 bytes;          /* seen of this connection */
	u32 header_packets; /* kept since its first bytes were through */
	u32 policy, policy_generation;
	u32 pad;
};

struct bucket {
	u64 refilled_ns;
	s64 tokens;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_FLOWS);
	__type(key, struct culprit_tap_flow_key);
	__type(value, struct budget);
} tap_flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_POLICIES);
	__type(key, struct culprit_tap_flow_key);
	__type(value, u32);
} tap_policy SEC(".maps");

struct tap_address {
	u64 address[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_POLICIES);
	__type(key, struct tap_address);
	__type(value, u32);
} tap_addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CULPRIT_TAP_CLASS_COUNT);
	__type(key, u32);
	__type(value, struct bucket);
} tap_buckets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CULPRIT_TAP_CLASS_COUNT);
	__type(key, u32);
	__type(value, struct culprit_tap_counters);
} tap_counters SEC(".maps");

struct parsed {
	struct culprit_tap_flow_key key;
	u8 tcp_flags;
};

struct ends {
	u64 source[2], destination[2];
	u16 source_port, destination_port;
};

static __always_inline bool load(struct __sk_buff *skb, u32 offset, void *to, u32 size)
{
	return bpf_skb_load_bytes_relative(skb, offset, to, size, BPF_HDR_START_NET) == 0;
}

static __always_inline bool is_fragment_header(u8 protocol)
{
	return protocol == 44;
}

/* Headers that say how long they are in their second byte. */
static __always_inline bool is_extension(u8 protocol)
{
	return protocol == 0 || protocol == 43 || protocol == 60 || is_fragment_header(protocol);
}

static __always_inline bool has_ports(u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP || protocol == 136;
}

/* IPv4 without options, and as much of the transport header as tells ports and flags: read at once. */
struct v4_head {
	u8 version_ihl, tos;
	__be16 length, id, fragment;
	u8 ttl, protocol;
	__be16 checksum;
	__be32 source, destination;
	__be16 ports[2];
	u32 rest[2];
	u8 data_offset, tcp_flags;
	__be16 window;
};

static __always_inline void set_v4(const struct v4_head *ip, struct ends *ends)
{
	ends->source[1] = (u64)ip->source << 32 | bpf_htonl(0xffff);
	ends->destination[1] = (u64)ip->destination << 32 | bpf_htonl(0xffff);
}

/* True: everything is known of the packet. */
static __always_inline bool parse_plain_v4(struct __sk_buff *skb, struct ends *ends, struct parsed *packet)
{
	struct v4_head ip;

	if (!load(skb, 0, &ip, sizeof(ip)) || ip.version_ihl != 0x45)
		return false;
	if (ip.fragment & bpf_htons(0x1fff) || !has_ports(ip.protocol))
		return false;
	set_v4(&ip, ends);
	packet->key.protocol = ip.protocol;
	ends->source_port = bpf_ntohs(ip.ports[0]);
	ends->destination_port = bpf_ntohs(ip.ports[1]);
	if (ip.protocol == IPPROTO_TCP)
		packet->tcp_flags = ip.tcp_flags;
	return true;
}

/* Sets addresses and protocol; gives the offset of the transport header, 0 where it cannot be read. */
static __always_inline u32 parse_v4(struct __sk_buff *skb, struct ends *ends, u32 *protocol)
{
	struct v4_head ip;

	if (!load(skb, 0, &ip, offsetof(struct v4_head, ports)))
		return 0;
	set_v4(&ip, ends);
	*protocol = ip.protocol;
	if (ip.fragment & bpf_htons(0x1fff))
		return 0;
	return (ip.version_ihl & 15) * 4;
}

static __always_inline u32 parse_v6(struct __sk_buff *skb, struct ends *ends, u32 *protocol)
{
	struct {
		__be32 flow;
		__be16 length;
		u8 next, hops;
		u64 source[2], destination[2];
	} ip;
	struct {
		u8 next, length;
		__be16 fragment;
		u32 rest;
	} extension;
	u32 offset = sizeof(ip);
	u8 next;
	int i;

	if (!load(skb, 0, &ip, sizeof(ip)))
		return 0;
	ends->source[0] = ip.source[0];
	ends->source[1] = ip.source[1];
	ends->destination[0] = ip.destination[0];
	ends->destination[1] = ip.destination[1];
	next = ip.next;
#pragma unroll
	for (i = 0; i < MAX_EXTENSION_HEADERS; i++) {
		if (!is_extension(next))
			break;
		*protocol = next;
		if (!load(skb, offset, &extension, sizeof(extension)))
			return 0;
		offset += is_fragment_header(next) ? 8 : ((u32)extension.length + 1) * 8;
		if (is_fragment_header(next) && (extension.fragment & bpf_htons(0xfff8))) {
			*protocol = extension.next;
			return 0;
		}
		next = extension.next;
	}
	*protocol = next;
	return is_extension(next) ? 0 : offset;
}

static __always_inline void make_key(const struct ends *ends, struct culprit_tap_flow_key *key)
{
	bool source_first = ends->source[0] != ends->destination[0] ? ends->source[0] < ends->destination[0] :
			    ends->source[1] != ends->destination[1] ? ends->source[1] < ends->destination[1] :
								      ends->source_port < ends->destination_port;

	key->low[0] = source_first ? ends->source[0] : ends->destination[0];
	key->low[1] = source_first ? ends->source[1] : ends->destination[1];
	key->low_port = source_first ? ends->source_port : ends->destination_port;
	key->high[0] = source_first ? ends->destination[0] : ends->source[0];
	key->high[1] = source_first ? ends->destination[1] : ends->source[1];
	key->high_port = source_first ? ends->destination_port : ends->source_port;
}

/* False: no IP. */
static __always_inline bool parse(struct __sk_buff *skb, struct parsed *packet)
{
	struct ends ends = {};
	__be16 ports[2];
	u32 transport;
	u8 version;

	if (skb->protocol != bpf_htons(ETH_P_IP) && skb->protocol != bpf_htons(ETH_P_IPV6) &&
	    skb->protocol != bpf_htons(ETH_P_8021Q) && skb->protocol != bpf_htons(ETH_P_8021AD))
		return false;
	if (parse_plain_v4(skb, &ends, packet)) {
		make_key(&ends, &packet->key);
		return true;
	}
	if (!load(skb, 0, &version, 1))
		return false;
	if (version >> 4 == 4)
		transport = parse_v4(skb, &ends, &packet->key.protocol);
	else if (version >> 4 == 6)
		transport = parse_v6(skb, &ends, &packet->key.protocol);
	else
		return false;
	if (transport && has_ports((u8)packet->key.protocol) && load(skb, transport, ports, sizeof(ports))) {
		ends.source_port = bpf_ntohs(ports[0]);
		ends.destination_port = bpf_ntohs(ports[1]);
		if (packet->key.protocol == IPPROTO_TCP)
			load(skb, transport + 13, &packet->tcp_flags, 1);
	}
	make_key(&ends, &packet->key);
	return true;
}

static __always_inline bool either_port(const struct culprit_tap_flow_key *key, u16 port)
{
	return port && (key->low_port == port || key->high_port == port);
}

static __always_inline bool is_ssh(const struct culprit_tap_flow_key *key)
{
	int i;

	if (key->protocol != IPPROTO_TCP)
		return false;
#pragma unroll
	for (i = 0; i < CULPRIT_TAP_SSH_PORTS; i++)
		if (either_port(key, settings.ssh_ports[i]))
			return true;
	return false;
}

static __always_inline u32 look_up_policy(const struct culprit_tap_flow_key *key)
{
	struct tap_address address = {};
	const u32 *found = bpf_map_lookup_elem(&tap_policy, key);

	if (found)
		return *found;
	address.address[0] = key->low[0];
	address.address[1] = key->low[1];
	found = bpf_map_lookup_elem(&tap_addresses, &address);
	if (found)
		return *found;
	address.address[0] = key->high[0];
	address.address[1] = key->high[1];
	found = bpf_map_lookup_elem(&tap_addresses, &address);
	return found ? *found : 0;
}

/*
 * Takes the cost of so many bytes out of the class's bucket. Unlocked (a socket filter may take no lock): two CPUs that
 * refill at once grant a few packets twice. What is on disk has a hard bound of its own.
 */
static __always_inline bool take(u32 class, u32 bytes)
{
	struct bucket *bucket = bpf_map_lookup_elem(&tap_buckets, &class);
	const volatile struct culprit_tap_rate *rate = &settings.rate[class & 7];
	u64 now = bpf_ktime_get_ns();
	s64 cost = (s64)bytes + RECORD_BYTES;

	if (!bucket)
		return false;
	if (now - bucket->refilled_ns > REFILL_NS) {
		u64 us = (now - bucket->refilled_ns) / 1000;
		s64 burst = (s64)rate->burst_bytes;
		s64 tokens;

		if (us > REFILL_MAX_US)
			us = REFILL_MAX_US;
		tokens = bucket->tokens + (s64)(us * rate->bytes_per_sec / 1000000);
		bucket->refilled_ns = now;
		bucket->tokens = tokens > burst ? burst : tokens;
	}
	if (bucket->tokens < cost)
		return false;
	__sync_fetch_and_add(&bucket->tokens, -cost);
	return true;
}

static __always_inline u32 shorter(u32 a, u32 b)
{
	return a < b ? a : b;
}

static __always_inline int count(struct culprit_tap_counters *counters, u32 length, u32 keep)
{
	counters->kept++;
	counters->kept_bytes += shorter(keep, length);
	if (keep < length) {
		counters->cut++;
		return (int)keep;
	}
	return WHOLE;
}

/* Whole if the class's rate allows, else its headers, else nothing. */
static __always_inline int keep(struct culprit_tap_counters *counters, u32 class, u32 length, u32 wanted)
{
	u32 headers = shorter(settings.header_bytes, length);

	wanted = shorter(wanted, length);
	if (take(class, wanted))
		return count(counters, length, wanted);
	if (wanted > headers && take(class, headers))
		return count(counters, length, headers);
	counters->over_rate++;
	return 0;
}

static __always_inline struct budget *budget_of(const struct parsed *packet)
{
	struct budget *budget = bpf_map_lookup_elem(&tap_flows, &packet->key);
	struct budget zero = {};

	if (budget || packet->tcp_flags & TCP_SYN)
		return budget; /* a scan makes no entries */
	bpf_map_update_elem(&tap_flows, &packet->key, &zero, BPF_NOEXIST);
	return bpf_map_lookup_elem(&tap_flows, &packet->key);
}

static __always_inline u32 policy_of(struct budget *budget, const struct culprit_tap_flow_key *key)
{
	if (!policy_entries)
		return 0;
	if (!budget)
		return look_up_policy(key);
	if (budget->policy_generation != policy_generation) {
		budget->policy_generation = policy_generation;
		budget->policy = look_up_policy(key);
	}
	return budget->policy;
}

static __always_inline struct culprit_tap_counters *see(u32 class, u32 length)
{
	struct culprit_tap_counters *counters = bpf_map_lookup_elem(&tap_counters, &class);

	if (!counters)
		return NULL;
	counters->seen++;
	counters->seen_bytes += length;
	return counters;
}

/* By what the connection has had so far. */
static __always_inline int spend(struct budget *budget, const struct parsed *packet, u32 class, u32 length)
{
	struct culprit_tap_counters *counters = see(class, length);
	u64 first = class == CULPRIT_TAP_SSH ? settings.ssh_first_bytes : settings.first_bytes;
	u64 before;

	if (!counters)
		return 0;
	if (!budget) /* the table would not take it */
		return keep(counters, class, length, settings.header_bytes);
	before = budget->bytes;
	__sync_fetch_and_add(&budget->bytes, length);
	if (before < first)
		return keep(counters, class, length, WHOLE);
	if (budget->header_packets < settings.header_packets) {
		__sync_fetch_and_add(&budget->header_packets, 1);
		return keep(counters, class, length, settings.header_bytes);
	}
	if (packet->tcp_flags & TCP_FIN_OR_RST)
		return keep(counters, class, length, settings.header_bytes);
	counters->past_budget++;
	return 0;
}

static __always_inline int snap_length(struct __sk_buff *skb)
{
	struct parsed packet = {};
	struct culprit_tap_counters *counters;
	struct budget *budget;
	u32 length = skb->len;
	u32 class, policy;

	if (!parse(skb, &packet)) {
		counters = see(CULPRIT_TAP_LINK, length);
		return counters ? keep(counters, CULPRIT_TAP_LINK, length, WHOLE) : 0;
	}
	budget = budget_of(&packet);
	policy = policy_of(budget, &packet.key);
	if (policy & CULPRIT_TAP_EXCLUDE) {
		see(CULPRIT_TAP_EXCLUDED, length);
		return 0;
	}
	if (policy & CULPRIT_TAP_WHOLE && take(CULPRIT_TAP_FLAGGED, length)) {
		counters = see(CULPRIT_TAP_FLAGGED, length);
		return counters ? count(counters, length, WHOLE) : 0;
	}
	if (budget && (packet.tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) { /* ports used again */
		budget->bytes = 0;
		budget->header_packets = 0;
	}
	class = CULPRIT_TAP_GENERAL;
	if (is_ssh(&packet.key))
		class = CULPRIT_TAP_SSH;
	else if (either_port(&packet.key, PORT_DNS))
		class = CULPRIT_TAP_DNS;
	if (packet.tcp_flags & TCP_SYN && class == CULPRIT_TAP_GENERAL)
		class = CULPRIT_TAP_CONTACT;
	if (class == CULPRIT_TAP_DNS || packet.tcp_flags & TCP_SYN) {
		counters = see(class, length);
		return counters ? keep(counters, class, length, WHOLE) : 0;
	}
	return spend(budget, &packet, class, length);
}

SEC("socket")
int tap_in(struct __sk_buff *skb)
{
	return skb->pkt_type == PACKET_OUTGOING ? 0 : snap_length(skb);
}

/* Loopback, where only what a stub resolver is asked is wanted. */
SEC("socket")
int tap_dns(struct __sk_buff *skb)
{
	struct parsed packet = {};
	struct culprit_tap_counters *counters;

	if (skb->pkt_type == PACKET_OUTGOING || !parse(skb, &packet) || !either_port(&packet.key, PORT_DNS))
		return 0;
	counters = see(CULPRIT_TAP_DNS, skb->len);
	return counters ? keep(counters, CULPRIT_TAP_DNS, skb->len, WHOLE) : 0;
}

SEC("socket")
int tap_out(struct __sk_buff *skb)
{
	return skb->pkt_type == PACKET_OUTGOING ? snap_length(skb) : 0;
}
