// SPDX-License-Identifier: Apache-2.0
#include "agent/source/zeek_row.h"

#include <netinet/in.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "common/number.h"

namespace culprit {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
constexpr std::int64_t kMaxSeconds = 9'000'000'000;     // 2255; as nanoseconds it fits 64 bits
constexpr std::int64_t kLeastMillis = 100'000'000'000;  // as seconds it would be the year 5138

constexpr std::array<std::string_view, static_cast<std::size_t>(ZeekColumn::kCount)> kNames = {
    "ts",           "uid",
    "id.orig_h",    "id.orig_p",
    "id.resp_h",    "id.resp_p",
    "proto",        "service",
    "duration",     "orig_bytes",
    "resp_bytes",   "conn_state",
    "missed_bytes", "history",
    "orig_pkts",    "orig_ip_bytes",
    "resp_pkts",    "resp_ip_bytes",
    "query",        "qtype",
    "rcode",        "AA",
    "answers",      "TTLs",
    "_path"};

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// Zeek writes "\x09" for what would break a line, and "\\" for a backslash.
void AppendUnescaped(std::string_view text, std::string* out) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = text.substr(i);
    if (rest.size() >= 4 && rest.starts_with("\\x") && HexValue(rest[2]) >= 0 &&
        HexValue(rest[3]) >= 0) {
      out->push_back(static_cast<char>(HexValue(rest[2]) * 16 + HexValue(rest[3])));
      i += 3;
    } else {
      if (rest.starts_with("\\\\")) ++i;
      out->push_back(rest[0]);
    }
  }
}
std::string Unescaped(std::string_view text) {
  std::string out;
  AppendUnescaped(text, &out);
  return out;
}

// Calls `take` with each part between separators.
template <class F>
void ForEachPart(std::string_view text, std::string_view separator, F&& take) {
  while (true) {
    const std::size_t at = separator.empty() ? std::string_view::npos : text.find(separator);
    if (!take(text.substr(0, at)) || at == std::string_view::npos) return;
    text.remove_prefix(at + separator.size());
  }
}

// A whole field, found by its column; `bad` names the first that is wrong.
class Fields {
 public:
  explicit Fields(const ZeekRow& row) : row_(row) {}

  void Text(ZeekColumn column, std::string* out) {
    const std::string* text = row_.Get(column);
    *out = text == nullptr ? std::string() : *text;
  }
  template <class T>
  void Count(ZeekColumn column, std::optional<T>* out) {
    out->reset();
    const std::string* text = row_.Get(column);
    if (text == nullptr) return;
    T value{};
    if (!ParseWhole(*text, &value)) return Bad(column);
    *out = value;
  }
  void Duration(ZeekColumn column, std::optional<std::int64_t>* out) {
    out->reset();
    const std::string* text = row_.Get(column);
    if (text == nullptr) return;
    *out = ParseZeekSeconds(*text);
    if (!*out) Bad(column);
  }
  void Time(std::int64_t* out) {
    const std::string* text = row_.Get(ZeekColumn::kTs);
    const auto time = text == nullptr ? std::nullopt : ParseZeekTime(*text);
    if (!time) return Bad(ZeekColumn::kTs);
    *out = *time;
  }
  void End(ZeekColumn host, ZeekColumn port, Endpoint* out) {
    const std::string* text = row_.Get(host);
    if (text == nullptr) return Bad(host);
    const auto address = IpAddress::Parse(*text);
    if (!address) return Bad(host);
    std::optional<std::uint16_t> number;
    Count(port, &number);
    *out = {*address, number.value_or(0)};
  }
  void Protocol(const IpAddress& address, std::uint8_t* out) {
    const std::string* name = row_.Get(ZeekColumn::kProto);
    *out = 0;
    if (name == nullptr) return;
    if (*name == "tcp") *out = IPPROTO_TCP;
    if (*name == "udp") *out = IPPROTO_UDP;
    if (*name == "sctp") *out = IPPROTO_SCTP;
    if (*name == "icmp") {
      *out = static_cast<std::uint8_t>(address.IsV4() ? +IPPROTO_ICMP : +IPPROTO_ICMPV6);
    }
  }
  std::string bad() && { return std::move(bad_); }

 private:
  void Bad(ZeekColumn column) {
    if (!bad_.empty()) return;
    bad_ = kNames[static_cast<std::size_t>(column)];
    bad_ += row_.Get(column) == nullptr ? " is missing" : " cannot be read";
  }

  const ZeekRow& row_;
  std::string bad_;
};

