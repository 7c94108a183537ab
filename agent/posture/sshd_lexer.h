// SPDX-License-Identifier: Apache-2.0
// How sshd takes a line apart: two tokenisers (one for keyword and Match, one for arguments), and
// its numbers. Stage: posture, pure. Thread: values. Judged against the real sshd by
// tests/bench/sshd_differential.py.
#ifndef CULPRIT_AGENT_POSTURE_SSHD_LEXER_H_
#define CULPRIT_AGENT_POSTURE_SSHD_LEXER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culprit {

// Words by white space and at most one '='. A word that starts a quote ends at the next one.
class WordReader {
 public:
  explicit WordReader(std::string text) : text_(std::move(text)) {}
  // nullopt: nothing is left, or a quote does not end.
  std::optional<std::string> Next();
  // What is left; nullopt after the last word.
  std::optional<std::string_view> rest() const;
  void Finish() { ended_ = true; }

 private:
  std::string text_;
  std::size_t at_ = 0;
  bool ended_ = false;
};

// Arguments with quotes of both kinds and backslashes, up to a '#' that begins a word. nullopt: a
// quote does not end.
std::optional<std::vector<std::string>> SplitArguments(std::string_view text);

// 0..INT_MAX, whole text; nullopt: not such a number.
std::optional<int> SshdInt(const std::string& text);
// Seconds of "1h30", "90", "1w2d".
std::optional<int> SshdTime(const std::string& text);
// A port number or the name of one of a few well-known services; -1: neither.
int SshdPort(const std::string& text);
// Bytes of "1G", "512k"; nullopt: not a size.
std::optional<std::int64_t> SshdSize(const std::string& text);

bool EqualNoCase(std::string_view a, std::string_view b);
std::vector<std::string> SplitBy(std::string_view text, char separator);

// HOST and what follows its ':' or '/'; a host in brackets keeps them in `host`. nullopt: bad.
struct HostPort {
  std::string host;
  std::optional<std::string> port;
};
std::optional<HostPort> SplitHostPort(const std::string& text);
// Without the brackets of "[2001:db8::1]".
std::string WithoutBrackets(const std::string& host);

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_SSHD_LEXER_H_
