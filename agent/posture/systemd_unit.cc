// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/systemd_unit.h"

#include <map>

#include "agent/posture/sshd_lexer.h"
#include "common/ascii.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{64} << 10;
constexpr std::size_t kMaxDropIns = 64;
// Earlier ones win.
constexpr std::string_view kFolders[] = {"/etc/systemd/system", "/run/systemd/system",
                                         "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
                                         "/lib/systemd/system"};
constexpr std::string_view kBlanks = " \t\r";
using Variables = std::map<std::string, std::string, std::less<>>;

// Each line, those that end in a backslash together with the next.
template <class Take>
void EachLine(std::string_view text, const Take& take) {
  std::string whole;
  std::uint32_t line = 0, first = 1;
  while (!text.empty()) {
    ++line;
    std::string_view part = NextLine(&text);
    if (whole.empty()) first = line;
    const bool goes_on = !part.empty() && part.back() == '\\';
    whole += goes_on ? part.substr(0, part.size() - 1) : part;
    if (goes_on && !text.empty()) {
      whole += ' ';
      continue;
    }
    const std::string_view trimmed = Trim(whole, kBlanks);
    if (!trimmed.empty() && trimmed[0] != '#' && trimmed[0] != ';') take(trimmed, first);
    whole.clear();
  }
}

void ReadUnitFile(FileTree& tree, const std::string& path, SystemdUnit* unit) {
  const auto content = tree.Read(path, kMaxFileBytes);
  if (!content) return;
  unit->files.push_back(path);
  std::string section;
  EachLine(content->bytes, [&](std::string_view line, std::uint32_t number) {
    if (line[0] == '[') {
      section = std::string(line.substr(1, line.find(']') - 1));
      return;
    }
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) return;
    unit->lines.push_back({section,
                           std::string(Trim(line.substr(0, equals), kBlanks)),
                           std::string(Trim(line.substr(equals + 1), kBlanks)),
                           {path, number}});
  });
}

std::vector<UnitLine> Assigned(const SystemdUnit& unit, std::string_view section,
                               std::string_view key) {
  std::vector<UnitLine> lines;
  for (const UnitLine& line : unit.lines) {
    if (line.section != section || line.key != key) continue;
    if (line.value.empty())
      lines.clear();
    else
      lines.push_back(line);
  }
  return lines;
}

// Drop-ins by name, each from the first folder that has it.
std::vector<std::string> DropIns(FileTree& tree, const std::string& name) {
  std::map<std::string, std::string> paths;
  for (const std::string_view folder : kFolders) {
    const std::string inside = std::string(folder) + "/" + name + ".d";
    const auto list = tree.List(inside, kMaxDropIns);
    if (!list) continue;
    for (const std::string& file : list->names) {
      if (file.size() <= 5 || !file.ends_with(".conf")) continue;
      std::string path = inside;
      paths.try_emplace(file, path.append("/").append(file));
    }
  }
  std::vector<std::string> sorted;
  sorted.reserve(paths.size());
  for (auto& [file, path] : paths) sorted.push_back(std::move(path));
  return sorted;
}

void Assign(std::string_view text, Variables* variables) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) return;
  (*variables)[std::string(Trim(text.substr(0, equals), kBlanks))] =
      std::string(text.substr(equals + 1));
}

std::string Unquoted(std::string_view value) {
  value = Trim(value, kBlanks);
  if (value.size() >= 2 && (value[0] == '"' || value[0] == '\'') && value.back() == value[0])
    value = value.substr(1, value.size() - 2);
  return std::string(value);
}

Variables EnvironmentOf(FileTree& tree, const SystemdUnit& unit) {
  Variables variables;
  for (const UnitLine& line : Assigned(unit, "Service", "Environment"))
    for (const std::string& word : SplitArguments(line.value).value_or(std::vector<std::string>{}))
      Assign(word, &variables);
  for (const UnitLine& line : Assigned(unit, "Service", "EnvironmentFile")) {
    const std::string path = line.value.substr(line.value[0] == '-' ? 1 : 0);
    const auto content = tree.Read(path, kMaxFileBytes);
    if (!content) continue;
    EachLine(content->bytes, [&](std::string_view text, std::uint32_t) {
      const std::size_t equals = text.find('=');
      if (equals == std::string_view::npos) return;
      variables[std::string(Trim(text.substr(0, equals), kBlanks))] =
          Unquoted(text.substr(equals + 1));
    });
  }
  return variables;
}

// ${NAME} inside a word; a word that is $NAME alone is several.
std::string Expand(const std::string& word, const Variables& variables) {
  std::string text;
  for (std::size_t at = 0; at < word.size(); ++at) {
    if (word.compare(at, 2, "%%") == 0) {
      text += word[at++];
      continue;
    }
    const std::size_t end = word.compare(at, 2, "${") == 0 ? word.find('}', at) : std::string::npos;
    if (end == std::string::npos) {
      text += word[at];
      continue;
    }
    const auto it = variables.find(word.substr(at + 2, end - at - 2));
    if (it != variables.end()) text += it->second;
    at = end;
  }
  return text;
}

}  // namespace

UnitLine SystemdUnit::ExecStart() const {
  const auto starts = Assigned(*this, "Service", "ExecStart");
  return starts.empty() ? UnitLine{} : starts.back();
}

std::vector<UnitLine> SystemdUnit::Listens() const {
  return Assigned(*this, "Socket", "ListenStream");
}

std::optional<SystemdUnit> FindUnit(FileTree& tree, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    for (const std::string_view folder : kFolders) {
      const std::string path = std::string(folder) + "/" + name;
      if (!tree.Stat(path)) continue;
      SystemdUnit unit;
      unit.name = name;
      unit.path = path;
      ReadUnitFile(tree, path, &unit);
      for (const std::string& drop_in : DropIns(tree, name)) ReadUnitFile(tree, drop_in, &unit);
      return unit;
    }
  }
  return std::nullopt;
}

std::vector<std::string> CommandOf(FileTree& tree, const SystemdUnit& unit) {
  const std::string line = unit.ExecStart().value;
  const auto words = SplitArguments(TrimFront(line, "@-:+!"));
  if (!words) return {};
  const Variables variables = EnvironmentOf(tree, unit);
  std::vector<std::string> command;
  for (const std::string& word : *words) {
    const bool several = word.size() > 1 && word[0] == '$' && word[1] != '{';
    if (!several) {
      command.push_back(Expand(word, variables));
      continue;
    }
    const auto it = variables.find(word.substr(1));
    if (it == variables.end()) continue;
    for (std::string& part : SplitArguments(it->second).value_or(std::vector<std::string>{}))
      command.push_back(std::move(part));
  }
  return command;
}

}  // namespace culprit
