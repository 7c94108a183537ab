// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/key_scan.h"

#include <algorithm>
#include <map>
#include <set>

#include "agent/posture/authorized_keys.h"
#include "agent/posture/key_paths.h"
#include "agent/posture/revoked_keys.h"
#include "agent/posture/sshd_lexer.h"
#include "agent/posture/sshd_patterns.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxKrlBytes = std::size_t{16} << 20;
constexpr std::size_t kMaxLines = 10'000;
constexpr std::size_t kMaxRecords = 50'000;
constexpr std::size_t kMaxAccounts = 2'000;
constexpr std::size_t kMaxPrivateBytes = std::size_t{32} << 10;
constexpr std::size_t kMaxHomeFiles = 256;
constexpr std::size_t kMaxRefused = 200;

// What a file of RevokedKeys says, or that sshd cannot read it.
struct Revocation {
  std::string unreadable;
  RevokedKeys keys;
};

class Scanner {
 public:
  Scanner(FileTree& tree, const KeyScanInput& input, PostureReport* report)
      : tree_(tree),
        input_(input),
        report_(report),
        rules_(&tree, &input.accounts, tree.Stat("/etc/debian_version").has_value()) {}

  void Run() {
    Authorities();
    std::size_t accounts = 0;
    for (const Account& account : input_.accounts.all()) {
      if (!input_.user.empty() && account.name != input_.user) continue;
      if (++accounts > kMaxAccounts) {
        Limit("keys of more than 2,000 accounts are not looked at");
        break;
      }
      UserKeys(account);
      PrivateKeys(account);
    }
  }

 private:
  using Contexts = std::vector<PolicyContext>;

  void Limit(std::string what) {
    auto& limits = report_->limits;
    if (std::find(limits.begin(), limits.end(), what) == limits.end())
      limits.push_back(std::move(what));
  }

  // Those without a shell are asked for as well: a key of theirs forwards all the same.
  Contexts ContextsOf(const Account& account) const {
    Contexts contexts;
    for (const PolicyContext& context : input_.contexts)
      if (context.account == &account) contexts.push_back(context);
    if (!contexts.empty()) return contexts;
    PolicyContext context;
    context.connection = {account.name, "198.51.100.1", "198.51.100.1", "192.0.2.1", 22};
    context.account = &account;
    context.settings = input_.config.matches().empty()
                           ? input_.contexts.front().settings
                           : std::make_shared<const Settings>(
                                 input_.config.Effective(context.connection, nullptr));
    contexts.push_back(std::move(context));
    return contexts;
  }

  void UserKeys(const Account& account) {
    std::map<std::string, Contexts> files;  // path, and for whom it counts
    for (const PolicyContext& context : ContextsOf(account)) {
      const auto it = context.settings->find("authorizedkeysfile");
      if (it == context.settings->end()) continue;
      for (const SettingValue& value : it->second) {
        if (EqualNoCase(value.text, "none")) continue;
        const auto path = ExpandKeyPath(value.text, account);
        if (path) files[*path].push_back(context);
      }
    }
    for (const auto& [path, contexts] : files) UserFile(account, path, contexts);
  }

  void UserFile(const Account& account, const std::string& path, const Contexts& contexts) {
    const auto info = tree_.Stat(path);
    if (!info) {
      if (info.error().code != Code::kNotFound) Limit(info.error().message);
      return;
    }
    const auto content = tree_.Read(path, kMaxFileBytes);
    if (!content) {
      Limit(path + " cannot be read: " + content.error().message);
      return;
    }
    if (content->cut) Limit(path + " is longer than 1 MiB: the rest is not looked at");
    if (content->changed) Limit(path + " changed while it was read");
    const std::string unreadable =
        rules_.UserCanRead(path, account) ? "" : "sshd cannot read the file as this user";
    const std::string unsafe = rules_.UnsafeBecause(path, account);
    for (KeyLine& line : ParseAuthorizedKeys(content->bytes, kMaxLines)) {
      KeyRecord record = RecordOf(line, path, *info);
      record.user = account.name;
      if (line.options.cert_authority) record.kind = KeyRecord::Kind::kUserAuthority;
      record.refused = unreadable;
      for (const PolicyContext& context : contexts) {
        if (!unreadable.empty() || record.accepted) break;
        std::string refused = RefusedBecause(line, context, unsafe);
        record.accepted = refused.empty();
        if (record.accepted || record.refused.empty()) record.refused = std::move(refused);
      }
      if (!Keep(std::move(record))) return;
    }
  }

  bool Keep(KeyRecord record) {
    if (report_->keys.size() >= kMaxRecords) {
      Limit("more than 50,000 keys: the rest is not looked at");
      return false;
    }
    record.refused.resize(std::min(record.refused.size(), kMaxRefused));
    report_->keys.push_back(std::move(record));
    return true;
  }

  static KeyRecord RecordOf(const KeyLine& line, const std::string& path, const FileInfo& info) {
    constexpr std::size_t kMaxText = 1'024;
    KeyRecord record;
    record.path = path;
    record.line = line.line;
    if (line.key) {
      record.type = line.key->type;
      record.fingerprint = line.key->fingerprint;
      record.bits = line.key->bits;
      record.exponent = line.key->exponent;
    }
    record.comment = line.comment.substr(0, kMaxText);
    record.options = line.options.text.substr(0, kMaxText);
    record.owner_uid = info.uid;
    record.mode = info.mode;
    record.immutable = info.immutable;
    record.append_only = info.append_only;
    record.mtime_ns = info.mtime_ns;
    return record;
  }

