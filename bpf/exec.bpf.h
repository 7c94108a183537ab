/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is only wanted of a program image: its file, its path, its cgroup's name. Bounded walks, no locks. */
#ifndef CULPRIT_BPF_EXEC_BPF_H_
#define CULPRIT_BPF_EXEC_BPF_H_

#include "bpf/task.bpf.h"

#define PATH_STEPS 28      /* directories and mount points of a path that are looked at */
#define PATH_PART_LEN 128  /* longer names are cut */
#define MAX_CONTROLLERS 14

struct path_walk {
	struct dentry *dentry;
	struct dentry *root; /* of mnt */
	struct mount *mnt;
};

/* The record and room behind its path, so that a name may be written at any offset below CULPRIT_PATH_LEN. */
struct exec_scratch {
	struct culprit_exec exec;
	char path[CULPRIT_PATH_LEN + PATH_PART_LEN];
	const unsigned char *names[PATH_STEPS];
	struct path_walk walk;
};

#define EXEC_SLOT_TRACEPOINT 0
#define EXEC_SLOT_ITERATOR 1 /* the tracepoint may interrupt it */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct exec_scratch);
} exec_scratch __weak SEC(".maps");

static __always_inline void read_ctime(struct inode *inode, struct culprit_exe *exe)
{
	struct inode___66 *inode66 = (void *)inode;
	struct inode___611 *inode611 = (void *)inode;

	if (bpf_core_field_exists(inode->i_ctime)) {
		exe->ctime_sec = BPF_CORE_READ(inode, i_ctime.tv_sec);
		exe->ctime_nsec = BPF_CORE_READ(inode, i_ctime.tv_nsec);
	} else if (bpf_core_field_exists(inode66->__i_ctime)) {
		exe->ctime_sec = BPF_CORE_READ(inode66, __i_ctime.tv_sec);
		exe->ctime_nsec = BPF_CORE_READ(inode66, __i_ctime.tv_nsec);
	} else if (bpf_core_field_exists(inode611->i_ctime_sec)) {
		exe->ctime_sec = BPF_CORE_READ(inode611, i_ctime_sec);
		/* Bit 31 is I_CTIME_QUERIED (since 6.13): stat(2) does not show it. */
		exe->ctime_nsec = BPF_CORE_READ(inode611, i_ctime_nsec) & 0x7fffffffU;
	}
}

static __always_inline void read_exe(struct file *file, struct culprit_exe *exe)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	u32 dev = BPF_CORE_READ(inode, i_sb, s_dev);

	exe->inode = BPF_CORE_READ(inode, i_ino);
	exe->size = BPF_CORE_READ(inode, i_size);
	exe->nlink = BPF_CORE_READ(inode, i_nlink);
	exe->fs_magic = BPF_CORE_READ(inode, i_sb, s_magic);
	exe->dev_major = dev >> 20;
	exe->dev_minor = dev & 0xfffff;
	read_ctime(inode, exe);
}

/*
 * The bodies of both loops over a path are global functions, with nothing but numbers for arguments: the verifier then
 * looks at each once. Taken as part of the loop they are more than a million instructions to it (Linux 6.1).
 */

/* One step towards the root of the mount namespace: notes the name, or crosses a mount point. 0: arrived. */
__noinline int path_step(u32 slot, u32 step)
{
	struct exec_scratch *scratch = bpf_map_lookup_elem(&exec_scratch, &slot);
	struct dentry *dentry, *parent;
	struct mount *mnt, *up;

	if (!scratch || step >= PATH_STEPS)
		return 0;
	dentry = scratch->walk.dentry;
	mnt = scratch->walk.mnt;
	if (dentry == scratch->walk.root) {
		up = BPF_CORE_READ(mnt, mnt_parent);
		if (up == mnt)
			return 0;
		scratch->walk.dentry = BPF_CORE_READ(mnt, mnt_mountpoint);
		scratch->walk.mnt = up;
		scratch->walk.root = BPF_CORE_READ(up, mnt.mnt_root);
		return 1;
	}
	parent = BPF_CORE_READ(dentry, d_parent);
	scratch->names[step] = BPF_CORE_READ(dentry, d_name.name);
	if (parent == dentry) /* a file without a directory: memfd, pipe */
		return 0;
	scratch->walk.dentry = parent;
	return 1;
}

/* Appends "/name" to what the path has up to `offset`; returns where it ends now. */
__noinline int path_append(u32 slot, u32 step, u32 offset)
{
	struct exec_scratch *scratch = bpf_map_lookup_elem(&exec_scratch, &slot);
	long len;

	if (!scratch || step >= PATH_STEPS || !scratch->names[step])
		return offset;
	if (offset >= CULPRIT_PATH_LEN - 2) {
		scratch->exec.flags |= CULPRIT_EXEC_PATH_TRUNCATED;
		return offset;
	}
	scratch->path[offset & (CULPRIT_PATH_LEN - 1)] = '/';
	offset = (offset + 1) & (CULPRIT_PATH_LEN - 1);
	len = bpf_probe_read_kernel_str(&scratch->path[offset], PATH_PART_LEN, scratch->names[step]);
	if (len == PATH_PART_LEN)
		scratch->exec.flags |= CULPRIT_EXEC_PATH_TRUNCATED;
	return offset + ((len - 1) & (PATH_PART_LEN - 1));
}

