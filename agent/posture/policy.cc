// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/policy.h"

#include <algorithm>
#include <set>

#include "agent/posture/sshd_lexer.h"
#include "agent/posture/sshd_patterns.h"
#include "common/net_address.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxAddresses = 16;
constexpr std::string_view kExamples[] = {"198.51.100.1", "10.0.0.1", "127.0.0.1"};

SourceClass ClassOf(const IpAddress& address) {
  if (address.IsLoopback()) return SourceClass::kLoopback;
  return address.IsPublic() ? SourceClass::kPublic : SourceClass::kPrivate;
}

// An address that the pattern lets through: of a block its first, of "10.1.*" 10.1.1.1.
std::string ExampleOf(const std::string& pattern) {
  if (pattern.empty() || pattern[0] == '!') return "";
  if (const auto block = Cidr::Parse(pattern)) return block->base.ToString();
  std::string text = pattern.substr(0, pattern.find('*'));
  std::replace(text.begin(), text.end(), '?', '1');
  if (text.empty() || text.find_first_not_of("0123456789.") != std::string::npos) return "";
  auto dots = std::count(text.begin(), text.end(), '.');
  if (text.back() == '.') text += "1";
  for (; dots < 3; ++dots) text += ".1";
  return IpAddress::Parse(text) ? text : "";
}

void AddExamples(std::string_view list, std::vector<std::string>* addresses) {
  for (const std::string& pattern : SplitBy(list, ',')) {
    std::string example = ExampleOf(pattern);
    if (example.empty() || addresses->size() >= kMaxAddresses) continue;
    if (std::find(addresses->begin(), addresses->end(), example) == addresses->end())
      addresses->push_back(std::move(example));
  }
}

std::vector<std::string> Addresses(const SshdConfig& config) {
  std::vector<std::string> addresses(std::begin(kExamples), std::end(kExamples));
  for (const MatchBlock& match : config.matches()) {
    for (const auto& [name, argument] : CriteriaOf(match))
      if (EqualNoCase(name, "address")) AddExamples(argument, &addresses);
  }
  for (const ConfigLine& line : config.lines()) {
    if (line.keyword != "allowusers") continue;
    for (const std::string& pattern : SplitBy(line.value, ' '))
      if (pattern.find('@') != std::string::npos)
        AddExamples(pattern.substr(pattern.rfind('@') + 1), &addresses);
  }
  return addresses;
}

// Local addresses and ports that Match blocks tell apart, beside the usual ones.
std::vector<std::pair<std::string, int>> LocalEnds(const SshdConfig& config,
                                                   const Settings& global) {
  std::vector<std::string> addresses = {"192.0.2.1"};
  bool by_port = false;
  for (const MatchBlock& match : config.matches()) {
    for (const auto& [name, argument] : CriteriaOf(match)) {
      if (EqualNoCase(name, "localaddress")) AddExamples(argument, &addresses);
      by_port |= EqualNoCase(name, "localport");
    }
  }
  std::vector<int> ports;
  const auto it = global.find("port");
  if (it != global.end())
    for (const SettingValue& port : it->second) ports.push_back(SshdPort(port.text));
  if (ports.empty()) ports.push_back(22);
  if (!by_port) ports.resize(1);
  std::vector<std::pair<std::string, int>> ends;
  for (const std::string& address : addresses)
    for (const int port : ports) ends.emplace_back(address, port);
  ends.resize(std::min(ends.size(), kMaxAddresses));
  return ends;
}

std::string Refusal(const SettingValue& value, std::string_view keyword) {
  return std::string(keyword) + " " + value.text + " (" + value.origin.ToString() + ")";
}

// Whether one of the patterns names this user; `who` gets the pattern.
bool Named(const Settings& settings, std::string_view keyword, const Connection& connection,
           const SettingValue** who) {
  const auto it = settings.find(keyword);
  if (it == settings.end()) return false;
  for (const SettingValue& pattern : it->second) {
    if (MatchUserPattern(connection.user, connection.host, connection.address, pattern.text) == 1) {
      *who = &pattern;
      return true;
    }
  }
  return false;
}

bool InGroups(const Settings& settings, std::string_view keyword,
              const std::vector<std::string>& groups, const SettingValue** who) {
  const auto it = settings.find(keyword);
  if (it == settings.end()) return false;
  for (const SettingValue& pattern : it->second) {
    if (MatchGroups(groups, pattern.text)) {
      *who = &pattern;
      return true;
    }
  }
  return false;
}

