// SPDX-License-Identifier: Apache-2.0
// Values: what each keyword takes, and how what it says meets what was said before.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "agent/posture/sshd_parser.h"
#include "agent/posture/sshd_patterns.h"
#include "common/ascii.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxPorts = 256, kMaxSubsystems = 256;

std::string JoinWords(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

}  // namespace

const std::string* SshdParser::Need(Line& line) {
  const std::string* argument = line.arguments.Next();
  if (argument != nullptr && !argument->empty()) return argument;
  Fatal("no value for " + std::string(line.keyword->name));
  return nullptr;
}

void SshdParser::Note(const std::string& keyword, std::string text) {
  if (first_ != nullptr) first_->lines_.push_back({keyword, std::move(text), origin_, match_});
}

void SshdParser::Offer(const std::string& keyword, std::string text) {
  Note(keyword, text);
  if (active_ && !IsSet(keyword)) settings_[keyword] = {{std::move(text), origin_}};
}

void SshdParser::Replace(const std::string& keyword, std::string text) {
  Note(keyword, text);
  if (active_) settings_[keyword] = {{std::move(text), origin_}};
}

void SshdParser::Append(const std::string& keyword, std::string text) {
  if (active_) settings_[keyword].push_back({std::move(text), origin_});
}

bool SshdParser::ApplyValue(Line& line) {
  const std::string name(line.keyword->canonical);
  switch (line.keyword->form) {
    case ValueForm::kFlag:
    case ValueForm::kChoice:
      return Choice(line);
    case ValueForm::kTime: {
      const std::string* text = Need(line);
      if (text == nullptr) return false;
      const auto seconds = SshdTime(*text);
      if (!seconds) return Fatal("bad time " + *text);
      Offer(name, std::to_string(*seconds));
      return true;
    }
    case ValueForm::kInt: {
      const std::string* text = line.arguments.Next();
      const auto value = SshdInt(text == nullptr ? "" : *text);
      if (!value) return Fatal("bad number for " + name);
      Offer(name, std::to_string(*value));
      return true;
    }
    case ValueForm::kPath:
    case ValueForm::kTildePath:
    case ValueForm::kWord:
    case ValueForm::kSocket:
    case ValueForm::kProvider:
    case ValueForm::kHostKey:
    case ValueForm::kHostCertificate:
      return Path(line);
    case ValueForm::kAlgorithms:
    case ValueForm::kKeyAlgorithms:
    case ValueForm::kGssAlgorithms:
      return Algorithms(line);
    default:
      return ApplyList(line);
  }
}

bool SshdParser::ApplyList(Line& line) {
  switch (line.keyword->form) {
    case ValueForm::kUsers:
    case ValueForm::kGroups:
    case ValueForm::kAcceptEnv:
    case ValueForm::kSetEnv:
    case ValueForm::kKeyFiles:
      return Environment(line);
    case ValueForm::kLogVerbose:
      return Verbosity(line);
    case ValueForm::kChannelTimeout:
    case ValueForm::kUnusedTimeout:
      return Timeouts(line);
    case ValueForm::kMethods:
      return Methods(line);
    case ValueForm::kForwards:
      return Forwards(line);
    case ValueForm::kPort:
      return Port(line);
    case ValueForm::kListen:
      return Listen(line);
    case ValueForm::kSubsystem:
      return SubsystemLine(line);
    default:
      return ApplyOdd(line);
  }
}

bool SshdParser::ApplyOdd(Line& line) {
  switch (line.keyword->form) {
    case ValueForm::kMaxStartups:
      return Startups(line);
    case ValueForm::kNetBlock:
    case ValueForm::kPerSource:
      return Sources(line);
    case ValueForm::kQos:
      return Quality(line);
    case ValueForm::kKeyOptions:
      return KeyOptions(line);
    case ValueForm::kRekey:
      return Rekey(line);
    case ValueForm::kRest:
    case ValueForm::kVersionText:
    case ValueForm::kCommand:
      return RestOfLine(line);
    case ValueForm::kRdomain:
      return Fatal("RDomain does not exist on Linux");
    default:
      return NameOf(line);
  }
}

