// SPDX-License-Identifier: Apache-2.0
// Fuzzer: frame headers, payloads and journal entries from any bytes. A header that decodes encodes to the same bytes.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "collector/journal/journal_entry.h"
#include "common/frame.h"

using namespace culprit;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string_view head = bytes.substr(0, kFrameHeaderBytes);
  const auto header = DecodeFrameHeader(head);
  if (header) {
    if (EncodeFrameHeader(*header) != head) std::abort();
    if (header->payload_len > MaxPayloadBytes(header->kind)) std::abort();
    FrameHeader fitting = *header;
    const std::string_view payload = bytes.substr(kFrameHeaderBytes);
    fitting.payload_len = static_cast<std::uint32_t>(payload.size());
    const auto inflated = InflatePayload(fitting, payload);
    if (inflated && inflated->size() != header->inflated_len) std::abort();
  }
  Frame record;
  record.header.kind = FrameKind::kJournalEntry;
  record.payload = bytes;
  if (const auto stored = DecodeEntry(record)) {
    if (stored->frame.payload.size() != stored->frame.header.payload_len) std::abort();
  }
  return 0;
}
