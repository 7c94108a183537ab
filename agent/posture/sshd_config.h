// SPDX-License-Identifier: Apache-2.0
// SshdConfig: what a configuration of sshd means, for a connection, with the line that decided each
// value. It follows OpenSSH 9.2 as Debian 12 has it, and knows the keywords of later versions by
// name. tests/bench/sshd_differential.py holds it against `sshd -T -C`.
//
//   files, command line --Parse--> SshdConfig --Effective(connection)--> Settings
//
// Stage: posture, pure behind FileTree. Thread: values. Total and bounded: 1 MiB a file, 4 MiB and
// 100,000 lines in all; what goes beyond is a problem, and so is everything that sshd would refuse.
#ifndef CULPRIT_AGENT_POSTURE_SSHD_CONFIG_H_
#define CULPRIT_AGENT_POSTURE_SSHD_CONFIG_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/posture/accounts.h"
#include "agent/posture/file_tree.h"

namespace culprit {

// Where a value comes from. Line 0 with an empty file: sshd's own default; "command line": -o, -p.
struct Origin {
  std::string file;
  std::uint32_t line = 0;
  bool IsDefault() const { return file.empty(); }
  std::string ToString() const;  // "/etc/ssh/sshd_config:12", "default"
  friend bool operator==(const Origin&, const Origin&) = default;
};

struct SettingValue {
  std::string text;  // as `sshd -T` prints it
  Origin origin;
};
// One value, or several for what adds up (port, hostkey, allowusers, …).
using Setting = std::vector<SettingValue>;
// By keyword in lower case.
using Settings = std::map<std::string, Setting, std::less<>>;

struct ConfigProblem {
  enum class Kind : std::uint8_t {
    kFatal,    // sshd ends here
    kError,    // sshd goes on to the end of the file, and ends then
    kSkew,     // an algorithm or keyword that 9.2 does not know and a later version may
    kBounded,  // more than is read
  };
  Kind kind = Kind::kFatal;
  Origin origin;
  std::string what;
};

// A Match line, as written.
struct MatchBlock {
  Origin origin;
  std::string text;
};

// A line that sets something, whether it wins or not.
struct ConfigLine {
  std::string keyword;  // canonical, lower case
  std::string value;    // canonical; of lists the whole
  Origin origin;
  int match = -1;  // index of the block it stands in
};

struct Connection {
  std::string user, host, address, local_address;
  int local_port = 22;
};

struct SshdParseOptions {
  std::string path = "/etc/ssh/sshd_config";
  std::string include_folder = "/etc/ssh";
  std::string working_folder = "/";          // what relative paths are relative to
  std::vector<std::string> command_options;  // each -o
  std::vector<std::string> command_ports;    // each -p
  std::vector<std::string> command_host_keys;
  // Unknown algorithms end the parse, as in sshd 9.2; else they are skew.
  bool strict_algorithms = false;
};

struct ConfigFile {
  std::string path;
  std::string bytes;  // lines without leading blanks, as sshd keeps them
};

class SshdConfig {
 public:
  // `tree` and `accounts` are used during the call only; `accounts` is copied.
  static SshdConfig Parse(FileTree& tree, const Accounts& accounts, SshdParseOptions options);

  // What sshd decides for this connection; `problems` gets what it would refuse only then.
  Settings Effective(const Connection& connection, std::vector<ConfigProblem>* problems) const;
  // Before any Match.
  const Settings& global() const { return global_; }
  const std::vector<ConfigProblem>& problems() const { return problems_; }
  bool Refused() const;  // sshd would not start with it
  const std::vector<MatchBlock>& matches() const { return matches_; }
  const std::vector<ConfigLine>& lines() const { return lines_; }
  // Every file that was read, in order, once.
  std::vector<std::string> Files() const;
  const std::string& path() const { return options_.path; }
  // The line as it stands in its file, without blanks around it; "" for defaults.
  std::string LineAt(const Origin& origin) const;
  // The first line of the main file that says something: its keyword in lower case, a blank, the
  // rest.
  std::string FirstStatement() const;

 private:
  friend class SshdParser;
  struct Include {
    std::string selector;
    std::shared_ptr<const ConfigFile> file;  // nullptr: nothing matched
  };

  SshdParseOptions options_;
  Accounts accounts_;
  ConfigFile main_;
  std::vector<Include> includes_;
  Settings global_;
  std::vector<ConfigProblem> problems_;
  std::vector<MatchBlock> matches_;
  std::vector<ConfigLine> lines_;
};

// The first value of a keyword, "" if there is none.
const SettingValue& ValueOf(const Settings& settings, std::string_view keyword);
// All values in one line.
std::string JoinedValue(const Setting& setting);
// The lines that `sshd -T` prints for these settings, sorted.
std::vector<std::string> DumpSettings(const Settings& settings);

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_SSHD_CONFIG_H_
