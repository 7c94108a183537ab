// SPDX-License-Identifier: Apache-2.0
#include <spdlog/fmt/fmt.h>

#include <CLI/CLI.hpp>

#include "collector/cli/commands/commands.h"
#include "collector/cli/json.h"
#include "collector/detect/rules.h"

namespace culprit::cli {
namespace {

std::string AttackOf(const Rule& rule) {
  std::string text;
  for (const char* id : rule.attack_ids) {
    if (id != nullptr) text += (text.empty() ? "" : ", ") + std::string(id);
  }
  return text;
}

std::string AsJson(const Rule& rule) {
  return fmt::format(
             R"({{"rule":{},"version":{},"title":{},"what":{},"false_positives":{},"sources":{},"attack":{}}})",
             JsonString(rule.name), rule.version, JsonString(rule.title), JsonString(rule.what),
             JsonString(rule.wrong), JsonString(rule.sources), JsonString(AttackOf(rule))) +
         "\n";
}

int RunExplain(Session& session, const std::string& name) {
  if (name.empty()) {
    for (const Rule& rule : AllRules()) {
      session.Print(session.json() ? AsJson(rule)
                                   : fmt::format("{:<13}{}\n", rule.name, rule.title));
    }
    return kExitOk;
  }
  const Rule& rule = RuleOf(name);
  if (*rule.name == '\0')
    return session.Fail(
        InvalidArgument("there is no rule of that name; `culprit explain` lists them"));
  if (session.json()) {
    session.Print(AsJson(rule));
    return kExitOk;
  }
  session.Print(fmt::format(
      "{}: {} (version {}, ATT&CK {})\n\n{}\n\nWhen it is wrong: {}\nSources: {}\nThresholds: "
      "[detect.*] in "
      "collector.toml; `culprit finding ID` shows them beside what was counted.\nWeights: two points "
      "raise the severity by a level, two below zero lower it. +2: an executable that is deleted, "
      "in memory only or where anybody may write; under a web server; a session by password from a "
      "public address, or after failed logins. +1: under sshd or cron; packets of its own making; a "
      "program, region or destination that is new to the host; outside [detect.hours]. -1: a "
      "program (no shell, interpreter or tool) or destinations that the host has used for long. "
      "Whether a program is of a package is not known and weighs nothing.\n",
      rule.name, rule.title, rule.version, AttackOf(rule), rule.what, rule.wrong, rule.sources));
  return kExitOk;
}

}  // namespace

Command AddExplain(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("explain", "What a rule of the detectors does, and when it is wrong");
  const auto name = std::make_shared<std::string>();
  command->add_option("RULE", *name, "Name of the rule; without it, all of them");
  command->footer(
      "Needs no collector.\n\nExamples:\n  culprit explain\n  culprit explain ssh-relay\n");
  return {command, [name](Session& session) { return RunExplain(session, *name); }};
}

}  // namespace culprit::cli
