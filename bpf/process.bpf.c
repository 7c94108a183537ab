// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Life of processes: fork, exec with arguments and file identity, exit. Captured in the kernel at the instant, because
 * a process that lives 5 ms is gone before anyone could look into /proc.
 */
#include "bpf/exec.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Keeps the layouts of records that are only reached through pointers in the object's BTF: the loader compares them. */
const struct culprit_fork *fork_layout __attribute__((unused));
const struct culprit_exit *exit_layout __attribute__((unused));

static __always_inline void set_header(struct culprit_header *header, u16 kind, u32 size, u64 now)
{
	header->kind = kind;
	header->reserved = 0;
	header->size = size;
	header->boot_ns = now;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(culprit_fork, struct task_struct *parent, struct task_struct *child)
{
	const struct cred *cred = child->cred;
	struct culprit_fork *record;

	if (child->pid != child->tgid)
		return 0; /* a thread */
	record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);
	if (!record) {
		count_stat(CULPRIT_STAT_RING_FULL_FORK);
		return 0;
	}
	set_header(&record->header, CULPRIT_RECORD_FORK, sizeof(*record), bpf_ktime_get_boot_ns());
	key_of_task(child, &record->child);
	key_of_task(parent, &record->parent);
	record->uid = cred ? cred->uid.val : 0;
	record->loginuid = loginuid_of(child);
	record->session_id = session_of(child);
	record->netns = netns_of(child);
	record->cgroup_id = cgroup_id_of(child);
	BPF_CORE_READ_INTO(&record->comm, child, comm);
	bpf_ringbuf_submit(record, wake_flags());
	count_stat(CULPRIT_STAT_EVENTS_SENT);
	return 0;
}

static __always_inline void mark_exited(const struct culprit_process_key *key, u64 now)
{
	struct process_state *process = bpf_map_lookup_elem(&processes, key);

	if (process)
		process->exited_ns = now;
}

/* All but file and arguments. */
static __always_inline void fill_exec(struct task_struct *task, struct exec_scratch *scratch)
{
	struct culprit_exec *exec = &scratch->exec;
	struct task_struct *parent = task->real_parent;
	const struct cred *cred = task->cred;

	key_of_task(task, &exec->key);
	__builtin_memset(&exec->parent, 0, sizeof(exec->parent));
	if (parent)
		key_of_task(parent, &exec->parent);
	__builtin_memset(&exec->previous, 0, sizeof(exec->previous));
	exec->flags = 0;
	exec->uid = cred ? cred->uid.val : 0;
	exec->euid = cred ? cred->euid.val : 0;
	exec->gid = cred ? cred->gid.val : 0;
	exec->loginuid = loginuid_of(task);
	exec->session_id = session_of(task);
	exec->cgroup_id = cgroup_id_of(task);
	exec->netns = netns_of(task);
	exec->pid_in_ns = pid_in_namespace(task);
	__builtin_memset(&exec->exe, 0, sizeof(exec->exe));
	__builtin_memset(exec->cgroup, 0, sizeof(exec->cgroup));
	BPF_CORE_READ_INTO(&exec->comm, task, comm);
	exec->path_len = 0;
	exec->path[0] = 0;
	exec->args_len = 0;
	read_cgroup_name(task, scratch);
}

static __always_inline void fill_file(struct file *file, struct exec_scratch *scratch, u32 slot)
{
	read_exe(file, &scratch->exec.exe);
	read_path(file, scratch, slot);
	if (is_memfd(&scratch->exec))
		scratch->exec.flags |= CULPRIT_EXEC_MEMFD;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(culprit_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	u32 slot = EXEC_SLOT_TRACEPOINT;
	struct exec_scratch *scratch = bpf_map_lookup_elem(&exec_scratch, &slot);
	struct culprit_exec *exec;
	struct mm_struct *mm = task->mm;
	u64 start, len;
	u64 now = bpf_ktime_get_boot_ns();
	u64 size;

	if (!scratch)
		return 0;
	exec = &scratch->exec;
	fill_exec(task, scratch);
	exec->previous = exec->key;
	exec->previous.exec_id = exec->key.exec_id - 1;
	mark_exited(&exec->previous, now);
	fill_file(mm->exe_file, scratch, slot);
	start = mm->arg_start;
	len = mm->arg_end - start;
	if (len > CULPRIT_ARGS_LEN) {
		len = CULPRIT_ARGS_LEN;
		exec->flags |= CULPRIT_EXEC_ARGS_TRUNCATED;
	}
	barrier_var(len);
	if (len > CULPRIT_ARGS_LEN || bpf_probe_read_user(exec->args, len, (void *)start))
		len = 0;
	exec->args_len = len;
	size = offsetof(struct culprit_exec, args) + ((len + 7) & ~7ULL);
	barrier_var(size);
	if (size > sizeof(*exec))
		size = sizeof(*exec);
	set_header(&exec->header, CULPRIT_RECORD_EXEC, size, now);
	if (bpf_ringbuf_output(&events, exec, size, wake_flags()))
		count_stat(CULPRIT_STAT_RING_FULL_EXEC);
	else
		count_stat(CULPRIT_STAT_EVENTS_SENT);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(culprit_exit, struct task_struct *task)
{
	struct culprit_exit *record;
	struct culprit_process_key key; /* not in the record: older kernels take no key of a table from the ring's memory */
	u64 now;

	if (task->signal->live.counter != 0)
		return 0; /* other threads go on */
	record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);
	now = bpf_ktime_get_boot_ns();
	key_of_task(task, &key);
	mark_exited(&key, now);
	if (!record) {
		count_stat(CULPRIT_STAT_RING_FULL_EXIT);
		return 0;
	}
	set_header(&record->header, CULPRIT_RECORD_EXIT, sizeof(*record), now);
	record->key = key;
	record->exit_code = task->exit_code;
	record->pad = 0;
	bpf_ringbuf_submit(record, wake_flags());
	count_stat(CULPRIT_STAT_EVENTS_SENT);
	return 0;
}

/* Processes older than the agent. Their arguments are in their own memory: user space adds them from /proc. */
SEC("iter/task")
int culprit_iter_task(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	u32 slot = EXEC_SLOT_ITERATOR;
	struct exec_scratch *scratch;
	struct culprit_exec *exec;
	struct file *file;

	if (!task || task->pid != task->tgid)
		return 0;
	scratch = bpf_map_lookup_elem(&exec_scratch, &slot);
	if (!scratch)
		return 0;
	exec = &scratch->exec;
	fill_exec(task, scratch);
	exec->flags |= CULPRIT_EXEC_FROM_ITERATOR;
	if (task->flags & PF_KTHREAD)
		exec->flags |= CULPRIT_EXEC_KERNEL_THREAD;
	file = BPF_CORE_READ(task, mm, exe_file);
	if (file)
		fill_file(file, scratch, slot);
	set_header(&exec->header, CULPRIT_RECORD_EXEC, offsetof(struct culprit_exec, args),
		   bpf_ktime_get_boot_ns());
	bpf_seq_write(ctx->meta->seq, exec, offsetof(struct culprit_exec, args));
	return 0;
}
