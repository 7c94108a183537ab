// SPDX-License-Identifier: Apache-2.0
#include "common/completion.h"

#include <spdlog/fmt/fmt.h>

#include <cctype>
#include <utility>
#include <vector>

namespace culprit {
namespace {

struct OptionText {
  std::vector<std::string> names;  // with their dashes
  std::string description;
  bool takes_value = false;
  std::vector<std::string> values;  // if only these are allowed
};

struct CommandText {
  std::string path;  // "", "snapshot", "snapshot verify"
  std::vector<std::pair<std::string, std::string>> subcommands;  // name, description
  std::vector<OptionText> options;
  std::vector<std::string> words;  // that a positional argument is one of
};

// CLI11 says which values a check allows in the type's name only: "TEXT:{a,b}".
std::vector<std::string> AllowedValues(const std::string& type) {
  const std::size_t open = type.find('{');
  const std::size_t close = type.find('}', open == std::string::npos ? 0 : open);
  if (open == std::string::npos || close == std::string::npos) return {};
  std::vector<std::string> values;
  std::string value;
  for (const char c : type.substr(open + 1, close - open - 1) + ",") {
    if (c != ',') {
      value += c;
      continue;
    }
    values.push_back(value.substr(0, value.find("->")));
    value.clear();
  }
  return values;
}

void Collect(const CLI::App& app, const std::string& path, std::vector<CommandText>* commands) {
  CommandText command;
  command.path = path;
  for (const CLI::Option* option : app.get_options()) {
    OptionText text;
    for (const std::string& name : option->get_snames()) text.names.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) text.names.push_back("--" + name);
    text.values = AllowedValues(option->get_type_name());
    if (text.names.empty()) command.words = std::move(text.values);
    if (text.names.empty()) continue;
    text.description = option->get_description();
    text.takes_value = option->get_items_expected_max() > 0;
    command.options.push_back(std::move(text));
  }
  const auto all = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* next : all)
    command.subcommands.emplace_back(next->get_name(), next->get_description());
  commands->push_back(std::move(command));
  for (const CLI::App* next : all)
    Collect(*next, path.empty() ? next->get_name() : path + " " + next->get_name(), commands);
}

using Commands = std::vector<CommandText>;

// One line in single quotes. `escaped`: how the shell writes a quote inside.
std::string Quote(const std::string& text, const char* escaped = R"('\'')") {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += escaped;
    } else if (c == '\\') {
      quoted += '/';
    } else {
      quoted += std::isprint(static_cast<unsigned char>(c)) != 0 ? c : ' ';
    }
  }
  return quoted + "'";
}

std::string QuoteFish(const std::string& text) { return Quote(text, R"(\')"); }

std::string Join(const std::vector<std::string>& words, const char* between) {
  return fmt::format("{}", fmt::join(words, between));
}

std::string FunctionName(const std::string& program) {
  std::string name = "_";
  for (const char c : program) name += c == '-' ? '_' : c;
  return name;
}

// Patterns of a `case`: "COMMAND OPTION" of every option with a value, which the next word is.
std::string ValuePatterns(const Commands& commands, const char* between) {
  std::vector<std::string> patterns;
  for (const CommandText& command : commands) {
    for (const OptionText& option : command.options) {
      if (!option.takes_value) continue;
      for (const std::string& name : option.names)
        patterns.push_back(Quote(command.path + " " + name));
    }
  }
  return Join(patterns, between);
}

std::string PathPatterns(const Commands& commands, const char* between) {
  std::vector<std::string> patterns;
  for (const CommandText& command : commands) {
    if (!command.path.empty()) patterns.push_back(Quote(command.path));
  }
  return Join(patterns, between);
}

// bash and zsh: `at` becomes the command that the words before the cursor name.
std::string Walk(const Commands& commands) {
  return fmt::format(R"(  local at='' word='' skip=''
  for word in "${{given[@]}}"; do
    if [[ -n $skip ]]; then skip=''; continue; fi
    case "$at $word" in
      {}) skip=1 ;;
    esac
    case "${{at:+$at }}$word" in
      {}) at="${{at:+$at }}$word" ;;
    esac
  done
)",
                     ValuePatterns(commands, " | \\\n      "), PathPatterns(commands, " | "));
}

// The arms of `case "$at $prev"` for options that allow some values only.
std::string ValueArms(const Commands& commands, const char* arm) {
  std::string text;
  for (const CommandText& command : commands) {
    for (const OptionText& option : command.options) {
      if (option.values.empty()) continue;
      for (const std::string& name : option.names) {
        text += fmt::format(fmt::runtime(arm), Quote(command.path + " " + name),
                            Join(option.values, " "));
      }
    }
  }
  return text;
}

