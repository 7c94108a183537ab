// SPDX-License-Identifier: Apache-2.0
// `culprit snapshot list` and what `show` and `take` say of one.
#include <spdlog/fmt/fmt.h>

#include "collector/cli/json.h"
#include "collector/cli/views.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit::cli {
namespace {

Style StyleOf(v1::SnapshotState state) {
  switch (state) {
    case v1::SNAPSHOT_STATE_COMPLETE:
      return Style::kGood;
    case v1::SNAPSHOT_STATE_REFUSED:
    case v1::SNAPSHOT_STATE_FAILED:
      return Style::kBad;
    case v1::SNAPSHOT_STATE_PARTIAL:
    case v1::SNAPSHOT_STATE_WAITING:
      return Style::kWarning;
    default:
      return Style::kPlain;
  }
}

std::string StateWord(const v1::Snapshot& snapshot) {
  return EnumWord(*v1::SnapshotState_descriptor()->FindValueByNumber(snapshot.state()));
}

std::string Tiers(const v1::Snapshot& snapshot) {
  std::string text;
  for (const std::uint32_t tier : snapshot.whole_tiers())
    text += (text.empty() ? "" : ",") + std::to_string(tier);
  return fmt::format("{} of 0-{}", text.empty() ? "none" : text, snapshot.last_tier());
}

std::string Field(std::string_view name, const std::string& value) {
  return value.empty() ? "" : fmt::format("{:<11}{}\n", name, EscapeText(value));
}

}  // namespace

std::string RenderSnapshots(const std::vector<v1::Snapshot>& snapshots, const View& view) {
  Table table({{"ID"},
               {"HOST", false, 12},
               {"ASKED"},
               {"STATE"},
               {"TIERS", false, 0, 3},
               {"SIZE", true},
               {"WHY", false, 10, 2},
               {"PROBLEM", false, 12, 1}});
  for (const v1::Snapshot& snapshot : snapshots) {
    table.Add({{snapshot.id().substr(0, 8)},
               {snapshot.host()},
               {ShortTime(snapshot.asked_ns(), view)},
               {StateWord(snapshot), StyleOf(snapshot.state())},
               {Tiers(snapshot)},
               {FormatByteSize(snapshot.stored_bytes())},
               {snapshot.trigger()},
               {snapshot.problem()}});
  }
  return table.Render(view);
}

std::string RenderSnapshot(const v1::Snapshot& snapshot, const View& view) {
  std::string text = Field("snapshot", snapshot.id());
  text += Field("host", snapshot.host());
  text += fmt::format("{:<11}{}\n", "state",
                      Styled(StateWord(snapshot), StyleOf(snapshot.state()), view.colour));
  text += Field("problem", snapshot.problem());
  for (const std::string& defect : snapshot.defects()) text += Field("defect", defect);
  const std::string who =
      snapshot.operator_name().empty() ? "" : ", by " + snapshot.operator_name();
  text += Field(snapshot.offered() ? "offered" : "asked",
                FormatTime(snapshot.asked_ns(), view.zone) + ", " + snapshot.trigger() + who +
                    (snapshot.case_id().empty() ? "" : ", case " + snapshot.case_id()));
  if (snapshot.final_ns() != 0) text += Field("ended", FormatTime(snapshot.final_ns(), view.zone));
  text += Field("tiers", Tiers(snapshot) + " whole, signed and verified");
  text += Field("bundle", FormatByteSize(snapshot.stored_bytes()) +
                              (snapshot.resumed() == 0
                                   ? ""
                                   : fmt::format(", went on after {} breaks", snapshot.resumed())));
  text += Field("sha256", snapshot.sha256());
  if (snapshot.final_ns() != 0 && snapshot.stored_bytes() != 0) {
    text += Field("content", fmt::format("{} members, {}; {} skipped or cut, each with its reason",
                                         FormatCount(snapshot.members()),
                                         FormatByteSize(snapshot.member_bytes()),
                                         FormatCount(snapshot.skipped())));
  }
  if (!snapshot.key_fingerprint().empty()) {
    text += Field("signed by",
                  snapshot.key_fingerprint() + (snapshot.final_ns() == 0 ? ""
                                                : snapshot.key_known()
                                                    ? ", the key of this agent so far"
                                                    : ", ANOTHER key than this agent had before"));
  }
  if (snapshot.peak_rss_bytes() != 0) {
    text +=
        Field("cost", fmt::format("{} of memory, {} of CPU on the host",
                                  FormatByteSize(snapshot.peak_rss_bytes()),
                                  FormatDuration(std::chrono::microseconds(snapshot.cpu_us()))));
  }
  for (const v1::CustodyEntry& entry : snapshot.custody()) {
    text += Field("custody", FormatTime(entry.at_ns(), view.zone) + "  " + entry.action() + " by " +
                                 entry.actor() + (entry.note().empty() ? "" : ": " + entry.note()));
  }
  return text;
}

}  // namespace culprit::cli
