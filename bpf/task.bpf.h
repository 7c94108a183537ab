/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading tasks. Everything goes through probe reads, so that the same code serves cgroup programs (where `task` is a
 * number to the verifier) and tracepoints. "Current" is asked for only in hooks that run in the process's own context.
 */
#ifndef CULPRIT_BPF_TASK_BPF_H_
#define CULPRIT_BPF_TASK_BPF_H_

#include "bpf/maps.bpf.h"

static __always_inline void key_of_task(struct task_struct *task, struct culprit_process_key *key)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);

	key->start_boot_ns = BPF_CORE_READ(leader, start_boottime);
	key->exec_id = BPF_CORE_READ(task, self_exec_id);
	key->tgid = BPF_CORE_READ(task, tgid);
	key->pad = 0;
}

static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *node)
{
	if (bpf_core_field_exists(node->parent))
		return BPF_CORE_READ(node, parent);
	return BPF_CORE_READ((struct kernfs_node___615 *)node, __parent);
}

static __always_inline u64 cgroup_id_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
}

static __always_inline u32 loginuid_of(struct task_struct *task)
{
	if (bpf_core_field_exists(task->loginuid))
		return BPF_CORE_READ(task, loginuid.val);
	return 0xffffffff;
}

static __always_inline u32 session_of(struct task_struct *task)
{
	if (bpf_core_field_exists(task->sessionid))
		return BPF_CORE_READ(task, sessionid);
	return 0xffffffff;
}

static __always_inline void owner_of_task(struct task_struct *task, struct owner_state *owner)
{
	key_of_task(task, &owner->key);
	owner->cgroup_id = cgroup_id_of(task);
	owner->uid = BPF_CORE_READ(task, cred, euid.val);
	owner->netns = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
	owner->flags = BPF_CORE_READ(task, flags) & PF_KTHREAD ? CULPRIT_FLOW_KERNEL : 0;
	BPF_CORE_READ_INTO(&owner->comm, task, comm);
}

static __always_inline void owner_of_current(struct owner_state *owner)
{
	owner_of_task((struct task_struct *)bpf_get_current_task(), owner);
}

#endif /* CULPRIT_BPF_TASK_BPF_H_ */