  // In the order in which sshd would come upon it.
  std::string RefusedBecause(const KeyLine& line, const PolicyContext& context,
                             const std::string& unsafe) {
    const Settings& settings = *context.settings;
    if (!context.refused_by.empty()) return "the user is refused: " + context.refused_by;
    if (ValueOf(settings, "pubkeyauthentication").text != "yes")
      return "keys are not accepted at all";
    if (!unsafe.empty() && ValueOf(settings, "strictmodes").text != "no")
      return "StrictModes: " + unsafe;
    if (!line.refused.empty()) return line.refused;
    const KeyOptions& options = line.options;
    if (input_.now_s != 0 && options.expires_s && *options.expires_s < input_.now_s)
      return "it has expired";
    if (options.from && MatchHostAndAddress("", context.connection.address, *options.from) < 0)
      return "its from= is not valid";
    if (context.account != nullptr && context.account->uid == 0 && !options.command &&
        ValueOf(settings, "permitrootlogin").text == "forced-commands-only")
      return "root needs a command= (PermitRootLogin forced-commands-only)";
    return KeyRefused(*line.key, settings);
  }

  std::string KeyRefused(const SshPublicKey& key, const Settings& settings) {
    const std::string& accepted = ValueOf(settings, "pubkeyacceptedalgorithms").text;
    const auto names = SplitBy(AlgorithmsOf(key), ',');
    const bool taken = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
      return MatchPatternList(name, accepted) == 1;
    });
    if (!taken) return key.type + " is not in PubkeyAcceptedAlgorithms";
    const int least = SshdInt(ValueOf(settings, "requiredrsasize").text).value_or(0);
    if (key.kind == SshPublicKey::Kind::kRsa && key.bits < static_cast<std::uint32_t>(least))
      return "it is shorter than RequiredRSASize";
    const std::string& list = ValueOf(settings, "revokedkeys").text;
    if (list.empty() || list == "none") return "";
    const Revocation& revocation = RevocationOf(list);
    if (!revocation.unreadable.empty()) return revocation.unreadable;
    return revocation.keys.Holds(key) ? "it is revoked (" + list + ")" : "";
  }

  const Revocation& RevocationOf(const std::string& path) {
    const auto [it, first] = revocations_.try_emplace(path);
    if (!first) return it->second;
    const auto content = tree_.Read(path, kMaxKrlBytes);
    auto keys = content ? RevokedKeys::Parse(content->bytes) : Result<RevokedKeys>(content.error());
    if (keys)
      it->second.keys = std::move(*keys);
    else
      it->second.unreadable =
          "RevokedKeys cannot be used, so every key is refused: " + keys.error().message;
    return it->second;
  }

  void Authorities() {
    std::set<std::string> seen;
    for (const PolicyContext& context : input_.contexts) {
      const std::string& path = ValueOf(*context.settings, "trustedusercakeys").text;
      if (path.empty() || path == "none" || !seen.insert(path).second) continue;
      const auto info = tree_.Stat(path);
      const auto content = tree_.Read(path, kMaxFileBytes);
      if (!info || !content) {
        Limit(path + " (TrustedUserCAKeys) cannot be read");
        continue;
      }
      const std::string& file = ValueOf(*context.settings, "authorizedprincipalsfile").text;
      const std::string& command = ValueOf(*context.settings, "authorizedprincipalscommand").text;
      for (const KeyLine& line : ParseAuthorizedKeys(content->bytes, kMaxLines)) {
        KeyRecord record = RecordOf(line, path, *info);
        record.kind = KeyRecord::Kind::kAuthority;
        record.principals = file != "none" ? file : command != "none" ? command : "";
        record.refused = line.refused;
        record.accepted = line.refused.empty();
        if (!Keep(std::move(record))) return;
      }
    }
  }

  void PrivateKeys(const Account& account) {
    if (account.home.empty() || account.home == "/" || !homes_.insert(account.home).second) return;
    for (const bool ssh : {true, false}) {
      const std::string folder = account.home + (ssh ? "/.ssh" : "");
      const auto list = tree_.List(folder, kMaxHomeFiles);
      if (!list) continue;
      if (list->cut) Limit(folder + " has more than 256 files: the rest is not looked at");
      for (const std::string& name : list->names)
        if (MayBePrivate(name, ssh)) PrivateFile(account, folder + "/" + name);
    }
  }

  static bool MayBePrivate(const std::string& name, bool ssh) {
    if (ssh) return name.compare(0, 11, "known_hosts") != 0 && !name.ends_with(".pub");
    return name.ends_with(".pem") || name.ends_with(".key") ||
           (name.compare(0, 3, "id_") == 0 && !name.ends_with(".pub"));
  }

  void PrivateFile(const Account& account, const std::string& path) {
    const auto info = tree_.Look(path);
    if (!info || info->kind != FileKind::kFile || info->size > kMaxPrivateBytes) return;
    const auto content = tree_.Read(path, kMaxPrivateBytes);
    if (!content) return;
    auto record = ReadPrivateKey(content->bytes, "");
    if (record && record->fingerprint.empty()) {
      const auto half = tree_.Read(path + ".pub", kMaxPrivateBytes);
      if (half) record = ReadPrivateKey(content->bytes, half->bytes);
    }
    if (!record) return;
    record->user = account.name;
    record->path = path;
    record->owner_uid = info->uid;
    record->mode = info->mode;
    report_->private_keys.push_back(std::move(*record));
  }

  FileTree& tree_;
  const KeyScanInput& input_;
  PostureReport* report_;
  KeyPathRules rules_;
  std::map<std::string, Revocation> revocations_;
  std::set<std::string> homes_;
};

}  // namespace

void ScanKeys(FileTree& tree, const KeyScanInput& input, PostureReport* report) {
  Scanner(tree, input, report).Run();
}

}  // namespace culprit
