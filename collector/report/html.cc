// SPDX-License-Identifier: Apache-2.0
// The page. Whatever a host said is text: it can neither end its element nor steer a terminal that
// shows the source.
#include <fmt/format.h>

#include "collector/report/outline.h"
#include "common/text.h"

namespace culprit::report {
namespace {

constexpr const char* kHead =
    R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<title>{}</title>
<style>
:root {{ color-scheme: light dark; --ink: #1d2329; --dim: #5b6670; --line: #d5dbe0; --page: #fff; --mark: #fde8e4; --sent: #c2410c; --received: #2563a8; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e3e8ec; --dim: #9aa6b0; --line: #39424a; --page: #14191d; --mark: #4a2019; --sent: #fb923c; --received: #7cb2ea; }} }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 1100px; margin: 2em auto; padding: 0 1em; }}
h1 {{ margin-bottom: .2em; }} h2 {{ margin-top: 2em; border-bottom: 1px solid var(--line); }}
.dim {{ color: var(--dim); }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; margin: .8em 0; }}
th, td {{ text-align: left; vertical-align: top; padding: .25em .7em .25em 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }}
th.n, td.n {{ text-align: right; white-space: nowrap; }}
pre, .tree {{ font: 13px/1.5 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }}
pre {{ border: 1px solid var(--line); padding: .8em; }}
.tree div.mark {{ background: var(--mark); font-weight: bold; }}
svg {{ width: 100%; height: auto; }} svg text {{ font: 11px system-ui, sans-serif; fill: var(--dim); }}
.axis {{ stroke: var(--line); }} .sent {{ fill: var(--sent); }} .received {{ fill: var(--received); }}
@media print {{ body {{ max-width: none; }} }}
</style>
</head>
<body>
)";

std::string Escaped(std::string_view text, bool lines = false) {
  std::string safe;
  if (lines) {
    // Line ends of a text of ours stay; each line is escaped by itself.
    while (true) {
      const std::size_t end = text.find('\n');
      safe += EscapeText(text.substr(0, end));
      if (end == std::string_view::npos) break;
      safe += '\n';
      text.remove_prefix(end + 1);
    }
  } else {
    safe = EscapeText(text);
  }
  std::string out;
  for (const char c : safe) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

struct Writer {
  std::string out;

  void operator()(const Paragraph& paragraph) { out += "<p>" + Escaped(paragraph.text) + "</p>\n"; }

  void operator()(const Grid& grid) {
    const auto cell = [&](const char* tag, std::size_t column, const std::string& text) {
      const bool number = column < grid.numbers.size() && grid.numbers[column];
      out += fmt::format("<{0}{1}>{2}</{0}>", tag, number ? R"( class="n")" : "", Escaped(text));
    };
    out += "<div class=\"wide\"><table>\n<tr>";
    for (std::size_t i = 0; i < grid.head.size(); ++i) cell("th", i, grid.head[i]);
    out += "</tr>\n";
    for (const auto& row : grid.rows) {
      out += "<tr>";
      for (std::size_t i = 0; i < row.size(); ++i) cell("td", i, row[i]);
      out += "</tr>\n";
    }
    out += "</table></div>\n";
  }

  void operator()(const Items& items) {
    const char* tag = items.numbered ? "ol" : "ul";
    out += fmt::format("<{}>\n", tag);
    for (const std::string& item : items.items) out += "<li>" + Escaped(item) + "</li>\n";
    out += fmt::format("</{}>\n", tag);
  }

  void operator()(const Tree& tree) {
    out += "<div class=\"tree\">\n";
    for (const Tree::Node& node : tree.nodes)
      out += fmt::format("<div{} style=\"padding-left:{}em\">{}</div>\n",
                         node.marked ? R"( class="mark")" : "", node.depth * 2, Escaped(node.text));
    out += "</div>\n";
  }

  void operator()(const Chart& chart) {
    const std::string svg = ChartSvg(chart);
    if (svg.empty()) return;
    out += svg + "<p class=\"dim\">Bytes over time: sent in orange, received in blue.</p>\n";
  }

  void operator()(const Verbatim& verbatim) {
    out += "<pre>" + Escaped(verbatim.text, true) + "</pre>\n";
  }
};

}  // namespace

std::string WriteHtml(const Outline& outline) {
  Writer writer;
  writer.out = fmt::format(fmt::runtime(kHead), Escaped(outline.title));
  writer.out += "<h1>" + Escaped(outline.title) + "</h1>\n<p class=\"dim\">" +
                Escaped(outline.subtitle) + "</p>\n";
  for (const Section& section : outline.sections) {
    writer.out += "<h2>" + Escaped(section.title) + "</h2>\n";
    for (const Block& block : section.blocks) std::visit(writer, block);
  }
  return std::move(writer.out) + "</body>\n</html>\n";
}

}  // namespace culprit::report