// Why sshd refuses this user whatever he can prove; empty: it does not. In sshd's order.
std::string RefusedBy(const Settings& settings, const Connection& connection,
                      const Account& account, const Accounts& accounts) {
  const SettingValue* who = nullptr;
  const auto set = [&](std::string_view keyword) {
    return settings.find(keyword) != settings.end();
  };
  if (Named(settings, "denyusers", connection, &who)) return Refusal(*who, "DenyUsers");
  if (set("allowusers") && !Named(settings, "allowusers", connection, &who))
    return "not in AllowUsers (" + ValueOf(settings, "allowusers").origin.ToString() + ")";
  const auto groups = accounts.GroupsOf(account);
  if (InGroups(settings, "denygroups", groups, &who)) return Refusal(*who, "DenyGroups");
  if (set("allowgroups") && !InGroups(settings, "allowgroups", groups, &who))
    return "not in AllowGroups (" + ValueOf(settings, "allowgroups").origin.ToString() + ")";
  const SettingValue& root = ValueOf(settings, "permitrootlogin");
  if (account.uid == 0 && root.text == "no") return Refusal(root, "PermitRootLogin");
  return "";
}

class Builder {
 public:
  Builder(const SshdConfig& config, const Accounts& accounts)
      : config_(config), accounts_(accounts), global_(Ask({"", "", "", "192.0.2.1", 22})) {}

  std::vector<PolicyContext> Build() {
    std::vector<PolicyContext> contexts;
    PolicyContext first;
    first.settings = global_;
    first.connection.address = kExamples[0];
    contexts.push_back(std::move(first));
    const auto addresses = Addresses(config_);
    const auto ends = LocalEnds(config_, *global_);
    std::size_t users = 0;
    for (const Account& account : accounts_.all()) {
      if (!account.LoginShell() || ++users > kMaxPolicyUsers) continue;
      for (const std::string& address : addresses)
        for (const auto& [local, port] : ends)
          contexts.push_back(Of(account, {account.name, address, address, local, port}));
    }
    return contexts;
  }

 private:
  std::shared_ptr<const Settings> Ask(const Connection& connection) const {
    return std::make_shared<const Settings>(config_.Effective(connection, nullptr));
  }
  PolicyContext Of(const Account& account, Connection connection) const {
    PolicyContext context;
    context.account = &account;
    context.source = ClassOf(*IpAddress::Parse(connection.address));
    context.settings = config_.matches().empty() ? global_ : Ask(connection);
    context.refused_by = RefusedBy(*context.settings, connection, account, accounts_);
    context.admitted = context.refused_by.empty();
    context.connection = std::move(connection);
    return context;
  }

  const SshdConfig& config_;
  const Accounts& accounts_;
  std::shared_ptr<const Settings> global_;
};

}  // namespace

std::string PolicyContext::Label() const {
  if (account == nullptr) return "everybody";
  std::string label = account->name + " from " + std::string(SourceClassName(source));
  const bool example = std::find(std::begin(kExamples), std::end(kExamples), connection.address) !=
                       std::end(kExamples);
  return example ? label : label + " (" + connection.address + ")";
}

std::vector<PolicyContext> PolicyContexts(const SshdConfig& config, const Accounts& accounts) {
  return Builder(config, accounts).Build();
}

bool MethodSuffices(const Settings& settings, std::string_view method) {
  const auto it = settings.find("authenticationmethods");
  if (it == settings.end() || it->second.empty()) return true;
  return std::any_of(it->second.begin(), it->second.end(), [&](const SettingValue& list) {
    return list.text == "any" || list.text.substr(0, list.text.find(':')) == method;
  });
}

PolicyEntry EntryOf(const PolicyContext& context) {
  const Settings& settings = *context.settings;
  const auto on = [&](std::string_view keyword) {
    return ValueOf(settings, keyword).text == "yes";
  };
  PolicyEntry entry;
  entry.user = context.connection.user;
  entry.source = context.source;
  entry.address = context.connection.address;
  entry.admitted = context.admitted;
  entry.refused_by = context.refused_by;
  const bool root = context.account != nullptr && context.account->uid == 0;
  const bool passwords = !root || ValueOf(settings, "permitrootlogin").text == "yes";
  if (on("pubkeyauthentication")) entry.methods.emplace_back("publickey");
  if (passwords && on("passwordauthentication")) entry.methods.emplace_back("password");
  if (passwords && on("kbdinteractiveauthentication"))
    entry.methods.emplace_back("keyboard-interactive");
  if (on("hostbasedauthentication")) entry.methods.emplace_back("hostbased");
  if (on("gssapiauthentication")) entry.methods.emplace_back("gssapi");
  entry.forwarding = on("disableforwarding") ? "no" : ValueOf(settings, "allowtcpforwarding").text;
  const std::string& command = ValueOf(settings, "forcecommand").text;
  if (command != "none") entry.forced_command = command;
  return entry;
}

std::vector<std::pair<std::string, std::string>> CriteriaOf(const MatchBlock& match) {
  std::vector<std::pair<std::string, std::string>> criteria;
  WordReader words(match.text);
  while (const auto name = words.Next()) {
    if (name->empty() || (*name)[0] == '#') break;
    criteria.emplace_back(*name, words.Next().value_or(""));
  }
  return criteria;
}

}  // namespace culprit
