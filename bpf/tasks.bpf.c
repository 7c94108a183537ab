// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The kernel's own list of processes, for a snapshot: what stands in it and not in /proc is hidden. No map, no hook; it
 * runs when it is read.
 */
#include "bpf/core_types.h"
#include "bpf/tasks_abi.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* As who reads it calls the process: by the reader's own pid namespace. */
static __always_inline u32 number_of(struct task_struct *task, u32 level)
{
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	int nr = 0;

	if (BPF_CORE_READ(pid, level) < level)
		return 0;
	bpf_probe_read_kernel(&nr, sizeof(nr),
			      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
			      level * bpf_core_type_size(struct upid) +
			      bpf_core_field_offset(struct upid, nr));
	return nr;
}

SEC("iter/task")
int culprit_list_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct task_struct *reader = (struct task_struct *)bpf_get_current_task();
	u32 level = BPF_CORE_READ(reader, thread_pid, level);
	struct culprit_listed_task record = {};

	if (!task || task->pid != task->tgid)
		return 0;
	record.tgid = number_of(task, level);
	record.parent = number_of(BPF_CORE_READ(task, real_parent), level);
	if (!record.tgid)
		return 0; /* of a namespace above */
	record.uid = BPF_CORE_READ(task, cred, uid.val);
	record.flags = task->flags;
	record.start_boottime = task->start_boottime;
	BPF_CORE_READ_INTO(&record.comm, task, comm);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}
