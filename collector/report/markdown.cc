// SPDX-License-Identifier: Apache-2.0
// The same for a ticket. Markdown has no quoting that ends all of its meaning: every sign that
// begins something is escaped, and addresses are broken so that nothing makes a link of them.
#include <fmt/format.h>

#include <algorithm>

#include "collector/report/outline.h"
#include "common/ascii.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit::report {
namespace {

constexpr std::size_t kBarWidth = 30;

std::string Escaped(std::string_view text) {
  const std::string safe = EscapeText(text);
  std::string out;
  for (std::size_t i = 0; i < safe.size(); ++i) {
    const char c = safe[i];
    const std::string_view rest = std::string_view(safe).substr(i);
    if (rest.starts_with("://")) {
      out += "&#58;";
    } else if (c == '@') {
      out += "&#64;";
    } else if (c == '.' && i >= 3 && (safe[i - 1] == 'w' || safe[i - 1] == 'W')) {
      out += "&#46;";
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else {
      if (std::string_view("\\`*_[]|~#!$").find(c) != std::string_view::npos) out += '\\';
      out += c;
    }
  }
  return out;
}

// A line that begins like a list or a heading is none.
std::string Line(std::string_view text) {
  std::string line = Escaped(text);
  if (!line.empty() && (line[0] == '-' || line[0] == '+' || line[0] == '='))
    line.insert(0, 1, '\\');
  return line;
}

struct Writer {
  std::string out;

  void operator()(const Paragraph& paragraph) { out += Line(paragraph.text) + "\n\n"; }

  void operator()(const Grid& grid) {
    const auto row = [this](const std::vector<std::string>& cells) {
      out += "|";
      for (const std::string& cell : cells) out += " " + Escaped(cell) + " |";
      out += "\n";
    };
    row(grid.head);
    out += "|";
    for (std::size_t i = 0; i < grid.head.size(); ++i)
      out += i < grid.numbers.size() && grid.numbers[i] ? "---:|" : "---|";
    out += "\n";
    for (const auto& cells : grid.rows) row(cells);
    out += "\n";
  }

  void operator()(const Items& items) {
    std::size_t number = 1;
    for (const std::string& item : items.items)
      out += (items.numbered ? fmt::format("{}. ", number++) : "- ") + Line(item) + "\n";
    out += "\n";
  }

  void operator()(const Tree& tree) {
    for (const Tree::Node& node : tree.nodes) {
      const char* mark = node.marked ? "**" : "";
      out += fmt::format("{}- {}{}{}\n", std::string(std::size_t{2} * node.depth, ' '), mark,
                         Escaped(node.text), mark);
    }
    out += "\n";
  }

  void operator()(const Chart& chart) {
    std::uint64_t most = 1;
    for (const Bucket& bucket : chart.series) most = std::max(most, bucket.tx_bytes);
    std::string rows;
    for (const Bucket& bucket : chart.series) {
      if (bucket.tx_bytes + bucket.rx_bytes == 0) continue;
      const auto width = static_cast<std::size_t>(static_cast<double>(bucket.tx_bytes) /
                                                  static_cast<double>(most) * kBarWidth);
      rows += fmt::format("    {}  {:>11} sent  {:>11} received  {}\n", At(bucket.from_ns),
                          FormatByteSize(bucket.tx_bytes), FormatByteSize(bucket.rx_bytes),
                          std::string(width, '#'));
    }
    if (!rows.empty()) out += "Bytes over time:\n\n" + rows + "\n";
  }

  // Four blanks before each line: nothing in it ends that.
  void operator()(const Verbatim& verbatim) {
    std::string_view text = verbatim.text;
    while (!text.empty()) {
      out += "    " + EscapeText(NextLine(&text)) + "\n";
    }
    out += "\n";
  }
};

}  // namespace

std::string WriteMarkdown(const Outline& outline) {
  Writer writer;
  writer.out = "# " + Escaped(outline.title) + "\n\n" + Line(outline.subtitle) + "\n\n";
  for (const Section& section : outline.sections) {
    writer.out += "## " + Escaped(section.title) + "\n\n";
    for (const Block& block : section.blocks) std::visit(writer, block);
  }
  return std::move(writer.out);
}

}  // namespace culprit::report
