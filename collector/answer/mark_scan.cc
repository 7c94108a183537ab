// SPDX-License-Identifier: Apache-2.0
// Addresses, ports, protocols and instance ids within a line of a report.
#include <netinet/in.h>

#include <algorithm>
#include <charconv>

#include "collector/answer/report.h"
#include "common/ascii.h"

namespace culprit {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }
bool IsWord(char c) { return IsDigit(c) || IsLetter(c) || c == '_'; }
bool IsHex(char c) { return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

template <class T>
void AddOnce(T value, std::size_t max, std::vector<T>* out) {
  if (out->size() < max && std::ranges::find(*out, value) == out->end()) {
    out->push_back(std::move(value));
  }
}

// "198[.]51[.]100[.]7" -> "198.51.100.7", with what is left out at the end of the line.
std::string Refanged(std::string_view line) {
  std::string out;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const bool dressed = i + 2 < line.size() && (line[i] == '[' || line[i] == '(') &&
                         (line[i + 1] == '.' || line[i + 1] == ':') &&
                         (line[i + 2] == ']' || line[i + 2] == ')');
    out += dressed ? line[i + 1] : line[i];
    if (dressed) i += 2;
  }
  return out;
}

std::optional<std::uint32_t> Number(std::string_view text, std::size_t* at, std::uint32_t max) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data() + *at, text.data() + text.size(), value);
  if (error != std::errc() || value > max) return std::nullopt;
  *at = static_cast<std::size_t>(end - text.data());
  return value;
}

struct Service {
  std::string_view name;
  std::uint16_t port;
};
// As logs and people name what was tried.
constexpr Service kServices[] = {{"ssh", 22},    {"sshd", 22},   {"ssh2", 22},   {"sftp", 22},
                                 {"telnet", 23}, {"smtp", 25},   {"smtpd", 25},  {"rdp", 3389},
                                 {"ftp", 21},    {"vsftpd", 21}, {"mysql", 3306}};

class Scanner {
 public:
  explicit Scanner(std::string_view line) : text_(Refanged(line)), lower_(AsciiLower(text_)) {}

  Marks Run(std::string* rest) {
    for (std::size_t at = 0; at < text_.size();) {
      const char before = at == 0 ? ' ' : text_[at - 1];
      std::size_t end = at;
      if (!IsWord(before) || at == 0) end = MarkAt(at, before);
      if (end > at) {
        // Between blanks, so that nothing around it joins.
        std::fill(text_.begin() + static_cast<std::ptrdiff_t>(at),
                  text_.begin() + static_cast<std::ptrdiff_t>(end), ' ');
        at = end;
      } else {
        ++at;
      }
    }
    *rest = text_;
    return std::move(marks_);
  }

 private:
  static constexpr std::size_t kMax = 64;

  // How far the mark at `at` reaches that is to be blanked.
  std::size_t MarkAt(std::size_t at, char before) {
    const char c = lower_[at];
    if (c == '[' || IsHex(c) || c == ':') {
      const std::size_t end = SixAt(at);
      if (end > at) return end;
    }
    if (IsDigit(c) && before != '.' && before != '-') {
      const std::size_t end = FourAt(at);
      if (end > at) return end;
      PortAndProtocol(at);
      return at;
    }
    if (lower_.compare(at, 4, "ec2-") == 0 || lower_.compare(at, 3, "ip-") == 0) {
      return HostNameAt(at);
    }
    if (lower_.compare(at, 2, "i-") == 0) return InstanceAt(at);
    if (IsLetter(c)) WordAt(at);
    return at;
  }

  void Add(const IpAddress& address) {
    if (!address.IsUnspecified()) AddOnce(address, kMax, &marks_.addresses);
  }
  void AddPort(std::uint32_t port) {
    if (port >= 1 && port <= 65535 && marks_.ports.size() < kMax) {
      marks_.ports.insert(static_cast<std::uint16_t>(port));
    }
  }

