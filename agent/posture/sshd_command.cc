// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/sshd_command.h"

#include <algorithm>

#include "agent/posture/sshd_lexer.h"

namespace culprit {
namespace {

constexpr std::string_view kWithArgument = "CEbcfghkopu";

// Words of a title, those of an -o put together again.
std::vector<std::string> TitleWords(std::string_view title) {
  std::vector<std::string> words;
  bool option = false;  // the words belong to an -o
  for (std::string& word : SplitBy(title, ' ')) {
    if (word.empty()) continue;
    if (option && word[0] != '-' && words.back() != "-o") {
      words.back() += " " + word;
      continue;
    }
    if (word[0] == '-') option = word.compare(0, 2, "-o") == 0;
    words.push_back(std::move(word));
  }
  return words;
}

}  // namespace

SshdParseOptions OptionsOfCommand(const std::vector<std::string>& command) {
  SshdParseOptions options;
  for (std::size_t i = 1; i < command.size(); ++i) {
    const std::string& word = command[i];
    if (word.size() < 2 || word[0] != '-') break;
    for (std::size_t at = 1; at < word.size(); ++at) {
      const char letter = word[at];
      if (kWithArgument.find(letter) == std::string_view::npos) continue;
      std::string value = word.substr(at + 1);
      if (value.empty() && i + 1 < command.size()) value = command[++i];
      if (letter == 'f') options.path = value;
      if (letter == 'o') options.command_options.push_back(value);
      if (letter == 'p') options.command_ports.push_back(value);
      if (letter == 'h') options.command_host_keys.push_back(value);
      break;
    }
  }
  return options;
}

std::vector<std::string> SshdArguments(std::string_view cmdline) {
  constexpr std::string_view kTitle = "sshd: ";
  if (cmdline.substr(0, kTitle.size()) == kTitle) {
    cmdline.remove_prefix(kTitle.size());
    cmdline = cmdline.substr(0, cmdline.find('\0'));
    return TitleWords(cmdline.substr(0, cmdline.find(" [listener]")));
  }
  while (!cmdline.empty() && cmdline.back() == '\0') cmdline.remove_suffix(1);
  return SplitBy(cmdline, '\0');
}

}  // namespace culprit
