// SPDX-License-Identifier: Apache-2.0
// Fuzzer: VPC flow logs from any bytes. Every line is a row, has no data, is bad, or is a header;
// and no packet is lost on the way from rows to connections.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/source/vpc_flow_conns.h"

using namespace culprit;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::uint64_t kMaxLines = 1U << 16;  // a packed file can have billions
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto reader = VpcFlowReader::FromStream(OpenMemoryStream(bytes));
  if (!reader) return 0;
  const VpcFlowStats& stats = (*reader)->stats();
  VpcFlowRow row;
  std::uint64_t rows = 0, packets = 0;
  while (stats.lines < kMaxLines && (*reader)->Next(&row)) {
    ++rows;
    packets += row.packets;
    if (row.start_s > row.end_s) std::abort();
  }
  if (rows != stats.rows || rows + stats.no_data + stats.bad_lines > stats.lines) std::abort();
  if (stats.lines >= kMaxLines) return 0;
  auto conns = VpcFlowConns::FromStream(OpenMemoryStream(bytes));
  if (!conns) return 0;
  ZeekConn conn;
  std::uint64_t carried = 0;
  while ((*conns)->Next(&conn)) carried += *conn.orig_pkts + *conn.resp_pkts;
  if (carried != packets) std::abort();
  return 0;
}
