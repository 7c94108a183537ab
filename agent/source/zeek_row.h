// SPDX-License-Identifier: Apache-2.0
// One line of a Zeek log, taken apart by column: from either form, into either record.
// For agent/source/zeek_log.* only. Stage: source. Pure. Thread: values.
// Failure: total on any bytes; what is wrong with a line is returned as text, empty if nothing is.
#ifndef CULPRIT_AGENT_SOURCE_ZEEK_ROW_H_
#define CULPRIT_AGENT_SOURCE_ZEEK_ROW_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/model/zeek.h"

namespace culprit {

inline constexpr std::size_t kMaxZeekColumns = 1024;  // a log with more cannot be read

enum class ZeekKind : std::uint8_t { kUnknown = 0, kConn, kDns };

// The columns that are looked at, in the order of their names in zeek_row.cc.
enum class ZeekColumn : std::uint8_t {
  kTs,
  kUid,
  kOrigHost,
  kOrigPort,
  kRespHost,
  kRespPort,
  kProto,
  kService,
  kDuration,
  kOrigBytes,
  kRespBytes,
  kConnState,
  kMissedBytes,
  kHistory,
  kOrigPkts,
  kOrigIpBytes,
  kRespPkts,
  kRespIpBytes,
  kQuery,
  kQtype,
  kRcode,
  kAuthoritative,  // only tells a dns.log
  kAnswers,
  kTtls,
  kPath,  // of JSON: the log's name
  kCount,
};

class ZeekRow {
 public:
  void Clear();
  // Text of a column, nullptr if unset. Of a list: not used.
  const std::string* Get(ZeekColumn column) const {
    const Cell& cell = cells_[static_cast<std::size_t>(column)];
    return cell.set ? &cell.text : nullptr;
  }
  // The text to fill in.
  std::string& Set(ZeekColumn column) {
    Cell& cell = cells_[static_cast<std::size_t>(column)];
    cell.set = true;
    cell.text.clear();
    return cell.text;
  }
  std::vector<std::string>* List(ZeekColumn column) {
    if (column == ZeekColumn::kAnswers) return &answers;
    return column == ZeekColumn::kTtls ? &ttls : nullptr;
  }
  // Which log has such columns.
  ZeekKind Kind() const;

  std::vector<std::string> answers, ttls;

 private:
  struct Cell {
    bool set = false;
    std::string text;
  };
  std::array<Cell, static_cast<std::size_t>(ZeekColumn::kCount)> cells_;
};

// The tab-separated form, as the header lines that were last seen describe it.
class ZeekTextFormat {
 public:
  void TakeHeader(std::string_view line);  // starts with '#'
  std::string Split(std::string_view line, ZeekRow* row) const;
  // Of the header; unknown before its #fields.
  ZeekKind kind() const { return kind_; }
  bool has_columns() const { return !columns_.empty(); }
  const std::string& path() const { return path_; }

 private:
  void TakeColumns(std::string_view names);

  char separator_ = '\t';
  std::string set_separator_ = ",", empty_ = "(empty)", unset_ = "-", path_;
  std::vector<std::optional<ZeekColumn>> columns_;
  ZeekKind kind_ = ZeekKind::kUnknown;
};

std::string ReadZeekJson(std::string_view line, ZeekRow* row);

std::string MakeZeekConn(ZeekRow* row, ZeekConn* out);
std::string MakeZeekDns(ZeekRow* row, ZeekDns* out);

std::optional<ZeekColumn> FindZeekColumn(std::string_view name);

// Seconds with a fraction ("1655157610.743948", "1e-06") as nanoseconds; nullopt: is none.
std::optional<std::int64_t> ParseZeekSeconds(std::string_view text);
// The same, milliseconds as Zeek's JSON can have them, or "2022-06-17T00:00:07.123456Z".
std::optional<std::int64_t> ParseZeekTime(std::string_view text);

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_ZEEK_ROW_H_