bool SshdParser::Choice(Line& line) {
  const std::string* text = Need(line);
  if (text == nullptr) return false;
  for (const auto& [written, meant] : ChoicesOf(line.keyword->canonical)) {
    if (!EqualNoCase(*text, written)) continue;
    Offer(std::string(line.keyword->canonical), std::string(meant));
    return true;
  }
  return Fatal("unsupported value " + *text);
}

std::string SshdParser::ExpandTilde(const std::string& path) {
  if (path.empty() || path[0] != '~') return path;
  const std::size_t slash = std::min(path.find('/'), path.size());
  const std::string user = path.substr(1, slash - 1);
  const Account* account =
      user.empty() ? config_->accounts_.FindUid(0) : config_->accounts_.Find(user);
  if (account == nullptr) {
    Fatal("no such user in " + path);
    return path;
  }
  const std::size_t rest = std::min(path.find_first_not_of('/', slash), path.size());
  const bool separator = account->home.empty() || account->home.back() != '/';
  return account->home + (separator ? "/" : "") + path.substr(rest);
}

std::string SshdParser::Absolute(const std::string& path) const {
  return !path.empty() && path[0] == '/' ? path : config_->options_.working_folder + "/" + path;
}

bool SshdParser::Path(Line& line) {
  const std::string* text = Need(line);
  if (text == nullptr) return false;
  const std::string name(line.keyword->canonical);
  const ValueForm form = line.keyword->form;
  std::string value = *text;
  const bool plain = form == ValueForm::kWord ||
                     (form == ValueForm::kSocket && value == "SSH_AUTH_SOCK") ||
                     (form == ValueForm::kProvider && EqualNoCase(value, "internal"));
  if (form == ValueForm::kTildePath) {
    value = ExpandTilde(value);
  } else if (!plain) {
    value = EqualNoCase(value, "none") ? "none" : Absolute(ExpandTilde(value));
  }
  if (stopped_) return false;
  if (form == ValueForm::kHostKey || form == ValueForm::kHostCertificate) {
    Note(name, value);
    Append(name, value);
  } else {
    Offer(name, value);
  }
  return true;
}

bool SshdParser::Algorithms(Line& line) {
  const std::string* text = Need(line);
  if (text == nullptr) return false;
  const std::string name(line.keyword->canonical);
  const bool modified = (*text)[0] == '+' || (*text)[0] == '^';
  const bool gss = line.keyword->form == ValueForm::kGssAlgorithms;
  if ((gss || (*text)[0] != '-') &&
      !AlgorithmsAreKnown(name, modified && !gss ? text->substr(1) : *text)) {
    if (config_->options_.strict_algorithms) return Fatal("unknown algorithm in " + *text);
    Skew("an algorithm that OpenSSH 9.2 does not know: " + *text);
  }
  Offer(name, *text);
  return true;
}

// Users, groups and variables: what adds up, and what the first line decides as a whole.
bool SshdParser::Environment(Line& line) {
  const std::string name(line.keyword->canonical);
  const ValueForm form = line.keyword->form;
  const bool whole = form == ValueForm::kSetEnv || form == ValueForm::kKeyFiles;
  const bool taken = whole && IsSet(name);
  std::vector<std::string> values;
  while (const std::string* argument = line.arguments.Next()) {
    const bool equals = argument->find('=') != std::string::npos;
    if (argument->empty() && form == ValueForm::kKeyFiles) return Bad("an empty file name");
    if (argument->empty()) return Fatal("an empty value for " + name);
    if (form == ValueForm::kUsers && !UserPatternIsValid(*argument))
      return Fatal("bad pattern " + *argument);
    if (form == ValueForm::kAcceptEnv && equals) return Fatal("bad variable " + *argument);
    if (form == ValueForm::kSetEnv && !equals) return Fatal("bad variable " + *argument);
    std::string value = form == ValueForm::kKeyFiles ? ExpandTilde(*argument) : *argument;
    if (stopped_) return false;
    values.push_back(value);
    if (taken) continue;
    const std::string variable = value.substr(0, value.find('=') + 1);
    if (form == ValueForm::kSetEnv && active_ && IsSet(name)) {
      const Setting& known = settings_[name];
      if (std::any_of(known.begin(), known.end(), [&](const SettingValue& other) {
            return other.text.compare(0, variable.size(), variable) == 0;
          }))
        continue;
    }
    Append(name, std::move(value));
  }
  Note(name, JoinWords(values));
  return true;
}