template <class Record>
void ReadCommon(Fields* fields, Record* out) {
  fields->Time(&out->wall_ns);
  fields->Text(ZeekColumn::kUid, &out->uid);
  fields->End(ZeekColumn::kOrigHost, ZeekColumn::kOrigPort, &out->originator);
  fields->End(ZeekColumn::kRespHost, ZeekColumn::kRespPort, &out->responder);
  fields->Protocol(out->originator.address, &out->protocol);
}

// "2022-06-17T00:00:07", as seconds.
std::optional<std::int64_t> ParseDate(std::string_view text) {
  constexpr std::string_view kForm = "0000-00-00T00:00:00";
  if (text.size() != kForm.size()) return std::nullopt;
  const auto number = [&](std::size_t at, std::size_t size) {
    unsigned value = 0;
    return ParseWhole(text.substr(at, size), &value) ? value : 9999;
  };
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    if (kForm[i] != '0' && text[i] != kForm[i]) return std::nullopt;
  }
  const std::chrono::year_month_day day(std::chrono::year(static_cast<int>(number(0, 4))),
                                        std::chrono::month(number(5, 2)),
                                        std::chrono::day(number(8, 2)));
  const std::int64_t hour = number(11, 2), minute = number(14, 2), second = number(17, 2);
  if (!day.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  return std::chrono::sys_days(day).time_since_epoch().count() * std::int64_t{86'400} +
         hour * 3'600 + minute * 60 + second;
}

}  // namespace

std::optional<ZeekColumn> FindZeekColumn(std::string_view name) {
  // Shippers of logs that take no dots in names write id_orig_h (Zeek's Log::default_scope_sep).
  const bool underscored = name.starts_with("id_");
  const auto* found = std::find_if(kNames.begin(), kNames.end(), [&](std::string_view known) {
    return known == name ||
           (underscored && known.starts_with("id.") && known.substr(3) == name.substr(3));
  });
  if (found == kNames.end()) return std::nullopt;
  return static_cast<ZeekColumn>(found - kNames.begin());
}

std::optional<std::int64_t> ParseZeekSeconds(std::string_view text) {
  const bool negative = text.starts_with('-');
  std::string_view digits = text.substr(negative ? 1 : 0);
  if (digits.empty() || digits[0] < '0' || digits[0] > '9') return std::nullopt;
  if (digits.find_first_of("eE") != std::string_view::npos) {
    double seconds = 0;
    if (!ParseWhole(text, &seconds) || !(std::fabs(seconds) < static_cast<double>(kMaxSeconds))) {
      return std::nullopt;
    }
    return std::llround(seconds * static_cast<double>(kNsPerSecond));
  }
  const std::size_t point = digits.find('.');
  std::int64_t seconds = 0;
  if (!ParseWhole(digits.substr(0, point), &seconds) || seconds > kMaxSeconds) return std::nullopt;
  std::int64_t ns = seconds * kNsPerSecond;
  if (point != std::string_view::npos) {
    std::int64_t unit = kNsPerSecond / 10;
    for (const char c : digits.substr(point + 1)) {
      if (c < '0' || c > '9') return std::nullopt;
      ns += (c - '0') * unit;
      unit /= 10;
    }
  }
  return negative ? -ns : ns;
}

std::optional<std::int64_t> ParseZeekTime(std::string_view text) {
  if (text.find('T') != std::string_view::npos) {
    if (!text.ends_with('Z')) return std::nullopt;
    text.remove_suffix(1);
    const std::size_t point = std::min(text.find('.'), text.size());
    const auto seconds = ParseDate(text.substr(0, point));
    const auto fraction = ParseZeekSeconds("0" + std::string(text.substr(point)));
    if (!seconds || !fraction || *fraction >= kNsPerSecond || *seconds > kMaxSeconds ||
        *seconds < -kMaxSeconds) {
      return std::nullopt;
    }
    return *seconds * kNsPerSecond + *fraction;
  }
  std::int64_t millis = 0;
  const std::size_t point = std::min(text.find('.'), text.size());
  if (ParseWhole(text.substr(0, point), &millis) && millis >= kLeastMillis) {
    const auto fraction = ParseZeekSeconds("0" + std::string(text.substr(point)));
    if (!fraction || *fraction >= kNsPerSecond || millis / 1000 > kMaxSeconds) return std::nullopt;
    return millis * (kNsPerSecond / 1000) + *fraction / 1000;
  }
  return ParseZeekSeconds(text);
}

void ZeekRow::Clear() {
  for (Cell& cell : cells_) cell.set = false;
  answers.clear();
  ttls.clear();
}

