// SPDX-License-Identifier: Apache-2.0
// From passes to what is in force: command line, files, Match, defaults, listening addresses.
#include <arpa/inet.h>

#include <algorithm>
#include <set>

#include "agent/posture/sshd_parser.h"
#include "common/ascii.h"

namespace culprit {
namespace {

constexpr std::string_view kCommandLine = "command line";

bool ListsInOneLine(std::string_view keyword) {
  return keyword == "authorizedkeysfile" || keyword == "authenticationmethods" ||
         keyword == "logverbose" || keyword == "channeltimeout" || keyword == "permitopen" ||
         keyword == "permitlisten";
}

// "host" and port as `sshd -T` prints them; empty: of another address family than asked for.
std::string ListenText(const std::string& host, const std::string& port,
                       const std::string& family) {
  in_addr v4{};
  in6_addr v6{};
  char text[INET6_ADDRSTRLEN];
  if (inet_aton(host.c_str(), &v4) != 0) {
    inet_ntop(AF_INET, &v4, text, sizeof text);
    return family == "inet6" ? "" : text + (":" + port);
  }
  if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) {
    inet_ntop(AF_INET6, &v6, text, sizeof text);
    return family == "inet" ? "" : "[" + std::string(text) + "]:" + port;
  }
  return host + ":" + port;  // a name: whatever it resolves to
}

bool ResolvesMaybe(const std::string& host) {
  return !host.empty() && std::all_of(host.begin(), host.end(), [](char c) {
    return c == '-' || c == '.' || c == ':' || c == '_' || (c >= '0' && c <= '9') ||
           (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '%';
  });
}

void ExpandListens(Settings& settings, std::vector<ConfigProblem>* problems) {
  Setting ports = settings.count("port") != 0 ? settings["port"] : Setting{{"22", {}}};
  settings["port"] = ports;
  const std::string family = ValueOf(settings, "addressfamily").text;
  const auto asked = settings.find("listenaddress.asked");
  Setting listens;
  if (asked == settings.end()) {
    for (const SettingValue& port : ports) {
      if (family != "inet") listens.push_back({"[::]:" + port.text, port.origin});
      if (family != "inet6") listens.push_back({"0.0.0.0:" + port.text, port.origin});
    }
    settings["listenaddress"] = std::move(listens);
    return;
  }
  for (const SettingValue& value : asked->second) {
    const std::size_t blank = value.text.rfind(' ');
    const std::string host = value.text.substr(0, blank), own = value.text.substr(blank + 1);
    for (const SettingValue& port : own == "0" ? ports : Setting{{own, value.origin}}) {
      const std::string text = ListenText(host, port.text, family);
      if (text.empty() || !ResolvesMaybe(host)) {
        problems->push_back({ConfigProblem::Kind::kFatal, value.origin, "bad address " + host});
        return;
      }
      listens.push_back({text, value.origin});
    }
  }
  settings["listenaddress"] = std::move(listens);
}

void ExpandAlgorithms(Settings& settings, bool strict, std::vector<ConfigProblem>* problems) {
  for (const std::string_view name :
       {"ciphers", "macs", "kexalgorithms", "hostkeyalgorithms", "hostbasedacceptedalgorithms",
        "pubkeyacceptedalgorithms", "casignaturealgorithms"}) {
    const auto it = settings.find(name);
    if (it == settings.end()) continue;
    SettingValue& value = it->second.front();
    std::string list = AssembleAlgorithms(name, value.text, !strict);
    if (list.empty()) {
      problems->push_back(
          {ConfigProblem::Kind::kFatal, value.origin, "no algorithm is left of " + value.text});
      continue;
    }
    value.text = std::move(list);
  }
}

// "NONE" is "none", where sshd clears what it has read.
void ClearNones(Settings& settings) {
  for (const std::string_view name : {"banner", "authorizedprincipalsfile", "forcecommand",
                                      "chrootdirectory", "securitykeyprovider"}) {
    const auto it = settings.find(name);
    if (it != settings.end() && EqualNoCase(it->second.front().text, "none"))
      it->second.front().text = "none";
  }
  for (const std::string_view name : {"hostkey", "hostcertificate"}) {
    const auto it = settings.find(name);
    if (it == settings.end()) continue;
    std::erase_if(it->second, [](const SettingValue& value) { return value.text == "none"; });
  }
  const auto timeouts = settings.find("channeltimeout");
  if (timeouts != settings.end() && timeouts->second.size() == 1 &&
      EqualNoCase(timeouts->second.front().text, "none"))
    settings.erase(timeouts);
}

void Complete(Settings& settings, bool strict, std::vector<ConfigProblem>* problems) {
  ExpandAlgorithms(settings, strict, problems);
  FillDefaults(settings);
  ExpandListens(settings, problems);
}

bool MethodEnabled(const Settings& settings, const std::string& method) {
  const std::string base = method.substr(0, method.find(':'));
  const auto on = [&](std::string_view keyword, bool otherwise) {
    const std::string& text = ValueOf(settings, keyword).text;
    return text.empty() ? otherwise : text == "yes";
  };
  if (base == "publickey") return on("pubkeyauthentication", true);
  if (base == "password") return on("passwordauthentication", true);
  if (base == "keyboard-interactive") return on("kbdinteractiveauthentication", true);
  if (base == "hostbased") return on("hostbasedauthentication", false);
  if (base == "gssapi-with-mic") return on("gssapiauthentication", false);
  if (base == "gssapi-keyex") return on("gssapikeyexchange", false);
  return true;
}

}  // namespace

std::string Origin::ToString() const {
  if (file.empty()) return "default";
  return line == 0 ? file : file + ":" + std::to_string(line);
}

const SettingValue& ValueOf(const Settings& settings, std::string_view keyword) {
  static const auto* const kNone = new SettingValue;
  const auto it = settings.find(keyword);
  return it == settings.end() || it->second.empty() ? *kNone : it->second.front();
}

std::string JoinedValue(const Setting& setting) {
  std::string text;
  for (const SettingValue& value : setting) text += (text.empty() ? "" : " ") + value.text;
  return text;
}

std::vector<std::string> DumpSettings(const Settings& settings) {
  std::vector<std::string> lines;
  for (const auto& [keyword, values] : settings) {
    if (keyword.find('.') != std::string::npos || keyword == "debianbanner") continue;
    if (ListsInOneLine(keyword)) {
      lines.push_back(keyword + " " + JoinedValue(values));
      continue;
    }
    for (const SettingValue& value : values) lines.push_back(keyword + " " + value.text);
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

void SshdParser::CommandLine() {
  command_line_ = true;
  origin_ = {std::string(kCommandLine), 0};
  Frame frame;
  const SshdParseOptions& options = config_->options_;
  ports_from_command_line_ = !options.command_ports.empty();
  for (const std::string& port : options.command_ports)
    if (!stopped_) OneLine("Port " + port, frame);
  for (const std::string& key : options.command_host_keys)
    if (!stopped_) OneLine("HostKey \"" + key + "\"", frame);
  for (const std::string& option : options.command_options)
    if (!stopped_ && !OneLine(option, frame)) stopped_ = true;
  command_line_ = false;
}

void SshdParser::CheckWhole() {
  for (const std::string command : {"authorizedkeyscommand", "authorizedprincipalscommand"}) {
    const SettingValue& value = ValueOf(settings_, command);
    if (!value.text.empty() && !EqualNoCase(value.text, "none") && !IsSet(command + "user")) {
      origin_ = value.origin;
      std::string why = command;
      Fatal(why.append(" without ").append(command).append("user"));
      return;
    }
  }
  const auto methods = settings_.find("authenticationmethods");
  if (methods == settings_.end() || methods->second.front().text == "any") return;
  const bool possible =
      std::any_of(methods->second.begin(), methods->second.end(), [&](const SettingValue& list) {
        const auto parts = SplitBy(list.text, ',');
        return std::all_of(parts.begin(), parts.end(), [&](const std::string& method) {
          return MethodEnabled(settings_, method);
        });
      });
  if (possible) return;
  origin_ = methods->second.front().origin;
  Fatal("no list of AuthenticationMethods can be satisfied by what is enabled");
}

SshdConfig SshdConfig::Parse(FileTree& tree, const Accounts& accounts, SshdParseOptions options) {
  SshdConfig config;
  config.options_ = std::move(options);
  config.accounts_ = accounts;
  SshdParser parser(&config, &tree);
  parser.CommandLine();
  bool loaded = true;
  if (!EqualNoCase(config.options_.path, "none")) {
    auto file = LoadConfigFile(tree, config.options_.path, &parser.problems());
    loaded = file.has_value();
    if (file) config.main_ = std::move(*file);
  }
  if (loaded && !parser.stopped()) parser.Run();
  if (!parser.stopped()) parser.CheckWhole();
  config.includes_ = std::move(parser.includes());
  config.global_ = std::move(parser.settings());
  config.problems_ = std::move(parser.problems());
  ClearNones(config.global_);
  // Completed here for its problems only: a connection completes its own.
  Settings complete = config.global_;
  Complete(complete, config.options_.strict_algorithms, &config.problems_);
  return config;
}

Settings SshdConfig::Effective(const Connection& connection,
                               std::vector<ConfigProblem>* problems) const {
  SshdParser parser(*this, connection);
  parser.Run();
  Settings settings = global_;
  for (auto& [name, setting] : parser.settings()) {
    if (setting.empty()) continue;
    const bool part = name.find('.') != std::string::npos && name.compare(0, 10, "rekeylimit") == 0;
    const Keyword* keyword = FindKeyword(name);
    const bool environment = name == "permituserenvironment" && setting.front().text != "yes" &&
                             setting.front().text != "no";
    if (part || environment || (keyword != nullptr && keyword->copied))
      settings[name] = std::move(setting);
  }
  for (const std::string_view name : {"forcecommand", "chrootdirectory"}) {
    const auto it = settings.find(name);
    if (it != settings.end() && EqualNoCase(it->second.front().text, "none"))
      it->second.front().text = "none";
  }
  std::vector<ConfigProblem> own = std::move(parser.problems());
  Complete(settings, options_.strict_algorithms, &own);
  if (problems != nullptr) *problems = std::move(own);
  return settings;
}

bool SshdConfig::Refused() const {
  return std::any_of(problems_.begin(), problems_.end(), [](const ConfigProblem& problem) {
    return problem.kind == ConfigProblem::Kind::kFatal ||
           problem.kind == ConfigProblem::Kind::kError;
  });
}

std::string SshdConfig::LineAt(const Origin& origin) const {
  const ConfigFile* file = main_.path == origin.file ? &main_ : nullptr;
  for (const Include& include : includes_)
    if (include.file && include.file->path == origin.file) file = include.file.get();
  if (file == nullptr || origin.line == 0) return "";
  std::string_view text = file->bytes;
  for (std::uint32_t line = 1; line < origin.line && !text.empty(); ++line) NextLine(&text);
  return std::string(TrimBack(NextLine(&text), " \t\r\f"));
}

std::string SshdConfig::FirstStatement() const {
  std::string_view text = main_.bytes;
  while (!text.empty()) {
    const std::string_view line = NextLine(&text);
    WordReader words{std::string(line)};
    const auto name = words.Next();
    if (!name || name->empty() || (*name)[0] == '#') continue;
    const std::string_view rest = TrimBack(words.rest().value_or(""), " \t\r\f");
    return AsciiLower(*name) + " " + std::string(rest);
  }
  return "";
}

std::vector<std::string> SshdConfig::Files() const {
  std::vector<std::string> files;
  if (!main_.path.empty()) files.push_back(main_.path);
  for (const Include& include : includes_) {
    if (include.file && std::find(files.begin(), files.end(), include.file->path) == files.end())
      files.push_back(include.file->path);
  }
  return files;
}

}  // namespace culprit
