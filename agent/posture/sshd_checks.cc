// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/sshd_checks.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "agent/posture/sshd_keywords.h"
#include "agent/posture/sshd_lexer.h"
#include "agent/posture/sshd_patterns.h"
#include "agent/posture/sshd_rows.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxContexts = 64;
constexpr std::size_t kMaxDeadLines = 100;

// A row that is weak by one and the same line, for how many contexts it may be.
struct Hit {
  const ConfigRow* row = nullptr;
  SettingValue winner;
  Weakness worst;
  std::vector<std::string> contexts;
  bool weaker = false;  // weaker than where no Match block matches
};

bool IsCommandLine(const Origin& origin) { return origin.file == "command line"; }

class Checker {
 public:
  Checker(const SshdConfig& config, const Accounts& accounts,
          const std::vector<PolicyContext>& contexts)
      : config_(config), accounts_(accounts), contexts_(contexts) {}

  std::vector<PostureFinding> Run() {
    Problems();
    for (const ConfigRow& row : ConfigRows()) Row(row);
    NeverMatching();
    DeadLines();
    AllowList();
    return std::move(findings_);
  }

 private:
  std::string TextOf(std::string_view keyword, const SettingValue& value) const {
    std::string line = config_.LineAt(value.origin);
    return line.empty() ? std::string(keyword) + " " + value.text : line;
  }

  // The block that holds the line; nullptr: none.
  const MatchBlock* BlockOf(const Origin& origin) const {
    for (const ConfigLine& line : config_.lines()) {
      if (line.origin == origin)
        return line.match < 0 ? nullptr : &config_.matches()[static_cast<std::size_t>(line.match)];
    }
    return nullptr;
  }

  PostureFix FixOf(const ConfigRow& row, const SettingValue& winner,
                   const MatchBlock* block) const {
    PostureFix fix{std::string(row.fix), std::string(row.note)};
    if (IsCommandLine(winner.origin)) {
      fix.text.clear();
      fix.note =
          "sshd was started with this option, which beats every file: change its unit or "
          "$SSHD_OPTS";
      return fix;
    }
    if (LastValueWins(row.keyword) && !winner.origin.IsDefault()) {
      fix.note = "change this very line to \"" + fix.text +
                 "\": of this keyword OpenSSH 9.2 takes the last value";
      fix.text.clear();
      return fix;
    }
    if (block == nullptr || !row.in_match || fix.text.empty()) return fix;
    std::string text = "Match " + block->text;
    for (const std::string& line : SplitBy(fix.text, '\n')) text += "\n    " + line;
    fix.text = std::move(text);
    return fix;
  }

  void Row(const ConfigRow& row) {
    const auto base = row.judge(contexts_.front());
    std::map<std::tuple<std::string, std::uint32_t, std::string>, Hit> hits;
    for (const PolicyContext& context : contexts_) {
      if (!context.admitted) continue;
      const auto weakness = row.judge(context);
      if (!weakness) continue;
      const SettingValue& winner = ValueOf(*context.settings, row.keyword);
      Hit& hit = hits[{winner.origin.file, winner.origin.line, winner.text}];
      if (hit.row == nullptr) hit = {&row, winner, *weakness, {}, false};
      if (weakness->severity > hit.worst.severity) hit.worst = *weakness;
      if (hit.contexts.size() < kMaxContexts) hit.contexts.push_back(context.Label());
      hit.weaker |= context.account != nullptr && !base;
    }
    for (auto& [key, hit] : hits) Report(std::move(hit));
  }

  void Report(Hit hit) {
    const MatchBlock* block = BlockOf(hit.winner.origin);
    PostureFinding finding;
    finding.id = hit.row->id;
    finding.severity = hit.worst.severity;
    finding.reason = hit.worst.reason;
    finding.evidence.push_back({hit.winner.origin, TextOf(hit.row->keyword, hit.winner)});
    finding.contexts = std::move(hit.contexts);
    finding.fix = FixOf(*hit.row, hit.winner, block);
    if (block != nullptr && hit.weaker && finding.severity >= Severity::kLow) {
      PostureFinding weaker = finding;
      weaker.id = "cfg.match_weaker";
      weaker.severity = std::max(Severity::kHigh, finding.severity);
      weaker.reason =
          "a Match block is weaker than the rest of the configuration: " + finding.reason;
      weaker.evidence.push_back({block->origin, "Match " + block->text});
      findings_.push_back(std::move(weaker));
    }
    findings_.push_back(std::move(finding));
  }

  void Problems() {
    using Kind = ConfigProblem::Kind;
    for (const ConfigProblem& problem : config_.problems()) {
      PostureFinding finding;
      const bool refused = problem.kind == Kind::kFatal || problem.kind == Kind::kError;
      finding.id = refused                       ? "cfg.parse_error"
                   : problem.kind == Kind::kSkew ? "cfg.version_skew"
                                                 : "cfg.not_all_read";
      finding.severity = refused                       ? Severity::kHigh
                         : problem.kind == Kind::kSkew ? Severity::kInfo
                                                       : Severity::kMedium;
      finding.reason = problem.what;
      if (refused)
        finding.reason += ": sshd would not start with it, and its next restart locks out";
      finding.evidence.push_back({problem.origin, config_.LineAt(problem.origin)});
      if (refused) finding.fix.note = "correct the line, then ask sshd -t";
      findings_.push_back(std::move(finding));
    }
  }