  // 192.0.2.1, 192.0.2.1:80, 192.0.2.1.80 (tcpdump), 192.0.2.1#53 (BIND).
  std::size_t FourAt(std::size_t at) {
    std::size_t end = at;
    std::uint8_t bytes[4] = {};
    for (int i = 0; i < 4; ++i) {
      if (i > 0 && (end >= text_.size() || text_[end++] != '.')) return at;
      const auto part = Number(text_, &end, 255);
      if (!part) return at;
      bytes[i] = static_cast<std::uint8_t>(*part);
    }
    if (end < text_.size() && (IsLetter(text_[end]) || text_[end] == '_')) return at;
    const bool whole = end >= text_.size() || !IsDigit(text_[end]);
    if (!whole) return at;
    Add(IpAddress::FromV4Bytes(bytes));
    return PortBehind(end);
  }
  std::size_t PortBehind(std::size_t end) {
    if (end + 1 >= text_.size() || !IsDigit(text_[end + 1])) return end;
    if (text_[end] != ':' && text_[end] != '.' && text_[end] != '#') return end;
    std::size_t after = end + 1;
    const auto port = Number(text_, &after, 65535);
    if (!port) return end;
    if (after < text_.size() && (IsDigit(text_[after]) || text_[after] == '.')) {
      // A sentence ends behind it, or it is part of something longer.
      if (after + 1 < text_.size() && IsWord(text_[after + 1])) return end;
    }
    AddPort(*port);
    return after;
  }
  // 2001:db8::1, [2001:db8::1]:443.
  std::size_t SixAt(std::size_t at) {
    const bool bracket = lower_[at] == '[';
    const std::size_t begin = bracket ? at + 1 : at;
    std::size_t end = begin;
    int colons = 0;
    while (end < text_.size() && end - begin < 45 &&
           (IsHex(text_[end]) || text_[end] == ':' || text_[end] == '.')) {
      colons += text_[end] == ':' ? 1 : 0;
      ++end;
    }
    if (end < text_.size() && (IsWord(text_[end]))) return at;
    while (end > begin && text_[end - 1] == '.') --end;
    // One colon at the end belongs to the sentence.
    std::string_view word(text_.data() + begin, end - begin);
    if (word.ends_with(':') && !word.ends_with("::")) {
      word.remove_suffix(1);
      --end;
      --colons;
    }
    if (colons < 2) return at;
    const auto address = IpAddress::Parse(word);
    if (!address || address->IsV4()) return at;
    // 12:30:45 is none, but ::1 and a:b::c are.
    Add(*address);
    if (bracket && end < text_.size() && text_[end] == ']') return PortBehind(end + 1);
    return end;
  }
  // ec2-198-51-100-7.compute-1.amazonaws.com, ip-10-0-0-5.
  std::size_t HostNameAt(std::size_t at) {
    std::size_t end = lower_.find('-', at) + 1;
    std::uint8_t bytes[4] = {};
    for (int i = 0; i < 4; ++i) {
      if (i > 0 && (end >= text_.size() || text_[end++] != '-')) return at;
      const auto part = Number(text_, &end, 255);
      if (!part) return at;
      bytes[i] = static_cast<std::uint8_t>(*part);
    }
    Add(IpAddress::FromV4Bytes(bytes));
    while (end < text_.size() && (IsWord(text_[end]) || text_[end] == '.' || text_[end] == '-')) {
      ++end;
    }
    return end;
  }
  std::size_t InstanceAt(std::size_t at) {
    std::size_t end = at + 2;
    while (end < text_.size() && IsHex(text_[end])) ++end;
    const std::size_t digits = end - at - 2;
    if (digits < 8 || digits > 17 || (end < text_.size() && IsWord(text_[end]))) return at;
    AddOnce(lower_.substr(at, end - at), kMax, &marks_.instances);
    return end;
  }
  // 22/tcp.
  void PortAndProtocol(std::size_t at) {
    std::size_t end = at;
    const auto port = Number(text_, &end, 65535);
    if (!port || end + 1 >= text_.size() || text_[end] != '/') return;
    for (const char* name : {"tcp", "udp", "sctp"}) {
      if (lower_.compare(end + 1, std::string_view(name).size(), name) == 0) AddPort(*port);
    }
  }

