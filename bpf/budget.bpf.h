/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Entries of the large tables, shared out by uid: who makes more processes or peers than his share loses his own detail,
 * never another user's. Given back when the sweep finds an entry over, just before user space takes it out.
 */
#ifndef CULPRIT_BPF_BUDGET_BPF_H_
#define CULPRIT_BPF_BUDGET_BPF_H_

#include "bpf/maps.bpf.h"

#define REST_UID 0xffffffffU /* no user's: all uids beyond MAX_UIDS; user space makes its entry before the start */

static const struct process_state zero_process;

/* Sets `uid` to the one whose share it is. */
static __always_inline struct uid_share *share_of(u32 *uid)
{
	struct uid_share zero = {};
	struct uid_share *share = bpf_map_lookup_elem(&uids, uid);

	if (share)
		return share;
	bpf_map_update_elem(&uids, uid, &zero, BPF_NOEXIST);
	share = bpf_map_lookup_elem(&uids, uid);
	if (share)
		return share;
	*uid = REST_UID;
	return bpf_map_lookup_elem(&uids, uid);
}

static __always_inline struct process_state *overflow_of(u32 uid)
{
	struct culprit_process_key key = {};
	struct process_state *process;

	count_stat(CULPRIT_STAT_PROCESS_BUDGET);
	key.exec_id = (u64)uid + 1;
	process = bpf_map_lookup_elem(&processes, &key);
	if (process)
		return process;
	if (bpf_map_update_elem(&processes, &key, &zero_process, BPF_NOEXIST) == 0)
		__sync_fetch_and_add(&process_entries, 1);
	process = bpf_map_lookup_elem(&processes, &key);
	if (!process)
		return NULL;
	process->rec.key = key;
	process->rec.uid = uid;
	return process;
}

/* `key` is on the caller's stack. */
static __noinline struct process_state *make_process(const struct culprit_process_key *key, const char *comm, u32 uid)
{
	struct culprit_process_key unknown = {};
	struct process_state *process;
	struct uid_share *share;
	u32 holder = uid;

	if (!key || !comm)
		return NULL;
	share = share_of(&holder);
	if (share && share->processes >= processes_per_uid) {
		process = overflow_of(holder);
		if (process)
			return process;
	} else if (bpf_map_update_elem(&processes, key, &zero_process, BPF_NOEXIST) == 0) {
		__sync_fetch_and_add(&process_entries, 1);
		if (share)
			__sync_fetch_and_add(&share->processes, 1);
		process = bpf_map_lookup_elem(&processes, key);
		if (!process)
			return NULL;
		process->rec.key = *key;
		process->rec.uid = uid;
		__builtin_memcpy(process->rec.comm, comm, CULPRIT_COMM_LEN);
		return process;
	}
	process = bpf_map_lookup_elem(&processes, key); /* another CPU was first */
	if (process)
		return process;
	count_stat(CULPRIT_STAT_PROCESS_TABLE_FULL);
	return bpf_map_lookup_elem(&processes, &unknown);
}

static __always_inline struct process_state *process_of(const struct culprit_process_key *from,
							const char *comm, u32 uid)
{
	struct culprit_process_key key = *from; /* older kernels take no key from an iterator's value */
	struct process_state *process = bpf_map_lookup_elem(&processes, &key);

	return process ? process : make_process(&key, comm, uid);
}

/* How long the entry of an exited process waits for what its sockets still do. */
static __always_inline u64 process_grace(const struct process_state *process)
{
	u32 holder = process->rec.uid;
	struct uid_share *share = share_of(&holder);

	if (process_entries > MAX_PROCESSES / 4 * 3 ||
	    (share && share->processes > processes_per_uid / 4 * 3))
		return PROCESS_GRACE_PRESSED_NS;
	return PROCESS_GRACE_NS;
}

static __always_inline void release_process(struct process_state *process)
{
	u32 holder = process->rec.uid;
	struct uid_share *share = share_of(&holder);

	if (process->released)
		return;
	process->released = 1;
	__sync_fetch_and_add(&process_entries, -1);
	if (share)
		__sync_fetch_and_add(&share->processes, -1);
}

/* False: the uid has its share of peers already. */
static __always_inline bool claim_peer(u32 *uid)
{
	struct uid_share *share = share_of(uid);

	if (!share)
		return true;
	if (share->peers >= peers_per_uid)
		return false;
	__sync_fetch_and_add(&share->peers, 1);
	return true;
}

static __always_inline void release_peer(u32 uid)
{
	struct uid_share *share = bpf_map_lookup_elem(&uids, &uid);

	if (share)
		__sync_fetch_and_add(&share->peers, -1);
}

#endif /* CULPRIT_BPF_BUDGET_BPF_H_ */
