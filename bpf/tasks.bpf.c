// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The kernel's own list of processes, for a snapshot: what stands in it and not in /proc is hidden. No map, no hook; it
 * runs when it is read.
 */
#include "bpf/core_types.h"
#include "bpf/tasks_abi.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("iter/task")
int culprit_list_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct culprit_listed_task record = {};

	if (!task || task->pid != task->tgid)
		return 0;
	record.tgid = task->tgid;
	record.parent = BPF_CORE_READ(task, real_parent, tgid);
	record.uid = BPF_CORE_READ(task, cred, uid.val);
	record.flags = task->flags;
	record.start_boottime = task->start_boottime;
	BPF_CORE_READ_INTO(&record.comm, task, comm);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}