std::string Bash(const Commands& commands, const std::string& program) {
  std::string options;
  std::string words;
  for (const CommandText& command : commands) {
    std::vector<std::string> names;
    for (const OptionText& option : command.options)
      names.insert(names.end(), option.names.begin(), option.names.end());
    options += fmt::format("          {}) answers={} ;;\n", Quote(command.path),
                           Quote(Join(names, " ")));
    names = command.words;
    for (const auto& [name, description] : command.subcommands) names.push_back(name);
    if (!names.empty()) {
      words += fmt::format("          {}) answers={} ;;\n", Quote(command.path),
                           Quote(Join(names, " ")));
    }
  }
  return fmt::format(R"(# bash completion of {0}, made by `{0} completion bash`.
{1}() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} answers=''
  local -a given=("${{COMP_WORDS[@]:1:COMP_CWORD-1}}")
{2}  COMPREPLY=()
  case "$at $prev" in
{3}    {4}) return ;;
    *)
      if [[ $cur == -* ]]; then
        case $at in
{5}        esac
      else
        case $at in
{6}        esac
      fi
      ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$answers" -- "$cur")
}}
complete -o default -F {1} {0}
)",
                     program, FunctionName(program), Walk(commands),
                     ValueArms(commands, "    {}) answers='{}' ;;\n"),
                     ValuePatterns(commands, " | \\\n    "), options, words);
}

std::string Zsh(const Commands& commands, const std::string& program) {
  std::string options;
  std::string words;
  for (const CommandText& command : commands) {
    std::string list;
    for (const OptionText& option : command.options) {
      for (const std::string& name : option.names)
        list += "\n            " + Quote(name + ":" + option.description);
    }
    options += fmt::format("          {}) answers=({}) ;;\n", Quote(command.path), list);
    list.clear();
    for (const std::string& word : command.words) list += " " + Quote(word);
    for (const auto& [name, description] : command.subcommands)
      list += "\n            " + Quote(name + ":" + description);
    if (!list.empty())
      words += fmt::format("          {}) answers=({}) ;;\n", Quote(command.path), list);
  }
  return fmt::format(R"(#compdef {0}
# zsh completion of {0}, made by `{0} completion zsh`.
{1}() {{
  local cur=${{words[CURRENT]}} prev=${{words[CURRENT-1]}}
  local -a given answers
  given=("${{(@)words[2,CURRENT-1]}}")
{2}  case "$at $prev" in
{3}    {4}) _files ;;
    *)
      if [[ $cur == -* ]]; then
        case $at in
{5}        esac
        _describe -o option answers
      else
        case $at in
{6}        esac
        if (( $#answers )); then _describe command answers; else _files; fi
      fi
      ;;
  esac
}}
{1} "$@"
)",
                     program, FunctionName(program), Walk(commands),
                     ValueArms(commands, "    {}) compadd -- {} ;;\n"),
                     ValuePatterns(commands, " | \\\n    "), options, words);
}

std::string FishOption(const OptionText& option) {
  std::string text;
  for (const std::string& name : option.names)
    text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  if (!option.values.empty()) {
    text += fmt::format(" -x -a {}", QuoteFish(Join(option.values, " ")));
  } else if (option.takes_value) {
    text += " -r -F";
  }
  return text + " -d " + QuoteFish(option.description);
}

std::string Fish(const Commands& commands, const std::string& program) {
  const std::string name = "_" + FunctionName(program) + "_at";
  std::string text = fmt::format(R"(# fish completion of {0}, made by `{0} completion fish`.
function {1} -d 'Whether the words before the cursor name this command'
    set -l given (commandline -opc)
    set -e given[1]
    set -l at ''
    set -l skip ''
    for word in $given
        if test -n "$skip"
            set skip ''
            continue
        end
        switch "$at $word"
            case {2}
                set skip 1
        end
        switch (string trim -- "$at $word")
            case {3}
                set at (string trim -- "$at $word")
        end
    end
    test "$at" = "$argv[1]"
end
complete -c {0} -f
)",
                                 program, name, ValuePatterns(commands, " "),
                                 PathPatterns(commands, " "));
  for (const CommandText& command : commands) {
    const std::string here =
        fmt::format("complete -c {} -n \"{} {}\"", program, name, QuoteFish(command.path));
    for (const auto& [sub, description] : command.subcommands)
      text += fmt::format("{} -a {} -d {}\n", here, sub, QuoteFish(description));
    if (!command.words.empty()) text += fmt::format("{} -a '{}'\n", here, Join(command.words, " "));
    if (command.subcommands.empty() && command.words.empty()) text += here + " -F\n";
    for (const OptionText& option : command.options) text += here + FishOption(option) + "\n";
  }
  return text;
}

}  // namespace

CLI::App* AddCompletion(CLI::App& app, std::string* shell) {
  CLI::App* command = app.add_subcommand(
      "completion", "Print what a shell needs to complete commands and options");
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->footer("The packages have installed it already. Else:\n  source <(" + app.get_name() +
                  " completion bash)");
  return command;
}

std::string CompletionScript(const CLI::App& app, const std::string& program,
                             const std::string& shell) {
  Commands commands;
  Collect(app, "", &commands);
  if (shell == "zsh") return Zsh(commands, program);
  if (shell == "fish") return Fish(commands, program);
  return Bash(commands, program);
}

}  // namespace culprit