/* Fills scratch->names, leaf first. */
static __noinline int collect_names(struct file *file, struct exec_scratch *scratch, u32 slot)
{
	struct mount *mnt;

	if (!scratch)
		return 0;
	mnt = (void *)BPF_CORE_READ(file, f_path.mnt) - bpf_core_field_offset(struct mount, mnt);
	scratch->walk.dentry = BPF_CORE_READ(file, f_path.dentry);
	scratch->walk.mnt = mnt;
	scratch->walk.root = BPF_CORE_READ(mnt, mnt.mnt_root);
	for (u32 step = 0; step < PATH_STEPS; step++)
		scratch->names[step] = NULL;
	for (u32 step = 0; step < PATH_STEPS; step++) {
		if (!path_step(slot, step))
			return 0;
	}
	scratch->exec.flags |= CULPRIT_EXEC_PATH_TRUNCATED;
	return 0;
}

static __noinline int read_path(struct file *file, struct exec_scratch *scratch, u32 slot)
{
	u32 offset = 0;

	if (!scratch)
		return 0;
	collect_names(file, scratch, slot);
	for (u32 step = PATH_STEPS; step > 0; step--)
		offset = path_append(slot, step - 1, offset);
	if (offset >= CULPRIT_PATH_LEN) {
		scratch->exec.flags |= CULPRIT_EXEC_PATH_TRUNCATED;
		offset = CULPRIT_PATH_LEN - 1;
	}
	__builtin_memcpy(scratch->exec.path, scratch->path, CULPRIT_PATH_LEN);
	scratch->exec.path[offset & (CULPRIT_PATH_LEN - 1)] = 0;
	scratch->exec.path_len = offset;
	return 0;
}

static __always_inline bool is_memfd(const struct culprit_exec *exec)
{
	const char *path = exec->path;

	return exec->exe.fs_magic == TMPFS_MAGIC && path[1] == 'm' && path[2] == 'e' &&
	       path[3] == 'm' && path[4] == 'f' && path[5] == 'd' && path[6] == ':';
}

/* "parent/leaf". */
static __always_inline void write_cgroup_name(struct kernfs_node *node, char *out)
{
	struct kernfs_node *parent = kernfs_parent(node);
	long len = bpf_probe_read_kernel_str(out, CULPRIT_CGROUP_NAME_LEN / 2 - 1,
					     BPF_CORE_READ(parent, name));

	if (len <= 0)
		len = 1;
	len = (len - 1) & (CULPRIT_CGROUP_NAME_LEN / 2 - 1);
	out[len] = '/';
	bpf_probe_read_kernel_str(&out[len + 1], CULPRIT_CGROUP_NAME_LEN / 2,
				  BPF_CORE_READ(node, name));
}

/*
 * The cgroup2 leaf; where that is the root (hosts that use cgroup1 or both), the first controller that has put the task
 * into a group: container runtimes use the same name in all of them.
 */
static __noinline int read_cgroup_name(struct task_struct *task, struct exec_scratch *scratch)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct kernfs_node *node = BPF_CORE_READ(set, dfl_cgrp, kn);
	u32 controllers = bpf_core_field_size(set->subsys) / sizeof(void *);
	u32 base = bpf_core_field_offset(set->subsys);

	if (!scratch)
		return 0;
	scratch->exec.cgroup[0] = '/';
	if (kernfs_parent(node)) {
		write_cgroup_name(node, scratch->exec.cgroup);
		return 0;
	}
	for (u32 i = 0; i < MAX_CONTROLLERS; i++) {
		struct cgroup_subsys_state *css = NULL;

		if (i >= controllers)
			break;
		bpf_probe_read_kernel(&css, sizeof(css), (void *)set + base + i * sizeof(void *));
		if (!css)
			continue;
		node = BPF_CORE_READ(css, cgroup, kn);
		if (node && kernfs_parent(node)) {
			write_cgroup_name(node, scratch->exec.cgroup);
			return 0;
		}
	}
	return 0;
}

static __always_inline u32 pid_in_namespace(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	u32 level = BPF_CORE_READ(pid, level);
	int nr = 0;

	bpf_probe_read_kernel(&nr, sizeof(nr),
			      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
				      level * bpf_core_type_size(struct upid) +
				      bpf_core_field_offset(struct upid, nr));
	return nr;
}

#endif /* CULPRIT_BPF_EXEC_BPF_H_ */
