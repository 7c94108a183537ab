// SPDX-License-Identifier: Apache-2.0
// Tables for a terminal. Every cell is escaped here, so that no text from a host can move the
// cursor or forge a row. Stage: cli. Pure. Thread: values.
#ifndef CULPRIT_COLLECTOR_CLI_RENDER_H_
#define CULPRIT_COLLECTOR_CLI_RENDER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "collector/cli/time_parse.h"

namespace culprit::cli {

// How to show things: decided once from the options and the terminal.
struct View {
  std::size_t width = 0;  // columns; 0 = no limit, nothing is cut
  bool colour = false;
  Zone zone = Zone::kUtc;
  std::int64_t now_ns = 0;  // for ages
};

enum class Style { kPlain, kBold, kDim, kGood, kWarning, kBad };

// ANSI codes around text that is safe already; text alone without `colour`.
std::string Styled(std::string_view safe_text, Style style, bool colour);

struct Cell {
  std::string text;  // any bytes
  Style style = Style::kPlain;
};

struct Column {
  std::string title;
  bool right = false;         // numbers
  std::size_t min_width = 0;  // > 0: the middle may be cut down to this many columns
  int drop = 0;  // > 0: left out where the table does not fit otherwise, the highest first
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void Add(std::vector<Cell> row);  // as many cells as columns
  std::size_t rows() const { return rows_.size(); }
  // Header, rows, each line ended by \n without blanks before it. Fits view.width where that is
  // possible.
  std::string Render(const View& view) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// A point in time for a column: on a terminal without the date if it is less than 12 h away.
std::string ShortTime(std::int64_t ns, const View& view);
// "1,234,567".
std::string FormatCount(std::uint64_t n);
// "3m12s ago", "just now" (also for times a little ahead of `now_ns`), "-" for 0.
std::string FormatAge(std::int64_t ns, std::int64_t now_ns);
// One escaped line, cut to view.width.
std::string FitLine(std::string_view text, const View& view);

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_RENDER_H_
