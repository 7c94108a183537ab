/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a process does, in constant space: sketches of how many destinations it has within a window, and contacts that
 * are the first of their kind. The hashes are keyed with a secret of each load, so that nobody can choose collisions.
 */
#ifndef CULPRIT_BPF_ACTIVITY_BPF_H_
#define CULPRIT_BPF_ACTIVITY_BPF_H_

#include "bpf/maps.bpf.h"

struct destination {
	u64 address[2]; /* the 16 bytes of culprit_flow.remote */
	u16 port;       /* host order */
	u16 pad[3];
};

static __always_inline u64 mix(u64 h)
{
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdULL;
	h ^= h >> 33;
	h *= 0xc4ceb9fe1a85ec53ULL;
	h ^= h >> 33;
	return h;
}

/* Leading zeros + 1, without a branch that the verifier would follow. */
static __always_inline u8 rank_of(u64 bits)
{
	bits |= bits >> 1;
	bits |= bits >> 2;
	bits |= bits >> 4;
	bits |= bits >> 8;
	bits |= bits >> 16;
	bits |= bits >> 32;
	bits = ~bits; /* as many ones as there were leading zeros */
	bits -= (bits >> 1) & 0x5555555555555555ULL;
	bits = (bits & 0x3333333333333333ULL) + ((bits >> 2) & 0x3333333333333333ULL);
	bits = (bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return ((bits * 0x0101010101010101ULL) >> 56) + 1;
}

static __always_inline u64 hash_address(const struct destination *to)
{
	return mix(mix(mix(to->address[0] ^ hash_seed[0]) ^ to->address[1]) ^ hash_seed[1]);
}

static __always_inline u64 hash_port(u16 port)
{
	return mix(mix(port ^ hash_seed[0]) ^ hash_seed[1]);
}

/* CPUs that enter a window at once may lose each other's first few values: a sketch is an estimate. */
static __always_inline void enter_window(struct culprit_counters *rec, u64 now)
{
	u64 window = now - now % CULPRIT_ACTIVITY_WINDOW_NS;

	if (rec->window_boot_ns >= window)
		return;
	rec->window_boot_ns = window;
	__builtin_memset(rec->address_registers, 0, sizeof(rec->address_registers));
	__builtin_memset(rec->port_registers, 0, sizeof(rec->port_registers));
}

static __noinline __attribute__((unused)) int sketch(struct process_state *process, const struct destination *to, u64 now)
{
	u64 h;
	u8 rank;

	if (!process || !to)
		return 0;
	enter_window(&process->rec, now);
	h = hash_address(to);
	rank = rank_of(h << 8 | 0x80);
	if (process->rec.address_registers[h >> 56] < rank)
		process->rec.address_registers[h >> 56] = rank;
	h = hash_port(to->port);
	rank = rank_of(h << 6 | 0x20);
	if (process->rec.port_registers[h >> 58] < rank)
		process->rec.port_registers[h >> 58] = rank;
	return 0;
}

static __always_inline bool contact_bits(u32 generation, u64 h)
{
	u32 first = (generation & 1) * CONTACT_WORDS + (h & (CONTACT_WORDS - 1));
	u32 second = (generation & 1) * CONTACT_WORDS + (h >> 32 & (CONTACT_WORDS - 1));
	u64 *a = bpf_map_lookup_elem(&contacts, &first);
	u64 *b = bpf_map_lookup_elem(&contacts, &second);

	return a && b && (*a >> (h >> 16 & 63) & 1) && (*b >> (h >> 48 & 63) & 1);
}

static __always_inline void insert_contact(u32 generation, u64 h)
{
	u32 first = (generation & 1) * CONTACT_WORDS + (h & (CONTACT_WORDS - 1));
	u32 second = (generation & 1) * CONTACT_WORDS + (h >> 32 & (CONTACT_WORDS - 1));
	u64 *a = bpf_map_lookup_elem(&contacts, &first);
	u64 *b = bpf_map_lookup_elem(&contacts, &second);

	if (!a || !b)
		return;
	/* Not atomic, which kernels before 5.12 lack: a bit lost between CPUs makes a contact the first once more. */
	*a |= 1ULL << (h >> 16 & 63);
	*b |= 1ULL << (h >> 48 & 63);
	__sync_fetch_and_add(&contact_inserts, 1);
}

/* True if nobody of this uid has tried this destination for two generations; notes that it was tried now. */
static __always_inline bool is_first_contact(const struct destination *to, u32 uid)
{
	u32 young = contact_generation;
	u64 h = mix(hash_address(to) ^ ((u64)uid << 16 | to->port));

	if (contact_bits(young, h))
		return false;
	insert_contact(young, h);
	return !contact_bits(young + 1, h);
}

#endif /* CULPRIT_BPF_ACTIVITY_BPF_H_ */
