// SPDX-License-Identifier: Apache-2.0
// Lines of Zeek's conn.log and dns.log: tab-separated with its header, whatever the columns' order
// and whatever others there are ("labeled" logs have more), or JSON lines; plain or packed as
// common/byte_stream.h unpacks.
// Stage: source. Thread: one owner. Memory: one window, and one line.
// Failure: a bad line is counted with its number and the rest is read. A last line without an end
// is taken as it is, unless what it was packed with is cut off there. Open() fails where there is
// no such file, or no log of the two kinds; Next() where the system could not read on.
#ifndef CULPRIT_AGENT_SOURCE_ZEEK_LOG_H_
#define CULPRIT_AGENT_SOURCE_ZEEK_LOG_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "agent/model/zeek.h"
#include "common/byte_stream.h"
#include "agent/source/zeek_row.h"
#include "common/result.h"

namespace culprit {

inline constexpr std::size_t kMaxZeekLineBytes = 256U << 10;  // longer ones are bad lines
inline constexpr std::size_t kMaxBadLinesKept = 64;           // all are counted

struct ZeekBadLine {
  std::uint64_t line = 0;  // from 1
  std::string reason;
};

struct ZeekStats {
  std::uint64_t lines = 0;  // headers and empty ones included
  std::uint64_t records = 0;
  std::uint64_t bad_lines = 0;
  std::vector<ZeekBadLine> bad;  // the first kMaxBadLinesKept
  std::string cut_short;         // why the file ended early; empty = it did not
};

using ZeekRecord = std::variant<ZeekConn, ZeekDns>;

class ZeekReader {
 public:
  // "-" is the standard input.
  static Result<std::unique_ptr<ZeekReader>> Open(const std::string& path);
  static Result<std::unique_ptr<ZeekReader>> FromStream(std::unique_ptr<ByteStream> stream);

  // False: the end. Errors: reading failed.
  Result<bool> Next(ZeekRecord& out);
  const ZeekStats& stats() const { return stats_; }

 private:
  explicit ZeekReader(ByteWindow window) : window_(std::move(window)) {}
  // The next line without its end; of one that is too long, its beginning. False: the end.
  bool NextLine(std::string_view* line);
  // True: `out` is a record. What is bad is counted.
  bool TakeLine(std::string_view line, ZeekRecord& out);
  void NoteBad(std::string reason);

  ByteWindow window_;
  ZeekTextFormat text_;
  ZeekRow row_;
  std::size_t taken_ = 0;      // of the window, by the line that was read last
  const char* unusable_ = "";  // why that line cannot be used; empty = it can
  ZeekStats stats_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_ZEEK_LOG_H_
