// SPDX-License-Identifier: Apache-2.0
#include "agent/source/link_watch.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>

namespace culprit {
namespace {

bool Ask(int fd, bpf_link_info* info) {
  *info = {};
  __u32 size = sizeof(*info);
  return bpf_obj_get_info_by_fd(fd, info, &size) == 0;
}

std::uint64_t CgroupOf(const bpf_link_info& info) {
  return info.type == BPF_LINK_TYPE_CGROUP ? info.cgroup.cgroup_id : 0;
}

}  // namespace

void LinkWatch::Add(const std::string& hook, int link_fd) {
  bpf_link_info info;
  if (!Ask(link_fd, &info)) return;
  made_.push_back({hook, link_fd, info.id, info.prog_id, CgroupOf(info)});
}

// A link that was detached stays, without its cgroup; one that was updated has another program; a
// descriptor that was closed in this process is none, or another link's.
LinkState LinkWatch::Check(
    const std::function<void(const std::string& hook, const std::string& what)>& gone) {
  LinkState state;
  state.made = static_cast<std::uint32_t>(made_.size());
  for (Made& made : made_) {
    bpf_link_info info;
    const bool there = Ask(made.fd, &info) && info.id == made.link;
    if (there && info.prog_id == made.program && CgroupOf(info) == made.cgroup) {
      state.links.push_back(made.link);
      state.programs.push_back(made.program);
      continue;
    }
    if (made.gone) continue;
    made.gone = true;
    gone(made.hook, !there                         ? "its link was closed while the agent ran"
                    : info.prog_id != made.program ? "its program was replaced while the agent ran"
                                                   : "it was detached while the agent ran");
  }
  return state;
}

}  // namespace culprit
