// SPDX-License-Identifier: Apache-2.0
// Lines of VPC flow logs, versions 2 to 8: in the order of a header line, or without one in the
// order of AWS's documentation (version 2 alone, or all fields up to the newest); plain or packed
// as common/byte_stream.h unpacks. Fields that are not used are passed over. Stage: any. Thread:
// one owner. Memory: one window, and one line. Total on any bytes. Failure: a bad line is counted
// with its number and the rest is read; Open() fails where there is no such file.
#ifndef CULPRIT_COMMON_VPC_FLOW_LOG_H_
#define CULPRIT_COMMON_VPC_FLOW_LOG_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/byte_stream.h"
#include "common/net_address.h"
#include "common/result.h"

namespace culprit {

inline constexpr std::size_t kMaxVpcFlowLine = 16U << 10;

// What passed one interface one way within [start_s, end_s], seconds since 1970.
struct VpcFlowRow {
  std::uint32_t version = 0;                 // 0 = not told
  std::string account, interface, instance;  // empty = not told
  // Of the packets (pkt-srcaddr, pkt-dstaddr) where the log tells them, else of the interface.
  Endpoint source, destination;
  std::uint8_t protocol = 0;
  std::uint64_t packets = 0, bytes = 0;
  std::int64_t start_s = 0, end_s = 0;
  bool rejected = false;
  std::uint8_t tcp_flags = 0;  // all that were seen; 0 = none, or not told
  std::string direction;       // "ingress", "egress", empty = not told
};

class VpcFlowFormat {
 public:
  enum class Line : std::uint8_t { kRow, kHeader, kNoData, kBad };
  // kBad: `*problem` says what. kNoData: nothing passed, or AWS lost it.
  Line Read(std::string_view line, VpcFlowRow* row, std::string* problem);

 private:
  bool TakeHeader(const std::vector<std::string_view>& words);
  std::vector<int> columns_;  // of each word; empty: no header yet
};

struct VpcFlowStats {
  std::uint64_t lines = 0, rows = 0, no_data = 0, bad_lines = 0;
  std::vector<std::string> bad;  // the first 16: "LINE: what"
  std::string cut_short;         // why the file ended early
};

class VpcFlowReader {
 public:
  // "-" is the standard input.
  static Result<std::unique_ptr<VpcFlowReader>> Open(const std::string& path);
  static Result<std::unique_ptr<VpcFlowReader>> FromStream(std::unique_ptr<ByteStream> stream);

  // False: the end.
  bool Next(VpcFlowRow* row);
  const VpcFlowStats& stats() const { return stats_; }

 private:
  explicit VpcFlowReader(ByteWindow window) : window_(std::move(window)) {}
  // False: the end. `*whole` false: it is too long, and this is its beginning.
  bool NextLine(std::string_view* line, bool* whole);
  void NoteBad(const std::string& problem);

  ByteWindow window_;
  VpcFlowFormat format_;
  VpcFlowStats stats_;
  std::size_t taken_ = 0;  // of the window, by the line that was read last
};

}  // namespace culprit

#endif  // CULPRIT_COMMON_VPC_FLOW_LOG_H_
