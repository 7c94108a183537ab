// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/render.h"

#include <algorithm>
#include <numeric>

#include "common/text.h"
#include "common/units.h"

namespace culprit::cli {
namespace {

constexpr std::size_t kGap = 2;

struct Layout {
  std::vector<std::size_t> shown;   // indices of columns
  std::vector<std::size_t> widths;  // by column, whether shown or not
};

std::size_t TotalWidth(const Layout& layout) {
  std::size_t total = layout.shown.empty() ? 0 : kGap * (layout.shown.size() - 1);
  for (const std::size_t c : layout.shown) total += layout.widths[c];
  return total;
}

// Takes columns off the widest column that may shrink, until the table fits or none may.
void Shrink(const std::vector<Column>& columns, std::size_t limit, Layout& layout) {
  for (std::size_t total = TotalWidth(layout); total > limit; --total) {
    const std::size_t none = columns.size();
    std::size_t widest = none;
    for (const std::size_t c : layout.shown) {
      if (columns[c].min_width == 0 || layout.widths[c] <= columns[c].min_width) continue;
      if (widest == none || layout.widths[c] > layout.widths[widest]) widest = c;
    }
    if (widest == none) return;
    --layout.widths[widest];
  }
}

Layout FitColumns(const std::vector<Column>& columns, const std::vector<std::size_t>& natural,
                  std::size_t limit) {
  Layout layout{std::vector<std::size_t>(columns.size()), natural};
  std::iota(layout.shown.begin(), layout.shown.end(), std::size_t{0});
  if (limit == 0) return layout;
  while (true) {
    layout.widths = natural;
    Shrink(columns, limit, layout);
    if (TotalWidth(layout) <= limit) return layout;
    std::size_t worst = layout.shown.size();
    for (std::size_t i = 0; i < layout.shown.size(); ++i) {
      const int drop = columns[layout.shown[i]].drop;
      if (drop > 0 && (worst == layout.shown.size() || drop >= columns[layout.shown[worst]].drop))
        worst = i;
    }
    if (worst == layout.shown.size()) return layout;
    layout.shown.erase(layout.shown.begin() + static_cast<std::ptrdiff_t>(worst));
  }
}

}  // namespace

std::string Styled(std::string_view safe_text, Style style, bool colour) {
  if (!colour || style == Style::kPlain || safe_text.empty()) return std::string(safe_text);
  const char* code = "1";
  if (style == Style::kDim) code = "2";
  if (style == Style::kGood) code = "32";
  if (style == Style::kWarning) code = "33";
  if (style == Style::kBad) code = "31";
  return "\x1b[" + std::string(code) + "m" + std::string(safe_text) + "\x1b[0m";
}

void Table::Add(std::vector<Cell> row) {
  row.resize(columns_.size());
  for (Cell& cell : row) cell.text = EscapeText(cell.text);
  rows_.push_back(std::move(row));
}

std::string Table::Render(const View& view) const {
  std::vector<std::size_t> natural(columns_.size());
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    natural[c] = DisplayWidth(columns_[c].title);
    for (const auto& row : rows_) natural[c] = std::max(natural[c], DisplayWidth(row[c].text));
  }
  const Layout layout = FitColumns(columns_, natural, view.width);
  std::string out;
  const auto add_line = [&](const auto& cell_of) {
    std::size_t blanks = 0;
    for (const std::size_t c : layout.shown) {
      const Cell& cell = cell_of(c);
      const std::string text = TruncateMiddle(cell.text, layout.widths[c]);
      const std::size_t padding = layout.widths[c] - DisplayWidth(text);
      if (columns_[c].right) blanks += padding;
      if (!text.empty()) {
        out.append(blanks, ' ');
        blanks = 0;
      }
      out += Styled(text, cell.style, view.colour);
      blanks += kGap + (columns_[c].right ? 0 : padding);
    }
    out += '\n';
  };
  std::vector<Cell> header;
  for (const Column& column : columns_) header.push_back({column.title, Style::kBold});
  add_line([&](std::size_t c) -> const Cell& { return header[c]; });
  for (const auto& row : rows_) add_line([&](std::size_t c) -> const Cell& { return row[c]; });
  return out;
}

std::string ShortTime(std::int64_t ns, const View& view) {
  constexpr std::int64_t kNear = 12LL * 3600 * 1'000'000'000;
  const bool near = ns > view.now_ns - kNear && ns < view.now_ns + kNear;
  return view.width > 0 && near ? FormatClock(ns, view.zone) : FormatTime(ns, view.zone);
}

std::string FormatCount(std::uint64_t n) {
  std::string digits = std::to_string(n);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

std::string FormatAge(std::int64_t ns, std::int64_t now_ns) {
  if (ns == 0) return "-";
  const auto age = std::chrono::nanoseconds(now_ns - ns);
  if (age < std::chrono::seconds(-5)) return "in " + FormatDuration(-age);
  if (age < std::chrono::seconds(1)) return "just now";
  return FormatDuration(age) + " ago";
}

std::string FitLine(std::string_view text, const View& view) {
  std::string line = EscapeText(text);
  return view.width == 0 ? line : TruncateMiddle(line, view.width);
}

}  // namespace culprit::cli
