// SPDX-License-Identifier: Apache-2.0
// Lines, Include and Match. sshd_values.cc has the values.
#include "agent/posture/sshd_parser.h"

#include <algorithm>
#include <utility>

#include "agent/posture/sshd_patterns.h"
#include "common/ascii.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxBytes = std::size_t{4} << 20;
constexpr std::size_t kMaxLines = 100'000;
constexpr std::size_t kMaxFiles = 2'000;
constexpr std::size_t kMaxGlob = 1'000;
constexpr std::size_t kMaxProblems = 200;
constexpr int kMaxDepth = 16;

// sshd reads by line, drops blanks before each, and keeps a line up to a NUL, with it the line's
// end.
std::string KeepLines(std::string_view raw) {
  std::string kept;
  while (!raw.empty()) {
    const std::size_t end = std::min(raw.find('\n'), raw.size() - 1) + 1;
    const std::string_view line = raw.substr(0, end);
    raw.remove_prefix(end);
    kept += TrimFront(line.substr(0, line.find('\0')), " \t\r");
  }
  return kept;
}

}  // namespace

std::optional<ConfigFile> LoadConfigFile(FileTree& tree, const std::string& path,
                                         std::vector<ConfigProblem>* problems) {
  using Kind = ConfigProblem::Kind;
  const auto info = tree.Stat(path);
  if (info && info->kind == FileKind::kDirectory) return ConfigFile{path, ""};  // reads as nothing
  auto content = tree.Read(path, kMaxFileBytes);
  if (!content) {
    problems->push_back({Kind::kFatal, {path, 0}, content.error().message});
    return std::nullopt;
  }
  if (content->cut)
    problems->push_back({Kind::kBounded, {path, 0}, "longer than 1 MiB: the rest is not read"});
  if (content->changed)
    problems->push_back({Kind::kBounded, {path, 0}, "changed while it was read"});
  return ConfigFile{path, KeepLines(content->bytes)};
}

void SshdParser::Run() {
  active_ = connection_ == nullptr;
  includes_ = config_->includes_;
  Frame frame;
  frame.match_only = connection_ != nullptr;
  File(config_->main_, frame);
}

void SshdParser::File(const ConfigFile& file, Frame frame) {
  if (frame.depth > kMaxDepth) {
    Fatal("too many nested includes");
    return;
  }
  bytes_ += file.bytes.size();
  if (++files_ > kMaxFiles || bytes_ > kMaxBytes) {
    problems_.push_back({ConfigProblem::Kind::kBounded, {file.path, 0}, "too much is included"});
    stopped_ = true;
    return;
  }
  const Origin outer = std::exchange(origin_, Origin{file.path, 0});
  bool bad = false;
  std::string_view text = file.bytes;
  for (bool more = true; more && !stopped_;) {
    const std::size_t end = text.find('\n');
    more = end != std::string_view::npos;
    ++origin_.line;
    if (++lines_ > kMaxLines) {
      problems_.push_back({ConfigProblem::Kind::kBounded, origin_, "too many lines"});
      stopped_ = true;
      break;
    }
    bad |= !OneLine(std::string(text.substr(0, end)), frame);
    if (more) text.remove_prefix(end + 1);
  }
  if (bad) stopped_ = true;
  origin_ = outer;
}

bool SshdParser::OneLine(std::string text, Frame& frame) {
  while (text.size() > 1 && std::string_view(" \t\r\n\f").find(text.back()) != std::string::npos)
    text.pop_back();
  if (text.empty()) return true;
  WordReader words(std::move(text));
  auto name = words.Next();
  if (name && name->empty()) name = words.Next();
  if (!name || name->empty() || (*name)[0] == '#') return true;
  const auto rest = words.rest();
  if (!rest || rest->empty()) return Bad("no argument after " + *name);
  Line line;
  line.keyword = FindKeyword(*name);
  line.rest = std::string(*rest);
  const bool later = line.keyword != nullptr && line.keyword->form == ValueForm::kLater;
  if (line.keyword == nullptr || (later && config_->options_.strict_algorithms)) {
    if (connection_ != nullptr && !active_) return true;
    if (!active_) return Fatal("unknown keyword " + *name + ", in a Match block");
    return Bad("unknown keyword " + *name);
  }
  if (later) {
    Skew("keyword " + *name + " is of a later version than OpenSSH 9.2");
    return true;
  }
  auto arguments = SplitArguments(line.rest);
  if (!arguments) return Bad("a quote does not end");
  line.arguments = Arguments(std::move(*arguments));
  if (!active_ && !line.keyword->in_match) {
    if (connection_ != nullptr) return true;
    return Fatal(*name + " is not allowed within a Match block");
  }
  if (!Apply(line, frame)) return stopped_;
  if (line.arguments.left() > 0) return Bad("extra arguments after " + *name);
  return true;
}

bool SshdParser::Apply(Line& line, Frame& frame) {
  switch (line.keyword->form) {
    case ValueForm::kMatch:
      if (command_line_) return Fatal("Match is not an option of the command line");
      EnterMatch(line, frame);
      return !stopped_;
    case ValueForm::kInclude:
      if (command_line_) return Fatal("Include is not an option of the command line");
      return IncludeFiles(line, frame);
    case ValueForm::kIgnored:
      line.arguments.Consume();
      return true;
    default:
      return ApplyValue(line);
  }
}

