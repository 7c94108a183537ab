// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "collector/cli/views.h"

namespace culprit::cli {
namespace {

std::string AnswersOf(const v1::DnsRow& row) {
  std::string text;
  for (const std::string& answer : row.answers()) text += (text.empty() ? "" : " ") + answer;
  return text.empty() ? row.result() : text;
}

// Other questions are not this one's: they stand apart.
std::string AskedOf(const v1::DnsRow& row) {
  const std::string asked = FormatCount(row.questions());
  return row.suppressed() == 0 ? asked : asked + " +" + FormatCount(row.suppressed());
}

std::string AskedBy(const v1::DnsRow& row) {
  if (!row.command_line().empty()) return row.command_line();
  return row.comm().empty() ? "unknown process" : row.comm();
}

}  // namespace

std::string RenderDns(const std::vector<v1::DnsRow>& rows, const View& view) {
  Table table({{"TIME"},
               {"HOST", false, 8, 2},
               {"PID", true},
               {"USER", false, 6, 3},
               {"TYPE"},
               {"NAME", false, 16},
               {"ASKED", true, 0, 4},
               {"ANSWER", false, 16},
               {"SERVER", false, 0, 5},
               {"COMMAND", false, 12}});
  for (const v1::DnsRow& row : rows) {
    const bool answered = row.result() == "NOERROR";
    table.Add({{ShortTime(row.at_ns(), view)},
               {row.host()},
               {row.pid() == 0 ? "-" : std::to_string(row.pid())},
               {row.user().empty() ? "-" : row.user()},
               {row.type()},
               {row.name()},
               {AskedOf(row)},
               {AnswersOf(row), answered ? Style::kPlain : Style::kWarning},
               {row.server()},
               {AskedBy(row)}});
  }
  return table.Render(view);
}

}  // namespace culprit::cli