ZeekKind ZeekRow::Kind() const {
  const auto has = [this](ZeekColumn column) { return Get(column) != nullptr; };
  if (const std::string* path = Get(ZeekColumn::kPath)) {
    return *path == "conn" ? ZeekKind::kConn : *path == "dns" ? ZeekKind::kDns : ZeekKind::kUnknown;
  }
  if (has(ZeekColumn::kConnState)) return ZeekKind::kConn;
  const bool dns = has(ZeekColumn::kAuthoritative) || has(ZeekColumn::kQtype);
  return dns ? ZeekKind::kDns : ZeekKind::kUnknown;
}

void ZeekTextFormat::TakeHeader(std::string_view line) {
  constexpr std::string_view kSeparator = "#separator ";
  if (line.starts_with(kSeparator)) {
    const std::string separator = Unescaped(line.substr(kSeparator.size()));
    separator_ = separator.size() == 1 ? separator[0] : '\t';
    return;
  }
  const std::size_t at = line.find(separator_);
  if (at == std::string_view::npos) return;
  const std::string_view name = line.substr(1, at - 1), value = line.substr(at + 1);
  if (name == "set_separator") set_separator_ = Unescaped(value);
  if (name == "empty_field") empty_ = value;
  if (name == "unset_field") unset_ = value;
  if (name == "path") path_ = value;
  if (name == "fields") TakeColumns(value);
}

void ZeekTextFormat::TakeColumns(std::string_view names) {
  columns_.clear();
  ZeekRow row;
  ForEachPart(names, {&separator_, 1}, [&](std::string_view name) {
    columns_.push_back(FindZeekColumn(name));
    if (columns_.back() == ZeekColumn::kPath) columns_.back().reset();
    if (columns_.back()) row.Set(*columns_.back());
    return columns_.size() < kMaxZeekColumns;
  });
  kind_ = row.Kind();
  if (kind_ == ZeekKind::kUnknown && path_ == "conn") kind_ = ZeekKind::kConn;
}

std::string ZeekTextFormat::Split(std::string_view line, ZeekRow* row) const {
  if (!has_columns()) return "no #fields line before it";
  std::size_t index = 0;
  ForEachPart(line, {&separator_, 1}, [&](std::string_view value) {
    const std::size_t at = index++;
    if (at >= columns_.size()) return false;
    if (!columns_[at] || value == unset_) return true;
    const ZeekColumn column = *columns_[at];
    if (value == empty_) value = {};
    if (auto* list = row->List(column)) {
      list->clear();
      if (value.empty()) return true;
      ForEachPart(value, set_separator_, [&](std::string_view part) {
        list->push_back(part == unset_ ? std::string() : Unescaped(part));
        return true;
      });
    } else {
      AppendUnescaped(value, &row->Set(column));
    }
    return true;
  });
  if (index < columns_.size()) return "fewer columns than #fields names";
  return index > columns_.size() ? "more columns than #fields names" : "";
}

std::string MakeZeekConn(ZeekRow* row, ZeekConn* out) {
  Fields fields(*row);
  ReadCommon(&fields, out);
  fields.Text(ZeekColumn::kService, &out->service);
  fields.Duration(ZeekColumn::kDuration, &out->duration_ns);
  fields.Count(ZeekColumn::kOrigBytes, &out->orig_bytes);
  fields.Count(ZeekColumn::kRespBytes, &out->resp_bytes);
  fields.Text(ZeekColumn::kConnState, &out->conn_state);
  fields.Text(ZeekColumn::kHistory, &out->history);
  fields.Count(ZeekColumn::kMissedBytes, &out->missed_bytes);
  fields.Count(ZeekColumn::kOrigPkts, &out->orig_pkts);
  fields.Count(ZeekColumn::kOrigIpBytes, &out->orig_ip_bytes);
  fields.Count(ZeekColumn::kRespPkts, &out->resp_pkts);
  fields.Count(ZeekColumn::kRespIpBytes, &out->resp_ip_bytes);
  return std::move(fields).bad();
}

std::string MakeZeekDns(ZeekRow* row, ZeekDns* out) {
  Fields fields(*row);
  ReadCommon(&fields, out);
  fields.Text(ZeekColumn::kQuery, &out->query);
  fields.Count(ZeekColumn::kQtype, &out->qtype);
  fields.Count(ZeekColumn::kRcode, &out->rcode);
  out->ttl_ns.clear();
  for (const std::string& text : row->ttls) {
    const auto ttl = ParseZeekSeconds(text);
    if (!ttl) return "TTLs cannot be read";
    out->ttl_ns.push_back(*ttl);
  }
  out->answers = std::move(row->answers);
  return std::move(fields).bad();
}

}  // namespace culprit
