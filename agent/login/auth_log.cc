// SPDX-License-Identifier: Apache-2.0
#include "agent/login/auth_log.h"

#include "agent/login/syslog_header.h"
#include "agent/login/text_cursor.h"
#include "common/ascii.h"

namespace culprit {
namespace {

struct KeyInfo {
  std::string_view type, fingerprint, certificate_id, ca_fingerprint;
  std::uint64_t serial = 0;
};

bool IsFingerprint(std::string_view text) {
  return text.size() > 4 && (text.starts_with("SHA256:") || text.starts_with("MD5:"));
}

// "ED25519 SHA256:…", with ", …" behind it for what a host key adds, or for a certificate
// "ED25519-CERT SHA256:… ID text (serial 7) CA RSA SHA256:…".
bool ReadKeyInfo(std::string_view text, KeyInfo* out) {
  out->type = Word(&text);
  out->fingerprint = Word(&text);
  const bool more = EatEnd(&out->fingerprint, ",");
  if (out->type.empty() || !IsFingerprint(out->fingerprint)) return false;
  if (text.empty() || more) return text.empty() != more;
  if (!Eat(&text, "ID ")) return false;
  out->ca_fingerprint = LastWord(&text);
  LastWord(&text);  // type of the CA's key
  if (!IsFingerprint(out->ca_fingerprint) || !EatEnd(&text, ") CA")) return false;
  const std::size_t serial = text.rfind(" (serial ");
  if (serial == std::string_view::npos || !ToNumber(text.substr(serial + 9), &out->serial)) {
    return false;
  }
  out->certificate_id = text.substr(0, serial);
  return true;
}

bool ReadAddress(std::string_view text, IpAddress* out) {
  text = text.substr(0, text.find('%'));  // a link-local address has its interface behind it
  auto parsed = IpAddress::Parse(text);
  if (parsed) *out = *parsed;
  return parsed.has_value();
}

// "ADDR port N", taken off the right end.
bool TakePeer(std::string_view* text, Endpoint* out) {
  const std::string_view port = LastWord(text);
  return ToNumber(port, &out->port) && LastWord(text) == "port" &&
         ReadAddress(LastWord(text), &out->address);
}

struct Reading {
  std::string_view user;
  Endpoint from;
  KeyInfo key;
  bool has_key = false;
};

// One way to read "USER from ADDR port N ssh2[: KEY]": with the " from " at `at`.
bool ReadFrom(std::string_view text, std::size_t at, Reading* out) {
  out->user = text.substr(0, at);
  std::string_view rest = text.substr(at + 6);
  if (!ReadAddress(Word(&rest), &out->from.address) || Word(&rest) != "port" ||
      !ToNumber(Word(&rest), &out->from.port) || !Eat(&rest, "ssh2")) {
    return false;
  }
  out->has_key = Eat(&rest, ": ");
  return out->has_key ? ReadKeyInfo(rest, &out->key) : rest.empty();
}

// All ways: the first is in `out`.
int CountReadings(std::string_view text, Reading* out) {
  int found = 0;
  for (std::size_t at = text.find(" from "); at != std::string_view::npos;
       at = text.find(" from ", at + 1)) {
    Reading reading;
    if (ReadFrom(text, at, &reading) && found++ == 0) *out = reading;
  }
  return found;
}

void Take(const Reading& reading, LoginLine* line) {
  line->user = reading.user;
  line->from = reading.from;
  if (!reading.has_key) return;
  line->key_type = reading.key.type;
  line->key_fingerprint = reading.key.fingerprint;
  line->certificate_id = reading.key.certificate_id;
  line->certificate_serial = reading.key.serial;
  line->ca_fingerprint = reading.key.ca_fingerprint;
}

// Behind "Accepted " or "Failed ": METHOD for [invalid user ]USER from …
bool ReadAttempt(std::string_view text, LoginLineKind kind, LoginLine* line) {
  line->method = Word(&text);
  if (line->method.empty() || !Eat(&text, "for ")) return false;
  line->invalid_user = Eat(&text, "invalid user ");
  Reading reading;
  const int readings = CountReadings(text, &reading);
  if (readings == 0) return false;
  line->kind = kind;
  // Who was let in has an account, and no account is named so. A name that was only tried may be
  // anything.
  line->ambiguous = readings > 1 && kind != LoginLineKind::kAccepted;
  if (!line->ambiguous) Take(reading, line);
  return true;
}

// "USER from ADDR port N", the name being anything.
bool ReadNamed(std::string_view text, LoginLineKind kind, LoginLine* line) {
  Endpoint from;
  if (!TakePeer(&text, &from)) return false;
  if (text == "from") {
    text = {};
  } else if (!EatEnd(&text, " from")) {
    return false;
  }
  line->kind = kind;
  line->user = text;
  line->from = from;
  return true;
}

// "Connection closed by [authenticating user NAME ]ADDR port N", before anybody was let in.
bool ReadClosed(std::string_view text, LoginLine* line) {
  Endpoint from;
  if (!TakePeer(&text, &from)) return false;
  line->invalid_user = Eat(&text, "invalid user ");
  if (line->invalid_user || Eat(&text, "authenticating user ")) {
    line->user = text;
  } else if (!text.empty()) {
    return false;
  }
  line->kind = LoginLineKind::kClosed;
  line->method = "closed";
  line->from = from;
  return true;
}

bool ReadKeyFound(std::string_view text, LoginLine* line) {
  KeyInfo key;
  key.type = Word(&text);
  key.fingerprint = Word(&text);
  if (!IsFingerprint(key.fingerprint) || !Eat(&text, "found at ")) return false;
  line->kind = LoginLineKind::kKeyFound;
  line->key_type = key.type;
  line->key_fingerprint = key.fingerprint;
  line->key_found_at = text;
  return true;
}

void ReadSshd(std::string_view text, LoginLine* line) {
  const bool preauth = EatEnd(&text, " [preauth]");
  Eat(&text, "error: ");
  if (Eat(&text, "Accepted key ")) {
    ReadKeyFound(text, line);
  } else if (Eat(&text, "Accepted ")) {
    ReadAttempt(text, LoginLineKind::kAccepted, line);
  } else if (Eat(&text, "Failed ")) {
    ReadAttempt(text, LoginLineKind::kFailed, line);
  } else if (Eat(&text, "Invalid user ")) {
    line->method = "invalid user";
    line->invalid_user = true;
    ReadNamed(text, LoginLineKind::kInvalidUser, line);
  } else if (Eat(&text, "maximum authentication attempts exceeded for ")) {
    line->method = "too many";
    line->invalid_user = Eat(&text, "invalid user ");
    if (EatEnd(&text, " ssh2")) ReadNamed(text, LoginLineKind::kTooMany, line);
  } else if (preauth && (Eat(&text, "Connection closed by ") ||
                         Eat(&text, "Connection reset by ") || Eat(&text, "Disconnected from "))) {
    ReadClosed(text, line);
  }
}

void ReadLogin(std::string_view text, LoginLine* line) {
  if (!Eat(&text, "pam_unix(login:session): session opened for user ")) return;
  line->user = text.substr(0, text.find_first_of("( "));
  if (!line->user.empty()) line->kind = LoginLineKind::kConsole;
}

// "… with fingerprint: SHA256:…, …, for IAM principal: arn:…"
void ReadInstanceConnect(std::string_view text, LoginLine* line) {
  constexpr std::string_view kFingerprint = "fingerprint: ", kPrincipal = "principal: ";
  const std::size_t at = text.find(kFingerprint);
  if (at == std::string_view::npos) return;
  text.remove_prefix(at + kFingerprint.size());
  const std::string_view key = text.substr(0, text.find_first_of(", "));
  const std::size_t who = text.rfind(kPrincipal);
  if (who == std::string_view::npos) return;
  text.remove_prefix(who + kPrincipal.size());
  if (!IsFingerprint(key)) return;
  line->kind = LoginLineKind::kKeyHandedOut;
  line->key_fingerprint = key;
  line->principal = TrimBack(text, " .");
}

}  // namespace

std::optional<LoginLine> ParseAuthMessage(std::string_view program, std::uint32_t pid,
                                          std::string_view text) {
  LoginLine out;
  out.pid = pid;
  out.program = program;
  text = text.substr(0, kMaxAuthLine);
  if (Eat(&text, "message repeated ")) {
    if (!ToNumber(Word(&text), &out.times) || !Eat(&text, "times: [ ") || !EatEnd(&text, "]")) {
      return std::nullopt;
    }
  }
  if (program == "sshd" || program == "sshd-session" || program == "sshd-auth") {
    ReadSshd(text, &out);
  } else if (program == "login") {
    ReadLogin(text, &out);
  } else if (program == "ec2-instance-connect") {
    ReadInstanceConnect(text, &out);
  } else {
    return std::nullopt;
  }
  return out;
}

std::optional<LoginLine> ParseAuthLine(std::string_view line, AuthLogForm form,
                                       const AuthLogClock& clock) {
  line = line.substr(0, kMaxAuthLine);
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  SyslogHeader header;
  header.program = "sshd";
  header.message = line;
  if (form == AuthLogForm::kSyslog) {
    const auto parsed = ParseSyslogHeader(line, clock);
    if (!parsed) return std::nullopt;
    header = *parsed;
  }
  auto out = ParseAuthMessage(header.program.substr(0, kMaxAuthLine), header.pid, header.message);
  if (out) out->at = header.at;
  return out;
}

}  // namespace culprit
