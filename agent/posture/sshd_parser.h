// SPDX-License-Identifier: Apache-2.0
// SshdParser: one pass over a configuration, as sshd makes them: the first at its start, where
// Match blocks are checked only, and another for a connection, where what stands outside them is
// skipped. Inside agent/posture only; sshd_config.h has the interface. Thread: one caller, one use.
#ifndef CULPRIT_AGENT_POSTURE_SSHD_PARSER_H_
#define CULPRIT_AGENT_POSTURE_SSHD_PARSER_H_

#include <string>
#include <vector>

#include "agent/posture/sshd_config.h"
#include "agent/posture/sshd_keywords.h"
#include "agent/posture/sshd_lexer.h"

namespace culprit {

// The arguments of a line, taken from the front.
class Arguments {
 public:
  explicit Arguments(std::vector<std::string> all) : all_(std::move(all)) {}
  const std::string* Next() { return at_ < all_.size() ? &all_[at_++] : nullptr; }
  const std::string* Peek() const { return at_ < all_.size() ? &all_[at_] : nullptr; }
  std::size_t left() const { return all_.size() - at_; }
  void Consume() { at_ = all_.size(); }

 private:
  std::vector<std::string> all_;
  std::size_t at_ = 0;
};

class SshdParser {
 public:
  // The first pass: reads files from `tree`, and writes matches and lines into `config`.
  SshdParser(SshdConfig* config, FileTree* tree) : config_(config), first_(config), tree_(tree) {}
  // A pass for a connection over what the first one has read.
  SshdParser(const SshdConfig& config, const Connection& connection)
      : config_(&config), connection_(&connection) {}

  void CommandLine();
  void Run();
  // What sshd checks once it has read everything.
  void CheckWhole();

  Settings& settings() { return settings_; }
  std::vector<ConfigProblem>& problems() { return problems_; }
  bool stopped() const { return stopped_; }
  std::vector<SshdConfig::Include>& includes() { return includes_; }

 private:
  struct Frame {
    bool match_only = false;  // until the first Match nothing counts: it was seen by the first pass
    bool never_match = false;  // included from a block that does not match
    int depth = 0;
  };
  struct Line {
    const Keyword* keyword = nullptr;
    std::string rest;  // behind the keyword, as written
    Arguments arguments{{}};
  };

  void File(const ConfigFile& file, Frame frame);
  bool OneLine(std::string text, Frame& frame);
  bool Apply(Line& line, Frame& frame);
  bool ApplyValue(Line& line);
  bool ApplyList(Line& line);
  bool ApplyOdd(Line& line);
  bool IncludeFiles(Line& line, Frame& frame);
  bool IncludeOne(const std::string& selector, Frame& frame);
  void EnterMatch(Line& line, Frame& frame);
  int MatchLine(WordReader& words, const Connection* connection);
  int Criterion(const std::string& name, const std::string& argument, const Connection* connection);

  bool Algorithms(Line& line);
  bool Choice(Line& line);
  bool Path(Line& line);
  bool Port(Line& line);
  bool Listen(Line& line);
  bool Forwards(Line& line);
  bool Methods(Line& line);
  bool Environment(Line& line);
  bool SubsystemLine(Line& line);
  bool Startups(Line& line);
  bool Sources(Line& line);
  bool Rekey(Line& line);
  bool Quality(Line& line);
  bool KeyOptions(Line& line);
  bool Timeouts(Line& line);
  bool Verbosity(Line& line);
  bool RestOfLine(Line& line);
  bool NameOf(Line& line);

  // One required argument; nullptr after Fatal.
  const std::string* Need(Line& line);
  // The first value wins.
  void Offer(const std::string& keyword, std::string text);
  // The newest value wins.
  void Replace(const std::string& keyword, std::string text);
  // Values add up.
  void Append(const std::string& keyword, std::string text);
  bool IsSet(std::string_view keyword) const { return settings_.find(keyword) != settings_.end(); }
  void Note(const std::string& keyword, std::string text);
  std::string Absolute(const std::string& path) const;
  std::string ExpandTilde(const std::string& path);
  bool Fatal(std::string what);
  bool Bad(std::string what);
  void Skew(std::string what);

  const SshdConfig* config_;
  SshdConfig* first_ = nullptr;  // config_ in the first pass
  FileTree* tree_ = nullptr;
  const Connection* connection_ = nullptr;
  Settings settings_;
  std::vector<ConfigProblem> problems_;
  std::vector<SshdConfig::Include> includes_;
  Origin origin_;
  bool active_ = true;
  bool command_line_ = false;
  bool ports_from_command_line_ = false;
  bool stopped_ = false;
  int match_ = -1;
  std::size_t bytes_ = 0, lines_ = 0, files_ = 0;
};

std::optional<ConfigFile> LoadConfigFile(FileTree& tree, const std::string& path,
                                         std::vector<ConfigProblem>* problems);

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_SSHD_PARSER_H_
