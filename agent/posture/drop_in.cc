// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/drop_in.h"

#include <algorithm>

#include "agent/posture/file_tree.h"

namespace culprit {
namespace {

constexpr std::string_view kFolder = "/etc/ssh/sshd_config.d";

}  // namespace

DropIn DropInFor(const SshdConfig& config) {
  const std::string folder(kFolder);
  std::string name = "00-culprit.conf";
  const auto files = config.Files();
  for (const std::string& file : files) {
    if (ParentOf(file) != folder || BaseOf(file) >= name || BaseOf(file) == "00-culprit.conf")
      continue;
    name = "00--culprit.conf";  // there is another 00- that sorts before ours
  }
  DropIn drop{folder + "/" + name, ""};
  const bool first = config.FirstStatement() == "include /etc/ssh/sshd_config.d/*.conf";
  if (!first)
    drop.note = "make \"Include " + folder + "/*.conf\" the first line of " + config.path();
  return drop;
}

std::string AllFixes(const std::vector<PostureFinding>& findings) {
  std::vector<std::string> plain, blocks;
  for (const PostureFinding& finding : findings) {
    if (finding.severity == Severity::kInfo) continue;
    const std::string& text = finding.fix.text;
    auto& list = text.compare(0, 6, "Match ") == 0 ? blocks : plain;
    if (!text.empty() && std::find(list.begin(), list.end(), text) == list.end())
      list.push_back(text);
  }
  std::string all;
  for (const auto* list : {&plain, &blocks})
    for (const std::string& text : *list) all += text + "\n";
  return all;
}

}  // namespace culprit
