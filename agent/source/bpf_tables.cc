// SPDX-License-Identifier: Apache-2.0
#include "agent/source/bpf_tables.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/unique_fd.h"
#include "culprit.skel.h"

namespace culprit {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{64} << 10;

const bpf_map* TableOf(const culprit_bpf& skeleton, std::string_view name) {
  const auto& maps = skeleton.maps;
  return name == "iter/bpf_sk_storage_map" ? maps.sk_flow
         : name == "iter/peers"            ? maps.peers
         : name == "iter/processes"        ? maps.processes
         : name == "iter/forwards"         ? maps.forwards
                                           : nullptr;
}

}  // namespace

void LinkDestroy::operator()(bpf_link* link) const { bpf_link__destroy(link); }
void RingFree::operator()(ring_buffer* ring) const { ring_buffer__free(ring); }

BpfTables::BpfTables(const LoadedPrograms& loaded)
    : loaded_(loaded), buffer_(kBufferBytes / sizeof(std::uint64_t)) {}

Status BpfTables::Attach(const Hook& hook, bpf_program* program) {
  if (hook.kind == HookKind::kWalk) {
    if (walked_ == nullptr) {
      walked_.reset(
          ring_buffer__new(bpf_map__fd(loaded_.skeleton->maps.walked), &OnWalked, this, nullptr));
    }
    if (walked_ == nullptr) return ErrnoError("map the ring of walks");
    walks_[hook.name] = program;
    return Ok();
  }
  bpf_iter_link_info info{};
  DECLARE_LIBBPF_OPTS(bpf_iter_attach_opts, opts);
  if (const bpf_map* map = TableOf(*loaded_.skeleton, hook.name); map != nullptr) {
    info.map.map_fd = static_cast<__u32>(bpf_map__fd(map));
    opts.link_info = &info;
    opts.link_info_len = sizeof(info);
  }
  Link link(bpf_program__attach_iter(program, &opts));
  if (link == nullptr) return ErrnoError("attach");
  iterators_[hook.name] = std::move(link);
  return Ok();
}

Status BpfTables::Read(std::string_view name, const IteratedRecord& deliver,
                       const std::function<void()>& round_over) {
  Status read = Ok();
  if (const auto at = iterators_.find(name); at != iterators_.end()) {
    read = Iterate(at->second.get(), deliver);
    if (round_over) round_over();
  } else if (const auto walk = walks_.find(name); walk != walks_.end()) {
    read = Walk(walk->second, deliver, round_over);
  } else {
    for (const Hook& hook : AllHooks()) {
      if (hook.stands_in_for == name) return Read(hook.name, deliver, round_over);
    }
  }
  if (!read) return std::move(read).error().Context(name);
  return Ok();
}

void BpfTables::ForEachLink(
    const std::function<void(const std::string& name, const bpf_link* link)>& visit) const {
  for (const auto& [name, link] : iterators_) visit(name, link.get());
}

Status BpfTables::Iterate(const bpf_link* link, const IteratedRecord& deliver) {
  UniqueFd fd(bpf_iter_create(bpf_link__fd(link)));
  if (!fd) return ErrnoError("create iterator");
  char* const bytes = reinterpret_cast<char*>(buffer_.data());
  std::size_t held = 0;
  for (;;) {
    const ssize_t n = read(fd.get(), bytes + held, kBufferBytes - held);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;  // long stretches without output
    if (n < 0) return ErrnoError("read iterator");
    if (n == 0) break;
    held += static_cast<std::size_t>(n);
    std::size_t at = 0;
    while (held - at >= sizeof(culprit_header)) {
      auto& header = *reinterpret_cast<culprit_header*>(bytes + at);
      if (header.size < sizeof(culprit_header) || header.size % 8 != 0 ||
          header.size > kBufferBytes) {
        return DataLoss("iterator record of impossible size");
      }
      if (header.size > held - at) break;
      deliver(header, std::string_view(bytes + at, header.size));
      at += header.size;
    }
    std::memmove(bytes, bytes + at, held - at);
    held -= at;
  }
  return Ok();
}

int BpfTables::OnWalked(void* context, void* data, std::size_t size) {
  auto* self = static_cast<BpfTables*>(context);
  char* const bytes = reinterpret_cast<char*>(self->buffer_.data());
  if (size < sizeof(culprit_header) || size > kBufferBytes) return 0;
  std::memcpy(bytes, data, size);  // the ring is mapped read-only
  (*self->walking_into_)(*reinterpret_cast<culprit_header*>(bytes), {bytes, size});
  return 0;
}

// A full ring ends a round early. What was told is skipped by the next, so each gets further; one
// that tells nothing is the last in any case.
Status BpfTables::Walk(const bpf_program* program, const IteratedRecord& deliver,
                       const std::function<void()>& round_over) {
  walking_into_ = &deliver;
  for (;;) {
    DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts);
    if (bpf_prog_test_run_opts(bpf_program__fd(program), &opts) != 0) return ErrnoError("walk");
    const int told = ring_buffer__consume(walked_.get());
    if (told < 0) return ErrnoError("read what a walk told", -told);
    if (round_over) round_over();
    if (told == 0 || opts.retval == 0) return Ok();
  }
}

}  // namespace culprit
