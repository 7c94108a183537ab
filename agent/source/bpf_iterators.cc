// SPDX-License-Identifier: Apache-2.0
#include "agent/source/bpf_iterators.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/unique_fd.h"

namespace culprit {
namespace {
constexpr std::size_t kBufferBytes = 64 * 1024;
}  // namespace

IteratorReader::IteratorReader() : buffer_(kBufferBytes / sizeof(std::uint64_t)) {}

Status IteratorReader::Read(const bpf_link* link, const IteratedRecord& deliver) {
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

}  // namespace culprit
