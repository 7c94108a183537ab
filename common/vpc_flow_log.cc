// SPDX-License-Identifier: Apache-2.0
#include "common/vpc_flow_log.h"

#include <algorithm>
#include <array>
#include <utility>

#include "common/ascii.h"
#include "common/number.h"

namespace culprit {
namespace {

enum Field : int {
  kOther = -1,
  kVersion,
  kAccount,
  kInterface,
  kSource,
  kDestination,
  kSourcePort,
  kDestinationPort,
  kProtocol,
  kPackets,
  kBytes,
  kStart,
  kEnd,
  kAction,
  kStatus,
  kInstance,
  kFlags,
  kPacketSource,
  kPacketDestination,
  kDirection,
  kFields,
};

struct Named {
  std::string_view name;
  Field field;
};
// In the order of a log of all fields up to version 5; what comes behind (ECS, reject-reason) is
// not looked at.
constexpr Named kOrder[] = {
    {"version", kVersion},
    {"account-id", kAccount},
    {"interface-id", kInterface},
    {"srcaddr", kSource},
    {"dstaddr", kDestination},
    {"srcport", kSourcePort},
    {"dstport", kDestinationPort},
    {"protocol", kProtocol},
    {"packets", kPackets},
    {"bytes", kBytes},
    {"start", kStart},
    {"end", kEnd},
    {"action", kAction},
    {"log-status", kStatus},
    {"vpc-id", kOther},
    {"subnet-id", kOther},
    {"instance-id", kInstance},
    {"tcp-flags", kFlags},
    {"type", kOther},
    {"pkt-srcaddr", kPacketSource},
    {"pkt-dstaddr", kPacketDestination},
    {"region", kOther},
    {"az-id", kOther},
    {"sublocation-type", kOther},
    {"sublocation-id", kOther},
    {"pkt-src-aws-service", kOther},
    {"pkt-dst-aws-service", kOther},
    {"flow-direction", kDirection},
    {"traffic-path", kOther},
};
constexpr std::size_t kDefaultFields = 14, kMaxWords = 64, kMaxBad = 16;
constexpr std::size_t kStepBytes = 4096;             // by which a line is looked for at least
constexpr std::int64_t kMaxSeconds = 4'102'444'800;  // 2100

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  while (words.size() < kMaxWords) {
    const std::string_view word = NextWord(&line, " \t\r");
    if (word.empty()) break;
    words.push_back(word);
  }
  return words;
}

// As CloudWatch writes before each line when it exports: 2026-03-01T00:00:00.000Z.
bool IsTimestamp(std::string_view word) {
  return word.size() >= 20 && word[4] == '-' && word[10] == 'T' && word.ends_with('Z');
}

using Cells = std::array<std::string_view, kFields>;

bool Unset(std::string_view cell) { return cell.empty() || cell == "-"; }

template <class T>
bool Number(std::string_view cell, T max, T* out) {
  if (Unset(cell)) return true;
  return ParseWhole(cell, out) && *out >= 0 && *out <= max;
}

bool Address(std::string_view of_packet, std::string_view of_interface, IpAddress* out) {
  const auto address = IpAddress::Parse(Unset(of_packet) ? of_interface : of_packet);
  if (address) *out = *address;
  return address.has_value();
}

std::string Text(std::string_view cell) {
  return Unset(cell) ? std::string() : std::string(cell.substr(0, 64));
}

std::string Take(const Cells& cells, VpcFlowRow* row) {
  std::uint32_t source_port = 0, destination_port = 0, protocol = 0, flags = 0;
  if (!Number(cells[kVersion], 99U, &row->version)) return "version is no number";
  if (!Address(cells[kPacketSource], cells[kSource], &row->source.address)) {
    return "no source address";
  }
  if (!Address(cells[kPacketDestination], cells[kDestination], &row->destination.address)) {
    return "no destination address";
  }
  if (!Number(cells[kSourcePort], 65535U, &source_port) ||
      !Number(cells[kDestinationPort], 65535U, &destination_port)) {
    return "a port is none";
  }
  if (!Number(cells[kProtocol], 255U, &protocol)) return "protocol is no number";
  if (!Number(cells[kPackets], UINT64_MAX, &row->packets) ||
      !Number(cells[kBytes], UINT64_MAX, &row->bytes)) {
    return "packets or bytes are no number";
  }
  if (!Number(cells[kStart], kMaxSeconds, &row->start_s) ||
      !Number(cells[kEnd], kMaxSeconds, &row->end_s) || row->start_s == 0) {
    return "start or end is no time";
  }
  if (!Number(cells[kFlags], 255U, &flags)) return "tcp-flags is no number";
  // Seen in AWS's own logs: a window that ends before it starts.
  row->end_s = std::max(row->end_s, row->start_s);
  row->source.port = static_cast<std::uint16_t>(source_port);
  row->destination.port = static_cast<std::uint16_t>(destination_port);
  row->protocol = static_cast<std::uint8_t>(protocol);
  row->tcp_flags = static_cast<std::uint8_t>(flags);
  row->rejected = cells[kAction] == "REJECT";
  row->account = Text(cells[kAccount]);
  row->interface = Text(cells[kInterface]);
  row->instance = Text(cells[kInstance]);
  if (cells[kDirection] == "ingress" || cells[kDirection] == "egress") {
    row->direction = cells[kDirection];
  }
  return "";
}

}  // namespace