bool SshdParser::IncludeFiles(Line& line, Frame& frame) {
  if (line.arguments.left() == 0) return Fatal("Include without a file");
  while (const std::string* argument = line.arguments.Next()) {
    if (argument->empty()) return Bad("Include with an empty argument");
    const bool absolute = (*argument)[0] == '/' || (*argument)[0] == '~';
    if (!IncludeOne(absolute ? *argument : config_->options_.include_folder + "/" + *argument,
                    frame))
      return false;
  }
  return true;
}

// What a pattern led to is kept: every later pass, and every later Include of it, sees the same
// files.
bool SshdParser::IncludeOne(const std::string& selector, Frame& frame) {
  const bool active = active_;
  const int match = match_;
  Frame inner;
  inner.match_only = frame.match_only;
  inner.never_match = !frame.match_only && !active;
  inner.depth = frame.depth + 1;
  bool known = false;
  for (std::size_t i = 0; i < includes_.size() && !stopped_; ++i) {
    if (includes_[i].selector != selector) continue;
    known = true;
    if (includes_[i].file) {
      const auto file = includes_[i].file;  // the list may grow meanwhile
      File(*file, inner);
    }
    active_ = active;
    match_ = match;
  }
  if (known || stopped_) return !stopped_;
  if (tree_ == nullptr) return true;
  const auto paths = Glob(*tree_, selector, kMaxGlob);
  if (paths.empty()) includes_.push_back({selector, nullptr});
  for (const std::string& path : paths) {
    auto file = LoadConfigFile(*tree_, path, &problems_);
    if (!file) {
      stopped_ = true;
      return false;
    }
    File(*file, inner);
    active_ = active;
    match_ = match;
    if (stopped_) return false;
    includes_.push_back({selector, std::make_shared<const ConfigFile>(std::move(*file))});
  }
  return true;
}

void SshdParser::EnterMatch(Line& line, Frame& frame) {
  if (first_ != nullptr) {
    match_ = static_cast<int>(first_->matches_.size());
    first_->matches_.push_back({origin_, line.rest});
  }
  WordReader words(line.rest);
  const int matched = MatchLine(words, frame.never_match ? nullptr : connection_);
  if (stopped_) return;
  if (matched < 0) {
    Fatal("bad Match condition");
    return;
  }
  active_ = !frame.never_match && matched != 0;
  frame.match_only = false;
  const auto rest = words.rest();
  if (!rest || rest->empty()) line.arguments.Consume();
}

int SshdParser::MatchLine(WordReader& words, const Connection* connection) {
  int result = 1, attributes = 0;
  for (;;) {
    const auto name = words.Next();
    if (!name || name->empty()) break;
    if ((*name)[0] == '#') {
      words.Finish();
      break;
    }
    ++attributes;
    const auto argument = words.Next();
    const bool missing = !argument || argument->empty() || (*argument)[0] == '#';
    if (EqualNoCase(*name, "all")) {
      if (attributes > 1 || !missing) return -1;
      if (argument && !argument->empty()) words.Finish();
      return 1;
    }
    if (missing) return -1;
    const int matched = Criterion(*name, *argument, connection);
    if (matched < 0) return -1;
    if (matched == 0) result = 0;
  }
  return attributes == 0 ? -1 : result;
}

int SshdParser::Criterion(const std::string& name, const std::string& argument,
                          const Connection* connection) {
  const auto list = [&](const std::string& text) {
    return !text.empty() && MatchPatternList(text, argument) == 1 ? 1 : 0;
  };
  const auto address = [&](const std::string* text) {
    if (text == nullptr || text->empty()) {
      if (MatchAddressList("", argument) != 0) Fatal("bad address list " + argument);
      return 0;
    }
    const int matched = MatchAddressList(*text, argument);
    return matched == -2 ? -1 : matched == 1 ? 1 : 0;
  };
  if (EqualNoCase(name, "user")) return connection == nullptr ? 0 : list(connection->user);
  if (EqualNoCase(name, "group")) {
    if (connection == nullptr) return 0;
    const Account* account = config_->accounts_.Find(connection->user);
    return account != nullptr && MatchGroups(config_->accounts_.GroupsOf(*account), argument) ? 1
                                                                                              : 0;
  }
  if (EqualNoCase(name, "host")) {
    if (connection == nullptr || connection->host.empty()) return 0;
    return MatchHostName(connection->host, argument) == 1 ? 1 : 0;
  }
  if (EqualNoCase(name, "address"))
    return address(connection == nullptr ? nullptr : &connection->address);
  if (EqualNoCase(name, "localaddress"))
    return address(connection == nullptr ? nullptr : &connection->local_address);
  if (EqualNoCase(name, "localport")) {
    const int port = SshdPort(argument);
    if (port == -1) return -1;
    return connection != nullptr && port == connection->local_port ? 1 : 0;
  }
  if (EqualNoCase(name, "rdomain")) return 0;  // routing domains do not exist on Linux
  return -1;
}

bool SshdParser::Fatal(std::string what) {
  stopped_ = true;
  if (problems_.size() < kMaxProblems)
    problems_.push_back({ConfigProblem::Kind::kFatal, origin_, std::move(what)});
  return false;
}

bool SshdParser::Bad(std::string what) {
  if (problems_.size() < kMaxProblems)
    problems_.push_back({ConfigProblem::Kind::kError, origin_, std::move(what)});
  return false;
}

void SshdParser::Skew(std::string what) {
  if (connection_ == nullptr && problems_.size() < kMaxProblems)
    problems_.push_back({ConfigProblem::Kind::kSkew, origin_, std::move(what)});
}

}  // namespace culprit