bool SshdParser::Verbosity(Line& line) {
  const bool taken = IsSet("logverbose");
  std::vector<std::string> values;
  while (const std::string* argument = line.arguments.Next()) {
    if (argument->empty()) return Bad("an empty value for LogVerbose");
    if (EqualNoCase(*argument, "none") && (!values.empty() || line.arguments.left() > 0))
      return Bad("none must stand alone");
    values.push_back(*argument);
    if (!taken) Append("logverbose", *argument);
  }
  Note("logverbose", JoinWords(values));
  return true;
}

bool SshdParser::Timeouts(Line& line) {
  const std::string name(line.keyword->canonical);
  if (line.keyword->form == ValueForm::kUnusedTimeout) {
    const std::string* text = line.arguments.Peek();
    if (text != nullptr && EqualNoCase(*text, "none")) {
      line.arguments.Next();
      Replace(name, "none");
      return true;
    }
    text = Need(line);
    if (text == nullptr) return false;
    const auto seconds = SshdTime(*text);
    if (!seconds) return Fatal("bad time " + *text);
    Offer(name, *seconds == 0 ? "none" : std::to_string(*seconds));
    return true;
  }
  const bool taken = IsSet(name);
  std::vector<std::string> values;
  while (const std::string* argument = line.arguments.Next()) {
    const std::size_t equals = argument->find('=');
    if (EqualNoCase(*argument, "none")) {
      if (line.arguments.left() > 0) return Bad("none must stand alone");
    } else if (equals == std::string::npos || equals == 0 ||
               !SshdTime(argument->substr(equals + 1))) {
      return Fatal("bad channel timeout " + *argument);
    }
    values.push_back(*argument);
    if (!taken) Append(name, *argument);
  }
  Note(name, JoinWords(values));
  return true;
}

bool SshdParser::Methods(Line& line) {
  constexpr std::array<std::string_view, 7> kMethods = {"none",         "publickey",
                                                        "gssapi-keyex", "gssapi-with-mic",
                                                        "password",     "keyboard-interactive",
                                                        "hostbased"};
  const std::string name = "authenticationmethods";
  const bool taken = IsSet(name);
  bool any = false;
  std::vector<std::string> values;
  while (const std::string* argument = line.arguments.Next()) {
    if (*argument == "any") {
      if (IsSet(name)) return Fatal("any must stand alone in AuthenticationMethods");
      any = true;
    } else if (any) {
      return Fatal("any must stand alone in AuthenticationMethods");
    } else {
      for (const std::string& method : SplitBy(*argument, ',')) {
        const std::string base = method.substr(0, method.find(':'));
        if (std::find(kMethods.begin(), kMethods.end(), base) == kMethods.end())
          return Fatal("unknown authentication method in " + *argument);
      }
    }
    values.push_back(*argument);
    if (!taken) Append(name, *argument);
  }
  if (values.empty()) return Fatal("no AuthenticationMethods given");
  Note(name, JoinWords(values));
  return true;
}

