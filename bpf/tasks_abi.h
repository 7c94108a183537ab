/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What bpf/tasks.bpf.c writes for each process. Shared by kernel programs and user space. */
#ifndef CULPRIT_BPF_TASKS_ABI_H_
#define CULPRIT_BPF_TASKS_ABI_H_

#include "bpf/abi.h"

struct culprit_listed_task {
	culprit_u32 tgid;
	culprit_u32 parent;
	culprit_u32 uid;
	culprit_u32 flags; /* PF_* of task_struct; 0x00200000: a kernel thread */
	culprit_u64 start_boottime;
	char comm[CULPRIT_COMM_LEN];
};

#endif /* CULPRIT_BPF_TASKS_ABI_H_ */