  void WordAt(std::size_t at) {
    std::size_t end = at;
    while (end < lower_.size() && IsWord(lower_[end])) ++end;
    const std::string_view word = std::string_view(lower_).substr(at, end - at);
    if (word == "tcp" || word == "syn") marks_.protocols.insert(IPPROTO_TCP);
    if (word == "udp") marks_.protocols.insert(IPPROTO_UDP);
    if (word == "icmp") marks_.protocols.insert(IPPROTO_ICMP);
    if (word == "sctp") marks_.protocols.insert(IPPROTO_SCTP);
    if (word == "proto" || word == "protocol") ProtocolNumber(end);
    if (IsPortWord(word)) Ports(end);
    const auto* service = std::ranges::find(kServices, word, &Service::name);
    if (service != std::ranges::end(kServices)) marks_.services.insert(service->port);
    RegionOrAccount(at, end, word);
  }
  static bool IsPortWord(std::string_view word) {
    return word.ends_with("port") || word.ends_with("ports") || word == "dpt" || word == "spt";
  }
  // Between a name and its value.
  std::size_t ToValue(std::size_t at) const {
    const std::size_t limit = std::min(at + 12, text_.size());
    while (at < limit && std::string_view(" \t:=\"'#(").find(text_[at]) != std::string_view::npos) {
      ++at;
    }
    return at;
  }
  void ProtocolNumber(std::size_t at) {
    at = ToValue(at);
    if (at >= text_.size() || !IsDigit(text_[at])) return;
    const auto number = Number(text_, &at, 255);
    if (number && (*number == IPPROTO_TCP || *number == IPPROTO_UDP || *number == IPPROTO_ICMP ||
                   *number == IPPROTO_SCTP)) {
      marks_.protocols.insert(static_cast<std::uint8_t>(*number));
    }
  }
  // "port 22", "ports: 3127/3128/8080", "ports 80, 443 and 8080".
  void Ports(std::size_t at) {
    at = ToValue(at);
    for (const char* filler : {"number ", "numbers ", "is ", "was "}) {
      if (lower_.compare(at, std::string_view(filler).size(), filler) == 0) {
        at += std::string_view(filler).size();
      }
    }
    while (at < text_.size() && IsDigit(text_[at])) {
      const auto port = Number(text_, &at, 65535);
      // A date or an address begins like a port.
      if (!port || (at < text_.size() && (IsWord(text_[at]) || text_[at] == ':'))) return;
      if (at + 1 < text_.size() && (text_[at] == '.' || text_[at] == '-') && IsDigit(text_[at + 1]))
        return;
      AddPort(*port);
      std::size_t next = at;
      while (next < text_.size() &&
             (text_[next] == ',' || text_[next] == '/' || text_[next] == ' ')) {
        ++next;
      }
      if (lower_.compare(next, 4, "and ") == 0) next += 4;
      if (next == at) return;
      at = next;
    }
  }
  void RegionOrAccount(std::size_t at, std::size_t end, std::string_view word) {
    // us-east-1, ap-southeast-2, us-gov-west-1.
    if (word.size() == 2 && end < lower_.size() && lower_[end] == '-') {
      std::size_t to = end;
      int dashes = 0;
      while (to < lower_.size() &&
             (IsLetter(lower_[to]) || IsDigit(lower_[to]) || lower_[to] == '-')) {
        dashes += lower_[to++] == '-' ? 1 : 0;
      }
      const std::string region = lower_.substr(at, to - at);
      if ((dashes == 2 || dashes == 3) && IsDigit(region.back()) && region.size() <= 20) {
        AddOnce(region, kMax, &marks_.regions);
      }
    }
    if (word != "id" && word != "account" && word != "accountid") return;
    std::size_t value = ToValue(end), digits = value;
    while (digits < text_.size() && IsDigit(text_[digits])) ++digits;
    if (digits - value == 12) AddOnce(text_.substr(value, 12), kMax, &marks_.accounts);
  }

  std::string text_;
  const std::string lower_;
  Marks marks_;
};

}  // namespace

Marks ScanMarks(std::string_view line, std::string* rest) { return Scanner(line).Run(rest); }

}  // namespace culprit
