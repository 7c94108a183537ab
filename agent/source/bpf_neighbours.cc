// SPDX-License-Identifier: Apache-2.0
#include "agent/source/bpf_neighbours.h"

#include <bpf/bpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "common/unique_fd.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxPrograms =
    64;  // the kernel's own limit for one hook (BPF_CGROUP_MAX_PROGS)
constexpr std::size_t kMaxNamed = 4;

std::string NameOf(__u32 id) {
  const UniqueFd fd(bpf_prog_get_fd_by_id(id));
  bpf_prog_info info{};
  __u32 size = sizeof(info);
  if (!fd || bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) return "?";
  return std::string(info.name, strnlen(info.name, sizeof(info.name)));
}

}  // namespace

std::string NeighboursOf(const bpf_program* program, int cgroup_fd) {
  std::array<__u32, kMaxPrograms> ids{};
  __u32 count = kMaxPrograms;
  if (bpf_prog_query(cgroup_fd, bpf_program__expected_attach_type(program), 0, nullptr, ids.data(),
                     &count) != 0 ||
      count == 0) {
    return "";
  }
  std::string text = "beside";
  for (std::size_t i = 0; i < std::min<std::size_t>(count, kMaxNamed); ++i) {
    text += fmt::format("{} {} (id {})", i == 0 ? "" : ",", NameOf(ids[i]), ids[i]);
  }
  if (count > kMaxNamed) text += fmt::format(" and {} more", count - kMaxNamed);
  return text;
}

}  // namespace culprit
