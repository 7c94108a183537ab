// SPDX-License-Identifier: Apache-2.0
// What a shell needs to complete the commands and options of a program, made of its CLI11
// description, so that it never says anything else than --help does.
//
// Stage: common, pure. Thread: any. The texts are scripts for the package to install; they hold
// nothing from the machine that they are made on.
#ifndef CULPRIT_COMMON_COMPLETION_H_
#define CULPRIT_COMMON_COMPLETION_H_

#include <CLI/CLI.hpp>
#include <string>

namespace culprit {

// Adds the subcommand `completion SHELL`; the program prints CompletionScript() if it was given.
// `shell` receives bash, zsh or fish and must outlive the parsing.
CLI::App* AddCompletion(CLI::App& app, std::string* shell);

// `program` is the name of the command; `shell` as AddCompletion() gives it.
std::string CompletionScript(const CLI::App& app, const std::string& program,
                             const std::string& shell);

}  // namespace culprit

#endif  // CULPRIT_COMMON_COMPLETION_H_
