// SPDX-License-Identifier: Apache-2.0
// `culprit snapshot ls` and `timeline`.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "collector/cli/bundle_views.h"
#include "common/bundle_rows.h"
#include "common/hex.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxRows = 1'000'000;

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json TimeOf(std::int64_t ns) {
  return ns == 0 ? Json(nullptr) : Json(FormatUtc(WallTimeFromNs(ns)));
}

class Teller {
 public:
  Teller(std::int64_t from_ns, std::int64_t to_ns, Timeline* timeline)
      : from_(from_ns), to_(to_ns), timeline_(*timeline) {}

  void Row(const std::string& table, const nlohmann::json& row) {
    if (table == "clocks" && boot_ns_ == 0) {
      // Of the first look: what comes later has the same boot.
      boot_ns_ = RowSignedOf(row, "realtime_ns") - RowSignedOf(row, "boottime_ns");
    } else if (table == "processes" && RowNumberOf(row, "start_boot_ns") > 0) {
      Add(boot_ns_ + static_cast<std::int64_t>(RowNumberOf(row, "start_boot_ns")), "process",
          "pid " + std::to_string(RowNumberOf(row, "pid")) + " of " +
              std::to_string(RowNumberOf(row, "parent")) + "  " + RowCommandOf(row));
    } else if (table == "bpf" && RowTextOf(row, "kind") == "program") {
      Add(boot_ns_ + static_cast<std::int64_t>(RowNumberOf(row, "loaded_boot_ns")), "bpf",
          "program " + std::to_string(RowNumberOf(row, "id")) + " \"" + RowTextOf(row, "name") +
              "\" was loaded");
    } else if (table == "files") {
      File(row);
    }
  }

  void Entry(const ManifestEntry& entry) {
    if (const auto* head = std::get_if<BundleHead>(&entry))
      Add(ToNs(head->started), "snapshot", "begun: " + head->trigger);
    if (const auto* tier = std::get_if<TierEnd>(&entry))
      Add(ToNs(tier->ended), "snapshot", "tier " + std::to_string(tier->tier) + " whole");
  }

 private:
  void File(const nlohmann::json& row) {
    const std::string path = RowTextOf(row, "path");
    const std::int64_t born = RowSignedOf(row, "btime_ns"), modified = RowSignedOf(row, "mtime_ns"),
                       changed = RowSignedOf(row, "ctime_ns");
    if (born != 0) Add(born, "born", path);
    if (modified != born) Add(modified, "modified", path);
    // Owner, mode, name or attributes.
    if (changed != modified && changed != born) Add(changed, "changed", path);
  }

  void Add(std::int64_t at_ns, const char* kind, std::string what) {
    if (at_ns <= 0 || (from_ != 0 && at_ns < from_) || (to_ != 0 && at_ns >= to_)) return;
    if (timeline_.rows.size() >= kMaxRows) {
      timeline_.cut = true;
    } else {
      timeline_.rows.push_back({at_ns, kind, std::move(what)});
    }
  }

  const std::int64_t from_, to_;
  Timeline& timeline_;
  std::int64_t boot_ns_ = 0;
};

}  // namespace

Result<MemberList> ListMembers(ByteSource source) {
  MemberList list;
  std::unordered_map<std::string, std::size_t> places;
  BundleVisitor visitor;
  visitor.member = [&](const BundleReader::Member& member) {
    places.emplace(member.name, list.members.size());
    list.members.emplace_back();
    list.members.back().name = member.name;
    list.members.back().size = member.size;
  };
  visitor.entry = [&](const ManifestEntry& entry) {
    const auto* told = std::get_if<BundleMember>(&entry);
    const auto place = told == nullptr ? places.end() : places.find(told->name);
    if (place == places.end()) return;
    ListedMember& member = list.members[place->second];
    member.source = told->source;
    member.sha256 = HexEncode(AsBytes(told->sha256));
    member.attributes = told->file.attributes;
    member.mtime_ns = told->file.mtime_ns;
    member.cut = told->cut;
    member.notes = told->notes;
  };
  TRY(const VisitedBundle visited, VisitBundle(std::move(source), visitor));
  list.broken = visited.broken;
  return list;
}

std::string RenderMembers(const MemberList& list, const View& view) {
  Table table({{"SIZE", true}, {"MODIFIED"}, {"NAME", false, 24}, {"NOTES", false, 12, 1}});
  for (const ListedMember& member : list.members) {
    std::string notes = member.attributes;
    for (const std::string& note : member.notes) notes += (notes.empty() ? "" : "; ") + note;
    table.Add({{FormatByteSize(member.size)},
               {member.mtime_ns == 0 ? "" : ShortTime(member.mtime_ns, view)},
               {member.name},
               {notes, member.cut ? Style::kWarning : Style::kPlain}});
  }
  return table.Render(view);
}

std::string MemberJson(const ListedMember& member) {
  Json json;
  json["name"] = member.name;
  json["size_bytes"] = member.size;
  json["source"] = member.source;
  json["sha256"] = member.sha256;
  json["mtime"] = TimeOf(member.mtime_ns);
  json["attributes"] = member.attributes;
  json["cut"] = member.cut;
  json["notes"] = member.notes;
  return Dump(json);
}

Result<Timeline> ReadTimeline(ByteSource source, std::int64_t from_ns, std::int64_t to_ns) {
  Timeline timeline;
  Teller teller(from_ns, to_ns, &timeline);
  BundleVisitor visitor;
  visitor.row = [&](const std::string& table, const nlohmann::json& row) {
    teller.Row(table, row);
  };
  visitor.entry = [&](const ManifestEntry& entry) { teller.Entry(entry); };
  TRY(const VisitedBundle visited, VisitBundle(std::move(source), visitor));
  timeline.broken = visited.broken;
  std::stable_sort(timeline.rows.begin(), timeline.rows.end(),
                   [](const TimelineRow& a, const TimelineRow& b) { return a.at_ns < b.at_ns; });
  return timeline;
}

std::string RenderTimeline(const Timeline& timeline, const View& view) {
  Table table({{"TIME"}, {"KIND"}, {"WHAT", false, 24}});
  for (const TimelineRow& row : timeline.rows)
    table.Add({{FormatTime(row.at_ns, view.zone)}, {row.kind}, {row.what}});
  return table.Render(view);
}

std::string TimelineJson(const TimelineRow& row) {
  return Dump({{"time", TimeOf(row.at_ns)}, {"kind", row.kind}, {"what", row.what}});
}

}  // namespace culprit::cli
