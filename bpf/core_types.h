/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The parts of kernel types that the programs read, and no more. The loader relocates every field by name against the
 * running kernel's BTF (CO-RE), so that offsets and sizes here mean nothing and the build needs no BTF of its host.
 * A type with a suffix "___x" is the same kernel type in another version.
 */
#ifndef CULPRIT_BPF_CORE_TYPES_H_
#define CULPRIT_BPF_CORE_TYPES_H_

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;

#define AF_INET 2
#define AF_INET6 10
#define AF_PACKET 17
#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_SCTP 132
#define SCTP_HEADER_LEN 12 /* ports, tag, checksum; chunks follow */
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_RAW 3
#define MSG_PEEK 2

#define ENETDOWN 100
#define ENETUNREACH 101
#define ECONNRESET 104
#define ETIMEDOUT 110
#define ECONNREFUSED 111
#define EHOSTDOWN 112
#define EHOSTUNREACH 113
#define EPERM 1
#define EACCES 13

#define IFF_LOOPBACK 8
#define ETH_HLEN 14
#define TCP_SYN 2 /* of the flags byte */
#define TCP_ACK 16
#define PF_KTHREAD 0x00200000
#define TMPFS_MAGIC 0x01021994
#define SOCK_FLAG_DONE 1 /* bit of sk_flags: the peer's FIN was taken in */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)


struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	union {
		u8 u6_addr8[16];
	} in6_u;
};

typedef struct {
	s64 counter;
} atomic64_t;

struct sock_common {
	atomic64_t skc_cookie;
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	u16 skc_num;
	short unsigned int skc_family;
	volatile unsigned char skc_state;
	unsigned char skc_net_refcnt : 1;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	long unsigned int skc_flags;
};

struct socket;

struct sock {
	struct sock_common __sk_common;
	struct socket *sk_socket;
	int sk_err;
	u16 sk_type;
	u16 sk_protocol;
};

struct socket {
	struct sock *sk;
};

struct tcp_sock {
	u16 tcp_header_len;
	u32 segs_in;
	u32 segs_out;
	u64 bytes_received;
	u64 bytes_sent;
	u64 bytes_retrans;
	u32 srtt_us;
};

struct device {
	struct device *parent;
};

struct net_device {
	unsigned int mtu;
	unsigned int flags;
	int ifindex;
	unsigned short hard_header_len;
	unsigned char upper_level; /* 1: no device is stacked upon it */
	unsigned char lower_level; /* 1: it is stacked upon none */
	possible_net_t nd_net;
	char name[16];
	struct device dev;
};

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	unsigned int len;
	unsigned int data_len;
	int skb_iif; /* where it came in; 0: made here */
	unsigned int end;
	unsigned char *head;
	unsigned char *data;
	u16 transport_header;
	u16 network_header;
};

struct skb_shared_info {
	unsigned short gso_size;
	unsigned short gso_segs;
};

struct packet_type {
	struct net_device *dev;
};

struct packet_sock {
	struct sock sk;
	struct packet_type prot_hook;
};

struct qstr {
	u32 len;
	const unsigned char *name;
};

struct super_block {
	u32 s_dev;
	unsigned long s_magic;
};

struct timespec64 {
	s64 tv_sec;
	long tv_nsec;
};

struct inode {
	unsigned long i_ino;
	unsigned int i_nlink;
	s64 i_size;
	struct super_block *i_sb;
	struct timespec64 i_ctime; /* until 6.5 */
};

struct inode___66 {
	struct timespec64 __i_ctime; /* 6.6 to 6.10 */
};

struct inode___611 {
	s64 i_ctime_sec; /* since 6.11 */
	u32 i_ctime_nsec;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
};

struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
	struct file *exe_file;
};

typedef struct {
	unsigned int val;
} kuid_t;

typedef struct {
	unsigned int val;
} kgid_t;

struct cred {
	kuid_t uid;
	kgid_t gid;
	kuid_t euid;
};

struct kernfs_node {
	struct kernfs_node *parent;
	const char *name;
	u64 id;
};

struct kernfs_node___615 {
	struct kernfs_node *__parent; /* since 6.15 */
};

struct cgroup {
	struct kernfs_node *kn;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

struct css_set {
	struct cgroup_subsys_state *subsys[1];
	struct cgroup *dfl_cgrp;
};

struct upid {
	int nr;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct nsproxy {
	struct net *net_ns;
};

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
};

struct task_struct {
	unsigned int flags;
	int pid;
	int tgid;
	int exit_code;
	u64 start_boottime;
	u64 self_exec_id;
	struct task_struct *group_leader;
	struct task_struct *real_parent;
	struct mm_struct *mm;
	const struct cred *cred;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	struct css_set *cgroups;
	struct pid *thread_pid;
	char comm[16];
	kuid_t loginuid;
	unsigned int sessionid;
};

struct linux_binprm {
	struct file *file;
};

struct seq_file;
struct bpf_map;

#pragma clang attribute pop

/* Contexts of iterators: program ABI, not relocated. */
struct bpf_iter_meta {
	struct seq_file *seq;
	u64 session_id;
	u64 seq_num;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file __attribute__((aligned(8)));
};

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	struct sock *sk;
	void *value;
};

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
};

#endif /* CULPRIT_BPF_CORE_TYPES_H_ */
