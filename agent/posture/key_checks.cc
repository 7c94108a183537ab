// SPDX-License-Identifier: Apache-2.0
// Findings about keys: weak, known, new, locked, shared, lying about.
#include <algorithm>
#include <map>
#include <set>

#include "agent/posture/authorized_keys.h"
#include "agent/posture/key_scan.h"
#include "agent/posture/sshd_lexer.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxFindings = 2'000;
using S = Severity;

std::string Describe(const KeyRecord& key) {
  std::string text = key.type.empty() ? "a line that is no key" : key.type;
  if (key.bits != 0) text += " of " + std::to_string(key.bits) + " bits";
  if (!key.fingerprint.empty()) text += ", " + key.fingerprint;
  if (!key.comment.empty()) text += ", " + key.comment;
  return text;
}

class Checker {
 public:
  Checker(FileTree& tree, const KeyCheckInput& input, const PostureReport& report)
      : tree_(tree), input_(input), report_(report) {}

  std::vector<PostureFinding> Run() {
    for (const KeyRecord& key : report_.keys) {
      Line(key);
      if (key.fingerprint.empty()) continue;
      Known(key);
      Weak(key);
      New(key);
      Options(key);
    }
    for (const KeyRecord& key : report_.keys) File(key);
    Shared();
    Private();
    return std::move(findings_);
  }

 private:
  PostureFinding* Add(std::string id, Severity severity, std::string reason, const KeyRecord& key,
                      std::string note) {
    if (findings_.size() >= kMaxFindings) return nullptr;
    PostureFinding finding;
    finding.id = std::move(id);
    finding.severity = severity;
    finding.reason = std::move(reason);
    finding.evidence.push_back({{key.path, key.line}, Describe(key)});
    if (!key.user.empty()) finding.contexts.push_back(key.user);
    finding.fix.note = std::move(note);
    findings_.push_back(std::move(finding));
    return &findings_.back();
  }

  void Line(const KeyRecord& key) {
    if (key.accepted || key.refused.compare(0, 12, "StrictModes:") == 0) return;
    const bool broken = key.fingerprint.empty();
    Add("key.bad_line", broken ? S::kLow : S::kInfo, "sshd passes this line over: " + key.refused,
        key, "correct or remove it");
  }

  void Known(const KeyRecord& key) {
    const std::string* why = input_.known_bad.Find(key.fingerprint);
    if (why == nullptr) return;
    Add("key.known_bad", S::kCritical, *why, key,
        "remove the line, and look at what came in by it before you do");
  }

  void Weak(const KeyRecord& key) {
    if (key.type == "ssh-dss") {
      Add("key.weak", S::kCritical, "DSA keys can be broken", key, "replace it by ed25519");
    } else if (key.type == "ssh-rsa" && key.bits < 2048) {
      Add("key.weak", S::kHigh, "RSA of less than 2048 bits", key, "replace it by ed25519");
    } else if (key.type == "ssh-rsa" && key.bits == 2048 && key.exponent == 3) {
      Add("key.weak", S::kMedium, "RSA with the exponent 3, as old or home-made tools choose it",
          key, "replace it by ed25519");
    }
  }

  void New(const KeyRecord& key) {
    if (input_.baseline == nullptr || input_.baseline->Holds(key)) return;
    Add("key.new", S::kHigh, "the key was not there when the baseline was written", key,
        "remove it unless you know whose it is");
  }

  void Options(const KeyRecord& key) {
    if (!key.accepted) return;
    const auto options = ParseKeyOptions(key.options);
    if (!options) return;
    const Account* account = input_.accounts.Find(key.user);
    if (account != nullptr && account->uid == 0 && !options->from && !options->restricted &&
        !options->command)
      Add("key.unrestricted_root", S::kLow, "root can be reached with this key from anywhere", key,
          "put from=\"ADDRESSES\" or restrict before it");
    for (const std::string& variable : options->environment) {
      const std::string name = variable.substr(0, variable.find('='));
      const bool loads = name.compare(0, 3, "LD_") == 0 || name == "BASH_ENV" || name == "ENV" ||
                         name == "PYTHONPATH" || name == "PERL5LIB" || name == "PATH";
      if (loads)
        Add("key.environment", S::kMedium,
            "the key sets " + name + ", by which code of others runs", key, "remove the option");
    }
    if (options->command) Command(key, *options->command);
  }