bool SshdParser::Forwards(Line& line) {
  const std::string name(line.keyword->canonical);
  const std::string* argument = Need(line);
  if (argument == nullptr) return false;
  const bool taken = IsSet(name);
  if (*argument == "any" || *argument == "none") {
    Offer(name, *argument);
    return true;
  }
  std::vector<std::string> values;
  for (; argument != nullptr && !argument->empty(); argument = line.arguments.Next()) {
    std::string value = *argument, port = *argument;
    if (name == "permitlisten" && value.find(':') == std::string::npos) {
      value.insert(0, "*:");
    } else {
      const auto parts = SplitHostPort(*argument);
      if (!parts) return Fatal("no host in " + *argument);
      if (!parts->port) return Fatal("no port in " + *argument);
      port = *parts->port;
    }
    if (port != "*" && SshdPort(port) <= 0) return Fatal("bad port in " + *argument);
    values.push_back(value);
    if (!taken) Append(name, std::move(value));
  }
  Note(name, JoinWords(values));
  return true;
}

bool SshdParser::Port(Line& line) {
  if (ports_from_command_line_ && !command_line_) {
    line.arguments.Consume();
    return true;
  }
  if (IsSet("port") && settings_["port"].size() >= kMaxPorts) return Fatal("too many ports");
  const std::string* text = Need(line);
  if (text == nullptr) return false;
  const int port = SshdPort(*text);
  if (port <= 0) return Fatal("bad port " + *text);
  Note("port", std::to_string(port));
  settings_["port"].push_back({std::to_string(port), origin_});
  return true;
}

bool SshdParser::Listen(Line& line) {
  const std::string* text = Need(line);
  if (text == nullptr) return false;
  std::string host = *text;
  int port = 0;
  const bool bare_v6 =
      host.find('[') == std::string::npos && std::count(host.begin(), host.end(), ':') > 1;
  if (!bare_v6) {
    const auto parts = SplitHostPort(host);
    if (!parts) return Fatal("bad address " + *text);
    host = WithoutBrackets(parts->host);
    if (parts->port && (port = SshdPort(*parts->port)) <= 0) return Fatal("bad port in " + *text);
  }
  if (const std::string* word = line.arguments.Next()) {
    if (*word != "rdomain" || line.arguments.Next() == nullptr) return Fatal("bad ListenAddress");
  }
  Note("listenaddress", *text);
  settings_["listenaddress.asked"].push_back({host + " " + std::to_string(port), origin_});
  return true;
}

bool SshdParser::SubsystemLine(Line& line) {
  Setting& known = settings_["subsystem"];
  if (known.size() >= kMaxSubsystems) return Fatal("too many subsystems");
  const std::string* name = Need(line);
  if (name == nullptr) return false;
  for (const SettingValue& other : known)
    if (other.text.compare(0, name->size() + 1, *name + " ") == 0)
      return Fatal("subsystem " + *name + " is already defined");
  const std::string* command = Need(line);
  if (command == nullptr) return false;
  std::string text = *name + " " + *command;
  while (const std::string* argument = line.arguments.Next()) text += " " + *argument;
  Note("subsystem", text);
  known.push_back({std::move(text), origin_});
  return true;
}

bool SshdParser::RestOfLine(Line& line) {
  const std::string name(line.keyword->canonical);
  const std::string text(TrimFront(line.rest, " \t\r\n"));
  line.arguments.Consume();
  if (line.keyword->form == ValueForm::kVersionText) {
    if (text.find('\r') != std::string::npos) return Fatal("bad VersionAddendum");
    Offer(name, EqualNoCase(text, "none") ? "none" : text);
    return true;
  }
  if (line.keyword->form == ValueForm::kCommand) {
    if ((text.empty() || text[0] != '/') && !EqualNoCase(text, "none"))
      return Fatal(name + " must be an absolute path");
    // sshd 9.2 asks for both commands whether that of keys is set, so that of principals is not the
    // first to win.
    Note(name, text);
    if (active_ && !IsSet("authorizedkeyscommand")) settings_[name] = {{text, origin_}};
    return true;
  }
  Offer(name, text);
  return true;
}

}  // namespace culprit