bool VpcFlowFormat::TakeHeader(const std::vector<std::string_view>& words) {
  std::vector<int> columns;
  bool source = false;
  for (const std::string_view word : words) {
    const auto* found = std::ranges::find(kOrder, word, &Named::name);
    columns.push_back(found == std::ranges::end(kOrder) ? kOther : found->field);
    source |= word == "srcaddr" || word == "pkt-srcaddr";
  }
  if (source) columns_ = std::move(columns);
  return source;
}

VpcFlowFormat::Line VpcFlowFormat::Read(std::string_view line, VpcFlowRow* row,
                                        std::string* problem) {
  *row = {};
  std::vector<std::string_view> words = Words(line);
  if (!words.empty() && IsTimestamp(words[0])) words.erase(words.begin());
  if (words.empty() || TakeHeader(words)) return Line::kHeader;
  Cells cells;
  if (columns_.empty() && words.size() < kDefaultFields) {
    *problem = "fewer fields than a flow log has, and no header before";
    return Line::kBad;
  }
  for (std::size_t i = 0; i < words.size(); ++i) {
    int field = kOther;
    if (!columns_.empty()) {
      field = i < columns_.size() ? columns_[i] : kOther;
    } else if (i < std::size(kOrder)) {
      field = kOrder[i].field;
    }
    if (field != kOther) cells[static_cast<std::size_t>(field)] = words[i];
  }
  if (cells[kStatus] == "NODATA" || cells[kStatus] == "SKIPDATA") return Line::kNoData;
  *problem = Take(cells, row);
  return problem->empty() ? Line::kRow : Line::kBad;
}

Result<std::unique_ptr<VpcFlowReader>> VpcFlowReader::Open(const std::string& path) {
  TRY(auto stream, OpenFileStream(path));
  auto reader = FromStream(std::move(stream));
  if (!reader) return std::move(reader).error().Context(path);
  return reader;
}

Result<std::unique_ptr<VpcFlowReader>> VpcFlowReader::FromStream(
    std::unique_ptr<ByteStream> stream) {
  TRY(ByteWindow window, ByteWindow::Open(std::move(stream)));
  return std::unique_ptr<VpcFlowReader>(new VpcFlowReader(std::move(window)));
}

bool VpcFlowReader::NextLine(std::string_view* line, bool* whole) {
  window_.Skip(std::exchange(taken_, 0));
  std::string_view ahead = window_.Ahead(1);
  std::size_t end = ahead.find('\n');
  while (end == std::string_view::npos && ahead.size() <= kMaxVpcFlowLine && !window_.ended()) {
    ahead = window_.Ahead(std::min(2 * ahead.size() + kStepBytes, kMaxVpcFlowLine + 1));
    end = ahead.find('\n');
  }
  if (ahead.empty()) return false;
  ++stats_.lines;
  *whole = end != std::string_view::npos ? end <= kMaxVpcFlowLine : ahead.size() <= kMaxVpcFlowLine;
  *line = ahead.substr(0, std::min({end, ahead.size(), kMaxVpcFlowLine}));
  taken_ = std::min(end == std::string_view::npos ? ahead.size() : end + 1, ahead.size());
  return true;
}

void VpcFlowReader::NoteBad(const std::string& problem) {
  ++stats_.bad_lines;
  if (stats_.bad.size() < kMaxBad)
    stats_.bad.push_back(std::to_string(stats_.lines) + ": " + problem);
}

bool VpcFlowReader::Next(VpcFlowRow* row) {
  std::string_view line;
  bool whole = true;
  while (NextLine(&line, &whole)) {
    std::string problem = "the line is too long";
    const auto kind = whole ? format_.Read(line, row, &problem) : VpcFlowFormat::Line::kBad;
    if (kind == VpcFlowFormat::Line::kBad) NoteBad(problem);
    if (kind == VpcFlowFormat::Line::kNoData) ++stats_.no_data;
    if (kind != VpcFlowFormat::Line::kRow) continue;
    ++stats_.rows;
    return true;
  }
  if (window_.failed()) stats_.cut_short = window_.failed()->message;
  return false;
}

}  // namespace culprit
