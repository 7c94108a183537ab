// SPDX-License-Identifier: Apache-2.0
#include "collector/import_command.h"

#include <spdlog/fmt/fmt.h>

#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "collector/data_dir.h"
#include "collector/ingest/spool_import.h"
#include "collector/journal/journal.h"
#include "collector/model/batch_decoder.h"
#include "collector/stage_options.h"
#include "collector/store/indexer.h"
#include "common/text.h"

namespace culprit {
namespace {

constexpr std::array<std::string_view, kLaneCount> kLaneNames = {"evidence", "bulk"};
constexpr std::size_t kMaxShown = 20;  // of a list, for a person

std::string_view NameOf(Lane lane) { return kLaneNames.at(static_cast<std::size_t>(lane)); }

Status BringIndexUp(Journal& journal, EvidenceStore& store) {
  Status taken = Ok();
  TRY_VOID(journal.Scan(store.applied_lsn() + 1, [&](const StoredFrame& stored) {
    const DecodedFrame frame = DecodeStoredFrame(stored);
    taken = store.Append({&frame, 1});
    return taken.has_value();
  }));
  TRY_VOID(taken);
  return store.Flush();
}

std::uint64_t Frames(const std::vector<SeqRange>& ranges) {
  std::uint64_t frames = 0;
  for (const SeqRange& range : ranges) frames += range.last - range.first + 1;
  return frames;
}

nlohmann::json LaneJson(const ImportedLane& lane) {
  nlohmann::json missing = nlohmann::json::array();
  for (const SeqRange& range : lane.missing)
    missing.push_back({{"first_seq", range.first}, {"last_seq", range.last}});
  return {{"agent_id", lane.agent_id.ToString()},
          {"stream_id", lane.stream_id.ToString()},
          {"lane", NameOf(lane.lane)},
          {"files", lane.files},
          {"frames", lane.frames},
          {"imported", lane.imported},
          {"present", lane.present},
          {"late", lane.late},
          {"refused", lane.refused},
          {"records", lane.records},
          {"rejected_records", lane.rejected_records},
          {"first_seq", lane.first_seq},
          {"last_seq", lane.last_seq},
          {"first_time", FormatUtc(lane.first_time)},
          {"last_time", FormatUtc(lane.last_time)},
          {"missing", std::move(missing)}};
}

std::string Json(const ImportReport& report) {
  nlohmann::json out = {{"files", report.files},
                        {"whole", report.whole()},
                        {"lanes", nlohmann::json::array()},
                        {"damage", nlohmann::json::array()},
                        {"refusals", report.refusals}};
  for (const ImportedLane& lane : report.lanes) out["lanes"].push_back(LaneJson(lane));
  for (const FileTrouble& trouble : report.damage) {
    out["damage"].push_back({{"file", trouble.file},
                             {"offset", trouble.offset},
                             {"bytes", trouble.bytes},
                             {"what", trouble.what}});
  }
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string LaneText(const ImportedLane& lane) {
  std::string text = fmt::format(
      "agent {}, stream {}, {}: {} frames in {} files, {} to {}\n"
      "  imported {} ({} records), there already {}\n",
      lane.agent_id.ToString(), lane.stream_id.ToString(), NameOf(lane.lane), lane.frames,
      lane.files, FormatUtc(lane.first_time), FormatUtc(lane.last_time), lane.imported,
      lane.records, lane.present);
  if (lane.rejected_records > 0)
    text += fmt::format("  {} records were not understood\n", lane.rejected_records);
  if (lane.late > 0) {
    text += fmt::format(
        "  left out: {} frames belong into a gap that an earlier import left; import all files "
        "into another data_dir\n",
        lane.late);
  }
  if (lane.refused > 0) text += fmt::format("  refused: {} frames\n", lane.refused);
  for (std::size_t i = 0; i < lane.missing.size() && i < kMaxShown; ++i)
    text +=
        fmt::format("  missing: frames {} to {}\n", lane.missing[i].first, lane.missing[i].last);
  if (lane.missing.size() > kMaxShown) {
    text += fmt::format("  missing: {} frames in {} gaps (--json has all)\n", Frames(lane.missing),
                        lane.missing.size());
  }
  return text;
}

std::string Text(const ImportReport& report) {
  std::string text;
  std::uint64_t imported = 0;
  for (const ImportedLane& lane : report.lanes) {
    text += LaneText(lane);
    imported += lane.imported;
  }
  for (std::size_t i = 0; i < report.damage.size() && i < kMaxShown; ++i) {
    const FileTrouble& trouble = report.damage[i];
    text += fmt::format("damaged: {}", EscapeText(trouble.file));
    if (trouble.offset > 0 || trouble.bytes > 0)
      text += fmt::format(" at byte {}, {} bytes", trouble.offset, trouble.bytes);
    text += ": " + EscapeText(trouble.what) + "\n";
  }
  if (report.damage.size() > kMaxShown)
    text += fmt::format("damaged: {} more (--json has them)\n", report.damage.size() - kMaxShown);
  for (const auto& [reason, frames] : report.refusals)
    text += fmt::format("refused: {} frames: {}\n", frames, reason);
  text += fmt::format("{} files, {} frames imported{}\n", report.files, imported,
                      report.whole() ? "; nothing is missing between the first and the last" : "");
  if (imported > 0)
    text += "Next: culprit-collector run, which looks for findings in it and answers\n";
  return text;
}

}  // namespace

Result<ImportAnswer> ImportSpoolCommand(const CollectorConfig& config, const ImportArgs& args) {
  ImportOptions options;
  options.paths = args.paths;
  if (!args.agent.empty()) {
    auto id = Uuid::Parse(args.agent);
    if (!id) return InvalidArgument("--agent: expected an agent's id, as in the bucket's folders");
    options.agent_id = *id;
  }
  TRY(const UniqueFd lock, LockDataDir(config.data_dir));
  auto journal = Journal::Open(JournalOptionsOf(config));
  if (!journal) {
    return std::move(journal).error().Context(
        "journal (a new place needs `culprit-collector init` first)");
  }
  auto report = ImportSpool(options, journal->get());
  Status indexed = Ok();
  if (report) {
    auto store = OpenOrReindex(**journal, StoreOptionsOf(config));
    indexed = store ? BringIndexUp(**journal, **store) : Status(std::move(store).error());
  }
  (*journal)->Stop();
  if (!report) return std::move(report).error();
  if (!indexed) return std::move(indexed).error().Context("index (the journal has it all)");
  return ImportAnswer{args.json ? Json(*report) : Text(*report), report->whole()};
}

}  // namespace culprit
