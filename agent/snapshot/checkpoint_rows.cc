// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot/checkpoint_rows.h"

#include <algorithm>
#include <iterator>

#include "common/ascii.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxModules = 4'096;
constexpr std::size_t kMaxText = 4'096;

std::string Line(const Row& row) { return row.dump(-1, ' ', false, Row::error_handler_t::replace); }

Row Head(std::string_view at, std::string_view kind, std::size_t rows) {
  Row head;
  head["at"] = at;
  head["checkpoint"] = kind;
  head["rows"] = rows;
  return head;
}

}  // namespace

std::string ProcessLine(const CheckpointProcess& process) {
  Row row;
  row["process"] = process.pid;
  row["start_boot_ns"] = process.start_ns;
  row["exec"] = process.exec_id;
  row["parent"] = process.parent_pid;
  row["uid"] = process.uid;
  row["euid"] = process.euid;
  row["login_uid"] = process.login_uid;
  row["session"] = process.session_id;
  row["comm"] = RowText(process.comm);
  row["exe"] = RowText(std::string_view(process.exe).substr(0, kMaxText));
  if (!process.sha256.empty()) row["sha256"] = process.sha256;
  if (process.deleted) row["deleted"] = true;
  if (process.memfd) row["memfd"] = true;
  return Line(row);
}

std::string SocketLine(const Row& socket, std::uint32_t pid) {
  Row row;
  for (const char* name : {"protocol", "state", "local", "local_port", "remote", "remote_port",
                           "uid", "cookie", "inode", "type", "interface"}) {
    if (const auto at = socket.find(name); at != socket.end())
      row[row.empty() ? "socket" : name] = *at;
  }
  if (pid != 0) row["pid"] = pid;
  return Line(row);
}

std::string ProgramLine(std::uint32_t id, std::uint32_t type, std::string_view name,
                        std::string_view tag, std::uint32_t uid) {
  Row row;
  row["bpf_program"] = id;
  row["type"] = type;
  row["name"] = RowText(name);
  row["tag"] = tag;
  row["uid"] = uid;
  return Line(row);
}

// name, size, references, users, state, address, and a taint in brackets where there is one.
std::vector<std::string> ModuleLines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty() && lines.size() < kMaxModules) {
    std::string_view line = NextLine(&text);
    if (line.empty()) continue;
    Row row;
    row["module"] = RowText(NextWord(&line, " ").substr(0, kMaxText));
    row["size"] = RowText(NextWord(&line, " ").substr(0, kMaxText));
    const std::size_t taint = line.rfind('(');
    if (taint != std::string_view::npos) row["taint"] = RowText(line.substr(taint, 64));
    lines.push_back(Line(row));
  }
  return lines;
}

void Normalise(CheckpointRows* rows) {
  std::sort(rows->begin(), rows->end());
  rows->erase(std::unique(rows->begin(), rows->end()), rows->end());
}

CheckpointDifference Compare(const CheckpointRows& before, const CheckpointRows& now) {
  CheckpointDifference difference;
  std::set_difference(now.begin(), now.end(), before.begin(), before.end(),
                      std::back_inserter(difference.came));
  std::set_difference(before.begin(), before.end(), now.begin(), now.end(),
                      std::back_inserter(difference.went));
  return difference;
}

std::string FormatFull(std::string_view at, const CheckpointRows& rows, bool cut) {
  Row head = Head(at, "full", rows.size());
  if (cut) head["cut"] = true;
  std::string text = Line(head) + "\n";
  for (const std::string& row : rows) text += row + "\n";
  return text;
}

std::string FormatDifference(std::string_view at, const CheckpointDifference& difference) {
  std::string text =
      Line(Head(at, "difference", difference.came.size() + difference.went.size())) + "\n";
  for (const std::string& row : difference.went) text += "{\"-\":" + row + "}\n";
  for (const std::string& row : difference.came) text += "{\"+\":" + row + "}\n";
  return text;
}

}  // namespace culprit