  // Why nobody can meet a criterion; empty: somebody may.
  std::string Impossible(const std::string& name, const std::string& list) const {
    const bool user = EqualNoCase(name, "user"), group = EqualNoCase(name, "group");
    if (!user && !group && !EqualNoCase(name, "host") && !EqualNoCase(name, "address")) return "";
    if (OnlyNegations(list)) return "it has negations only: put * before them";
    if (!user && !group) return "";
    for (const std::string& pattern : SplitBy(list, ',')) {
      if (pattern.empty() || pattern[0] == '!') continue;
      if (pattern.find_first_of("*?") != std::string::npos) return "";
      if (user ? accounts_.Find(pattern) != nullptr : accounts_.HasGroup(pattern)) return "";
    }
    return std::string("there is no such ") + (user ? "user" : "group") + " on this host";
  }

  void NeverMatching() {
    for (const MatchBlock& match : config_.matches()) {
      for (const auto& [name, argument] : CriteriaOf(match)) {
        const std::string why = Impossible(name, argument);
        if (why.empty()) continue;
        PostureFinding finding;
        finding.id = "cfg.match_never";
        finding.severity = Severity::kMedium;
        finding.reason = "this block matches nobody: " + why;
        finding.evidence.push_back({match.origin, "Match " + match.text});
        finding.fix.note = "correct or remove the block";
        findings_.push_back(std::move(finding));
        break;
      }
    }
  }

  // Lines that say something else than the winner, and that sshd passes over.
  void DeadLines() {
    static const std::set<std::string, std::less<>> kAddUp = {
        "port",      "listenaddress", "hostkey",   "hostcertificate", "allowusers", "allowgroups",
        "denyusers", "denygroups",    "acceptenv", "subsystem",       "setenv",     "include"};
    std::map<std::pair<int, std::string>, const ConfigLine*> winners;
    std::size_t dead = 0;
    for (const ConfigLine& line : config_.lines()) {
      const auto [it, first] = winners.try_emplace({line.match, line.keyword}, &line);
      if (first || kAddUp.count(line.keyword) != 0 || it->second->origin == line.origin) continue;
      const ConfigLine& earlier = *it->second;
      const bool last = LastValueWins(line.keyword);
      if (last) it->second = &line;
      if (earlier.value == line.value) continue;
      if (++dead > kMaxDeadLines) return;
      last ? Dead(earlier, line, "last") : Dead(line, earlier, "first");
    }
  }

  // Whether the line would have been better than the one that wins.
  bool WouldHarden(const ConfigLine& line) const {
    for (const ConfigRow& row : ConfigRows()) {
      if (row.keyword != line.keyword) continue;
      PolicyContext other = contexts_.front();
      const auto now = row.judge(other);
      Settings settings = *other.settings;
      settings[line.keyword] = {{line.value, line.origin}};
      other.settings = std::make_shared<const Settings>(std::move(settings));
      const auto then = row.judge(other);
      if (now && (!then || then->severity < now->severity)) return true;
    }
    return false;
  }

  void Dead(const ConfigLine& line, const ConfigLine& winner, const std::string& which) {
    PostureFinding finding;
    finding.id = "cfg.shadowed";
    finding.severity = WouldHarden(line) ? Severity::kMedium : Severity::kInfo;
    finding.reason = "this line has no effect: sshd takes the " + which +
                     " value, which stands in " + winner.origin.ToString();
    finding.evidence.push_back({line.origin, TextOf(line.keyword, {line.value, line.origin})});
    finding.evidence.push_back(
        {winner.origin, TextOf(winner.keyword, {winner.value, winner.origin})});
    finding.fix.note =
        "if it is what is meant, put it where it is read " + which + "; else remove it";
    findings_.push_back(std::move(finding));
  }

  void AllowList() {
    const Settings& settings = *contexts_.front().settings;
    if (settings.count("allowusers") != 0 || settings.count("allowgroups") != 0) return;
    std::string names;
    for (const Account& account : accounts_.all())
      if (account.LoginShell()) names += " " + account.name;
    PostureFinding finding;
    finding.id = "cfg.allow_list";
    finding.severity = Severity::kLow;
    finding.reason =
        "whoever has an account may log in: also one that a package or an intruder adds";
    if (names.size() < 1'000 && !names.empty()) finding.fix.text = "AllowUsers" + names;
    finding.fix.note = "leave out whoever need not log in";
    findings_.push_back(std::move(finding));
  }

  const SshdConfig& config_;
  const Accounts& accounts_;
  const std::vector<PolicyContext>& contexts_;
  std::vector<PostureFinding> findings_;
};

}  // namespace

std::vector<PostureFinding> CheckSshdConfig(const SshdConfig& config, const Accounts& accounts,
                                            const std::vector<PolicyContext>& contexts) {
  return Checker(config, accounts, contexts).Run();
}

}  // namespace culprit