  void Command(const KeyRecord& key, const std::string& command) {
    const auto words = SplitArguments(command);
    if (!words || words->empty() || (*words)[0][0] != '/') return;
    const auto info = tree_.Stat((*words)[0]);
    if (!info || (info->mode & 022U) == 0) return;
    Add("key.command", S::kMedium, "others can write the program of its command=", key,
        "chmod go-w " + (*words)[0]);
  }

  // Once for each file: who can change it, and who should have none.
  void File(const KeyRecord& key) {
    if (!files_.insert({key.user, key.path}).second) return;
    KeyRecord file = key;
    file.line = 0;
    file.type = "mode " + std::to_string(key.mode >> 6U & 7U) +
                std::to_string(key.mode >> 3U & 7U) + std::to_string(key.mode & 7U) + ", owner " +
                std::to_string(key.owner_uid);
    file.bits = 0;
    file.fingerprint.clear();
    file.comment.clear();
    const auto folder = tree_.Stat(ParentOf(key.path));
    const bool locked =
        key.immutable || key.append_only || (folder && (folder->immutable || folder->append_only));
    if (locked)
      Add("key.immutable", S::kCritical,
          "the file or its folder is locked (lsattr i or a): intruders keep their keys so", file,
          "chattr -ia, after you have looked at the keys");
    if (key.refused.compare(0, 12, "StrictModes:") == 0)
      Add("key.perms", S::kMedium, "present, but sshd passes all of it over: " + key.refused, file,
          "chown and chmod go-w what is named, if the keys are wanted");
    Holder(file);
  }

  void Holder(const KeyRecord& file) {
    const Account* account = input_.accounts.Find(file.user);
    if (account == nullptr) return;
    const bool system = account->uid != 0 && (account->uid < 1000 || !account->LoginShell());
    if (system)
      Add("key.system_account", S::kHigh,
          "an account of the system has keys: no person works with it", file,
          "remove the file unless a service needs it");
    else if (BaseOf(file.path) == "authorized_keys2")
      Add("key.system_account", S::kHigh, "keys are in authorized_keys2, where few look", file,
          "move what is wanted to authorized_keys");
  }

  void Shared() {
    std::map<std::string, std::vector<const KeyRecord*>> by_key;
    for (const KeyRecord& key : report_.keys)
      if (key.accepted && key.kind == KeyRecord::Kind::kUserKey)
        by_key[key.fingerprint].push_back(&key);
    for (const auto& [fingerprint, keys] : by_key) {
      const std::string& first = keys.front()->user;
      const bool several = std::any_of(
          keys.begin(), keys.end(), [&first](const KeyRecord* key) { return key->user != first; });
      if (!several) continue;
      PostureFinding* finding = Add("key.duplicate", S::kLow, "one key opens several accounts",
                                    *keys.front(), "give each account its own");
      if (finding == nullptr) return;
      for (std::size_t i = 1; i < keys.size() && i < 32; ++i) {
        finding->evidence.push_back({{keys[i]->path, keys[i]->line}, Describe(*keys[i])});
        finding->contexts.push_back(keys[i]->user);
      }
    }
  }

  void Private() {
    for (const PrivateKeyRecord& key : report_.private_keys) {
      if (key.encrypted) continue;
      KeyRecord record;
      record.user = key.user;
      record.path = key.path;
      record.type = key.type;
      record.fingerprint = key.fingerprint;
      Add("key.private_on_host", S::kMedium,
          "a private key without a passphrase: whoever is here goes on with it to wherever it "
          "opens",
          record, "use an agent or certificates, or give it a passphrase");
    }
  }

  FileTree& tree_;
  const KeyCheckInput& input_;
  const PostureReport& report_;
  std::set<std::pair<std::string, std::string>> files_;
  std::vector<PostureFinding> findings_;
};

}  // namespace

std::vector<PostureFinding> CheckKeys(FileTree& tree, const KeyCheckInput& input,
                                      const PostureReport& report) {
  return Checker(tree, input, report).Run();
}

}  // namespace culprit
