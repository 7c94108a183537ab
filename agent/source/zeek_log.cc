// SPDX-License-Identifier: Apache-2.0
#include "agent/source/zeek_log.h"

#include <algorithm>
#include <utility>

namespace culprit {
namespace {

constexpr std::size_t kStepBytes = 4096;  // by which a line is looked for at least

bool IsJson(std::string_view line) { return line.starts_with('{'); }

}  // namespace

Result<std::unique_ptr<ZeekReader>> ZeekReader::Open(const std::string& path) {
  TRY(auto stream, OpenFileStream(path));
  auto reader = FromStream(std::move(stream));
  if (!reader) return std::move(reader).error().Context(path);
  return reader;
}

Result<std::unique_ptr<ZeekReader>> ZeekReader::FromStream(std::unique_ptr<ByteStream> stream) {
  TRY(ByteWindow window, ByteWindow::Open(std::move(stream)));
  std::unique_ptr<ZeekReader> reader(new ZeekReader(std::move(window)));
  // Up to the names of the columns, or the first object.
  std::string_view line;
  while (!reader->text_.has_columns() && reader->NextLine(&line)) {
    if (line.empty()) continue;
    if (IsJson(line)) {
      ZeekRow row;
      if (ReadZeekJson(line, &row).empty() && row.Kind() == ZeekKind::kUnknown) {
        return InvalidArgument("JSON, but neither Zeek's conn nor its dns log");
      }
      // It is read again as the first record.
      reader->taken_ = 0;
      --reader->stats_.lines;
      return reader;
    }
    if (!line.starts_with('#')) return InvalidArgument("not a Zeek log: neither header nor JSON");
    reader->text_.TakeHeader(line);
  }
  if (reader->window_.failed()) return Error(*reader->window_.failed());
  if (!reader->text_.has_columns()) return InvalidArgument("not a Zeek log: no #fields line");
  if (reader->text_.kind() == ZeekKind::kUnknown) {
    return InvalidArgument("a Zeek log of \"" + reader->text_.path().substr(0, 64) +
                           "\": only conn and dns are read");
  }
  return reader;
}

bool ZeekReader::NextLine(std::string_view* line) {
  window_.Skip(std::exchange(taken_, 0));
  std::string_view ahead = window_.Ahead(1);
  std::size_t end = ahead.find('\n');
  while (end == std::string_view::npos && ahead.size() <= kMaxZeekLineBytes && !window_.ended()) {
    ahead = window_.Ahead(std::min(2 * ahead.size() + kStepBytes, kMaxZeekLineBytes + 1));
    end = ahead.find('\n');
  }
  if (ahead.empty()) return false;
  ++stats_.lines;
  unusable_ = std::min(end, ahead.size()) > kMaxZeekLineBytes     ? "too long"
              : end == std::string_view::npos && window_.failed() ? "cut off"
                                                                  : "";
  *line = ahead.substr(0, std::min(end, kMaxZeekLineBytes));
  if (line->ends_with('\r')) line->remove_suffix(1);
  taken_ = end == std::string_view::npos ? ahead.size() : end + 1;
  while (end == std::string_view::npos && !window_.ended()) {
    // Only in a line that is too long: its rest is not wanted, and the line's view neither.
    *line = {};
    window_.Skip(taken_);
    ahead = window_.Ahead(1);
    end = ahead.find('\n');
    taken_ = end == std::string_view::npos ? ahead.size() : end + 1;
  }
  return true;
}

void ZeekReader::NoteBad(std::string reason) {
  ++stats_.bad_lines;
  if (stats_.bad.size() < kMaxBadLinesKept) stats_.bad.push_back({stats_.lines, std::move(reason)});
}

bool ZeekReader::TakeLine(std::string_view line, ZeekRecord& out) {
  row_.Clear();
  const bool json = IsJson(line);
  std::string bad = json ? ReadZeekJson(line, &row_) : text_.Split(line, &row_);
  const ZeekKind kind = json ? row_.Kind() : text_.kind();
  if (bad.empty()) {
    bad = kind == ZeekKind::kConn  ? MakeZeekConn(&row_, &out.emplace<ZeekConn>())
          : kind == ZeekKind::kDns ? MakeZeekDns(&row_, &out.emplace<ZeekDns>())
                                   : "of neither conn nor dns";
  }
  if (bad.empty()) return true;
  NoteBad(std::move(bad));
  return false;
}

Result<bool> ZeekReader::Next(ZeekRecord& out) {
  std::string_view line;
  while (NextLine(&line)) {
    if (*unusable_ != '\0') {
      NoteBad(unusable_);
    } else if (line.starts_with('#')) {
      text_.TakeHeader(line);
    } else if (!line.empty() && TakeLine(line, out)) {
      ++stats_.records;
      return true;
    }
  }
  if (window_.failed() && window_.failed()->code != Code::kDataLoss) {
    return Error(*window_.failed());
  }
  if (window_.failed()) stats_.cut_short = window_.failed()->message;
  return false;
}

}  // namespace culprit
