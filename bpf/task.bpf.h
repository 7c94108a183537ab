/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading tasks. The verifier knows the type of a task that a tracepoint, an iterator or bpf_get_current_task_btf()
 * gives, so that its fields are plain loads, which read as 0 where a pointer leads nowhere. Pointers that the kernel
 * marks __rcu must be compared with NULL on some builds. "Current" is asked for only in hooks that run in the process's
 * own context.
 */
#ifndef CULPRIT_BPF_TASK_BPF_H_
#define CULPRIT_BPF_TASK_BPF_H_

#include "bpf/maps.bpf.h"

static __always_inline void key_of_task(struct task_struct *task, struct culprit_process_key *key)
{
	key->start_boot_ns = task->group_leader->start_boottime;
	key->exec_id = task->self_exec_id;
	key->tgid = task->tgid;
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
	struct css_set *set = task->cgroups;

	return set ? set->dfl_cgrp->kn->id : 0;
}

static __always_inline u32 netns_of(struct task_struct *task)
{
	return task->nsproxy->net_ns->ns.inum;
}

static __always_inline u32 loginuid_of(struct task_struct *task)
{
	if (bpf_core_field_exists(task->loginuid))
		return task->loginuid.val;
	return 0xffffffff;
}

static __always_inline u32 session_of(struct task_struct *task)
{
	if (bpf_core_field_exists(task->sessionid))
		return task->sessionid;
	return 0xffffffff;
}

static __always_inline void owner_of_task(struct task_struct *task, struct owner_state *owner)
{
	const struct cred *cred = task->cred;

	key_of_task(task, &owner->key);
	owner->cgroup_id = cgroup_id_of(task);
	owner->uid = cred ? cred->euid.val : 0;
	owner->netns = netns_of(task);
	owner->flags = task->flags & PF_KTHREAD ? CULPRIT_FLOW_KERNEL : 0;
	BPF_CORE_READ_INTO(&owner->comm, task, comm);
}

/* The same where the task is a number to the verifier: cgroup hooks of kernels without the helper for the other. */
static __noinline __attribute__((unused)) int owner_by_probes(struct owner_state *owner)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	if (!owner)
		return 0;
	owner->key.start_boot_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	owner->key.exec_id = BPF_CORE_READ(task, self_exec_id);
	owner->key.tgid = BPF_CORE_READ(task, tgid);
	owner->key.pad = 0;
	owner->cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	owner->uid = BPF_CORE_READ(task, cred, euid.val);
	owner->netns = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
	owner->flags = BPF_CORE_READ(task, flags) & PF_KTHREAD ? CULPRIT_FLOW_KERNEL : 0;
	BPF_CORE_READ_INTO(&owner->comm, task, comm);
	return 0;
}

static __always_inline void owner_of_current(struct owner_state *owner)
{
	if (has_task_btf)
		owner_of_task(bpf_get_current_task_btf(), owner);
	else
		owner_by_probes(owner);
}

#endif /* CULPRIT_BPF_TASK_BPF_H_ */
