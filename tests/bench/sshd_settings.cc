// SPDX-License-Identifier: Apache-2.0
// What our parser makes of a configuration of sshd, for tests that hold it against sshd itself.
// Standard input: a line for each question, seven fields between tabs (configuration, working
// folder, user, host, address, local address, local port). Answer: one line of JSON.
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "agent/posture/disk_tree.h"
#include "agent/posture/sshd_config.h"
#include "agent/posture/sshd_lexer.h"
#include "common/file.h"

using namespace culprit;  // NOLINT(google-build-using-namespace)

namespace {

nlohmann::json Problem(const ConfigProblem& problem) {
  return {{"file", problem.origin.file}, {"line", problem.origin.line}, {"what", problem.what}};
}

nlohmann::json Answer(FileTree& tree, const Accounts& accounts,
                      const std::vector<std::string>& question) {
  SshdParseOptions options;
  options.path = question[0];
  options.working_folder = question[1];
  options.strict_algorithms = true;
  const SshdConfig config = SshdConfig::Parse(tree, accounts, options);
  nlohmann::json answer = {{"error", nullptr}, {"dump", nlohmann::json::array()}};
  if (!config.problems().empty()) {
    answer["error"] = Problem(config.problems().front());
    return answer;
  }
  Connection connection{question[2], question[3], question[4], question[5],
                        std::atoi(question[6].c_str())};
  std::vector<ConfigProblem> problems;
  const Settings settings = config.Effective(connection, &problems);
  if (!problems.empty()) {
    answer["error"] = Problem(problems.front());
    return answer;
  }
  answer["dump"] = DumpSettings(settings);
  for (const auto& [keyword, values] : settings) {
    nlohmann::json origins = nlohmann::json::array();
    for (const SettingValue& value : values)
      origins.push_back({value.text, value.origin.file, value.origin.line});
    answer["winners"][keyword] = origins;
  }
  return answer;
}

}  // namespace

int main() {
  const auto tree = DiskTree::Open("/");
  const auto passwd = ReadWholeFile("/etc/passwd", 1 << 20),
             group = ReadWholeFile("/etc/group", 1 << 20);
  if (!tree || !passwd || !group) return 1;
  const Accounts accounts(*passwd, *group, nullptr);
  for (std::string line; std::getline(std::cin, line);) {
    const auto question = SplitBy(line, '\t');
    if (question.size() != 7) return 2;
    std::cout << Answer(**tree, accounts, question)
                     .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
              << std::endl;
  }
  return 0;
}
