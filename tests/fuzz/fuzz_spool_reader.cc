// SPDX-License-Identifier: Apache-2.0
// Fuzzer: a segment file of any bytes, read whole and read while it grows. Every byte is either in a record that was
// returned or in damage that was reported, once.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/spool/spool_state.h"
#include "common/framed_log.h"

using namespace culprit;  // NOLINT(google-build-using-namespace)

namespace {

struct Tally {
  std::uint64_t bytes = 0;
  std::uint64_t records = 0;
};

void Drain(SegmentReader* reader, Tally* tally) {
  for (auto frame = reader->Next(); frame && *frame; frame = reader->Next()) {
    tally->bytes += kRecordOverheadBytes + (*frame)->payload.size();
    tally->records += 1;
  }
}

UniqueFd FileOf(std::string_view bytes) {
  UniqueFd fd(memfd_create("segment", MFD_CLOEXEC));
  if (!fd || !WriteAll(fd.get(), bytes)) std::abort();
  return fd;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  static_cast<void>(ParseStream(bytes));
  static_cast<void>(ParseAcked(bytes));
  static_cast<void>(ParseLosses(bytes));

  Tally whole;
  std::uint64_t header_bytes = kSegmentHeaderBytes;
  auto reader = SegmentReader::Open(FileOf(bytes), [&](const ReadDamage& damage) {
    whole.bytes += damage.bytes;
    if (damage.offset == 0) header_bytes = 0;  // reported as damage
  });
  if (!reader) {
    if (size >= kSegmentHeaderBytes) std::abort();
    return 0;
  }
  const bool log_id_known = !reader->header_damaged();
  Drain(&*reader, &whole);
  reader->Finish();
  if (whole.bytes + header_bytes != size) std::abort();
  if (!log_id_known) return 0;

  // The same file, growing under the reader.
  UniqueFd fd = FileOf(bytes.substr(0, kSegmentHeaderBytes));
  const int file = fd.get();
  Tally growing;
  auto follower = SegmentReader::Open(std::move(fd), [](const ReadDamage&) {});
  if (!follower) std::abort();
  const std::size_t step = 1 + (size - kSegmentHeaderBytes) / 7;
  for (std::size_t at = kSegmentHeaderBytes; at < size; at += step) {
    if (!WriteAll(file, bytes.substr(at, step))) std::abort();
    Drain(&*follower, &growing);
  }
  if (growing.records != whole.records) std::abort();
  return 0;
}
