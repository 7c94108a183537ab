// SPDX-License-Identifier: Apache-2.0
#include "common/bundle_summary.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>
#include <unordered_map>

#include "common/ascii.h"
#include "common/bundle_manifest.h"
#include "common/bundle_rows.h"
#include "common/file.h"
#include "common/text.h"
#include "common/time.h"
#include "common/units.h"

namespace culprit {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxNotable = 500;
constexpr std::size_t kMaxKept = 200'000;

// In the order in which they are told.
constexpr std::array<std::string_view, 15> kKinds = {"damaged",
                                                     "hidden-process",
                                                     "memory-executable",
                                                     "deleted-executable",
                                                     "odd-executable",
                                                     "hidden-module",
                                                     "preload",
                                                     "packet-socket",
                                                     "code-without-file",
                                                     "deleted-file",
                                                     "locked-file",
                                                     "scheduled",
                                                     "ssh",
                                                     "listener",
                                                     "auto-scaling"};

// Absent counts as `otherwise`.
bool Flag(const Json& row, const char* name, bool otherwise = false) {
  const auto it = row.find(name);
  return it != row.end() && it->is_boolean() ? it->get<bool>() : otherwise;
}

// What is run at times or at every start because somebody wrote a file, by where that lies; what
// only enables a unit is a link.
bool IsScheduled(std::string_view path) {
  const auto below = [&](std::string_view place) { return path.starts_with(place); };
  const bool unit = path.ends_with(".service") || path.ends_with(".timer") ||
                    path.ends_with(".path") || path.ends_with(".socket");
  if (unit)
    return below("/etc/systemd/") || below("/run/systemd/") || below("/usr/local/") ||
           path.find("/.config/systemd/") != std::string_view::npos;
  if (path.ends_with("/.placeholder") || path.ends_with("/.SEQ")) return false;
  return below("/var/spool/cron/") || below("/var/spool/at/") || below("/etc/cron.") ||
         path == "/etc/rc.local";
}

class Summariser {
 public:
  explicit Summariser(BundleSummary* summary) : summary_(summary) {}

  void Member(const std::string& name, std::string_view bytes) {
    if (name == "live/ssh-posture.json") return Posture(bytes);
    if (name == kCloudMember) return Cloud(bytes);
    const std::string table = TableOfMember(name);
    const bool errors = name.starts_with("errors-tier");
    if (table.empty() && !errors) return;
    while (!bytes.empty()) {
      const std::string_view line = NextLine(&bytes);
      if (errors) {
        ++summary_->skipped;
        continue;
      }
      const Json row = ParseRow(line);
      if (row.is_object()) {
        OneRow(table, row);
      } else {
        ++summary_->unreadable_rows;
      }
    }
  }

  void Note(std::string kind, std::uint64_t pid, std::string text) {
    if (summary_->notable.size() >= kMaxNotable) {
      summary_->more = true;
      return;
    }
    // A file may be in two tiers.
    if (!told_.emplace(kind, pid, text).second) return;
    summary_->notable.push_back(
        {std::move(kind), static_cast<std::uint32_t>(pid), std::move(text)});
  }

  void Sort() {
    const auto rank = [](const Notable& n) {
      return std::find(kKinds.begin(), kKinds.end(), n.kind) - kKinds.begin();
    };
    std::stable_sort(summary_->notable.begin(), summary_->notable.end(),
                     [&](const Notable& a, const Notable& b) { return rank(a) < rank(b); });
    for (Notable& n : summary_->notable) {
      const auto it = commands_.find(n.pid);
      if (n.pid != 0 && it != commands_.end()) n.text += " [" + it->second + "]";
    }
  }

 private:
  void OneRow(const std::string& table, const Json& row) {
    if (table == "processes") Process(row);
    if (table == "hidden") Hidden(row);
    if (table == "executables") Executable(row);
    if (table == "deleted_files") {
      Note("deleted-file", RowNumberOf(row, "pid"),
           "open and deleted: " + RowTextOf(row, "path") + ", " +
               FormatByteSize(RowNumberOf(row, "size")));
    }
    if (table == "memory")
      Note("code-without-file", RowNumberOf(row, "pid"),
           "runs code that is in no file (a just-in-time compiler, or something injected)");
    if (table == "sockets") Socket(row);
    if (table == "modules") Module(row);
    if (table == "files") File(row);
  }

  void Process(const Json& row) {
    ++summary_->processes;
    if (commands_.size() >= kMaxKept) return;
    commands_[static_cast<std::uint32_t>(RowNumberOf(row, "pid"))] = RowCommandOf(row);
  }

  void Hidden(const Json& row) {
    std::string text = "not seen";
    if (!Flag(row, "in_proc", true)) text += " in /proc";
    if (!Flag(row, "in_own_procfs", true)) text += " in a procfs of our own";
    if (!Flag(row, "in_kernel_list", true)) text += " in the kernel's list";
    const std::string cover = RowTextOf(row, "covered_by");
    Note("hidden-process", RowNumberOf(row, "pid"),
         text + (cover.empty() ? "" : ", covered by: " + cover));
  }

  void Executable(const Json& row) {
    const bool memory = Flag(row, "in_memory"), deleted = Flag(row, "deleted");
    if (!memory && !deleted && RowTextOf(row, "copy").empty()) return;
    std::uint64_t pid = 0;
    const auto pids = row.find("pids");
    if (pids != row.end() && pids->is_array() && !pids->empty() &&
        pids->front().is_number_unsigned())
      pid = pids->front().get<std::uint64_t>();
    Note(memory    ? "memory-executable"
         : deleted ? "deleted-executable"
                   : "odd-executable",
         pid,
         RowTextOf(row, "path") + ", sha256 " + RowTextOf(row, "sha256") + ", " +
             std::to_string(RowNumberOf(row, "processes")) + " processes");
  }

  void Socket(const Json& row) {
    ++summary_->sockets;
    std::uint64_t pid = 0;
    const auto owners = row.find("owners");
    if (owners != row.end() && owners->is_array() && !owners->empty() &&
        owners->front().is_object())
      pid = RowNumberOf(owners->front(), "pid");
    if (RowTextOf(row, "protocol") == "packet")
      Note("packet-socket", pid, "sees the packets of others");
    if (RowTextOf(row, "protocol") == "tcp" && RowTextOf(row, "state") == "listen")
      Note("listener", pid,
           "tcp " + RowTextOf(row, "local") + " port " +
               std::to_string(RowNumberOf(row, "local_port")));
  }

  void Module(const Json& row) {
    if (!Flag(row, "in_sys_module", true))
      Note("hidden-module", 0, RowTextOf(row, "module") + ": not in /sys/module");
    if (!Flag(row, "in_proc_modules", true))
      Note("hidden-module", 0, RowTextOf(row, "module") + ": not in /proc/modules");
  }

  void File(const Json& row) {
    ++summary_->files;
    const std::string path = RowTextOf(row, "path"), attributes = RowTextOf(row, "attributes");
    if (path == "/etc/ld.so.preload" && RowNumberOf(row, "size") > 0)
      Note("preload", 0, path + ": what it names is loaded into every program");
    if (!attributes.empty()) Note("locked-file", 0, path + ": " + attributes);
    if (RowTextOf(row, "kind") == "file" && IsScheduled(path))
      Note("scheduled", 0,
           path + ", changed " + FormatUtc(WallTimeFromNs(RowSignedOf(row, "ctime_ns"))));
  }

  void Posture(std::string_view bytes) {
    const Json report = NestsTooDeep(bytes)
                            ? Json(nullptr)
                            : Json::parse(bytes.begin(), bytes.end(), nullptr, false);
    const auto findings = report.is_object() ? report.find("findings") : report.end();
    if (!report.is_object() || findings == report.end() || !findings->is_array()) {
      ++summary_->unreadable_rows;
      return;
    }
    for (const Json& finding : *findings) {
      if (!finding.is_object()) continue;
      const std::string severity = RowTextOf(finding, "severity");
      if (severity == "critical" || severity == "high")
        Note("ssh", 0,
             severity + ", " + RowTextOf(finding, "id") + ": " + RowTextOf(finding, "reason"));
    }
  }

  void Cloud(std::string_view bytes) {
    auto facts = ParseCloudFacts(bytes);
    if (!facts) {
      ++summary_->unreadable_rows;
      return;
    }
    summary_->cloud = std::move(*facts);
    const RelaunchAdvice advice = AdviseRelaunch(summary_->cloud);
    if (advice.will == Relaunch::kYes) Note("auto-scaling", 0, advice.text);
  }

  BundleSummary* summary_;
  std::set<std::tuple<std::string, std::uint64_t, std::string>> told_;
  std::unordered_map<std::uint32_t, std::string> commands_;
};

bool Wanted(const std::string& name) {
  return name == "live/ssh-posture.json" || name == kCloudMember ||
         name.starts_with("errors-tier") || !TableOfMember(name).empty();
}

}  // namespace

Result<BundleSummary> SummariseBundle(ByteSource source, const BundleLimits& limits) {
  BundleReader reader(std::move(source), limits);
  BundleSummary summary;
  Summariser summariser(&summary);
  bool whole = false;
  while (true) {
    auto member = reader.Next();
    auto bytes = member && *member && Wanted((*member)->name) ? reader.ReadUpTo(kMaxTableBytes)
                                                              : Result<std::string>(std::string());
    if (!member || !bytes) {
      summariser.Note(
          "damaged", 0,
          "summed up as far as it goes: " + (member ? bytes.error() : member.error()).message);
      break;
    }
    if (!*member) {
      if (!whole)
        summariser.Note("damaged", 0, "it ends before its manifest: summed up as far as it goes");
      break;
    }
    whole |= (*member)->name == kSignatureName;
    summariser.Member((*member)->name, *bytes);
  }
  summariser.Sort();
  return summary;
}

std::string SummaryText(const BundleSummary& summary) {
  std::string text = std::to_string(summary.processes) + " processes, " +
                     std::to_string(summary.sockets) + " sockets, " +
                     std::to_string(summary.files) + " files; " + std::to_string(summary.skipped) +
                     " skipped or cut\n";
  if (summary.unreadable_rows > 0)
    text += std::to_string(summary.unreadable_rows) + " rows could not be read\n";
  std::string kind;
  for (const Notable& n : summary.notable) {
    if (n.kind != kind) text += n.kind + "\n";
    kind = n.kind;
    text += "  " + (n.pid != 0 ? "pid " + std::to_string(n.pid) + "  " : "") + EscapeText(n.text) +
            "\n";
  }
  if (summary.more) text += "and more\n";
  if (summary.notable.empty()) text += "nothing stands out\n";
  return text;
}

std::string SummaryJson(const BundleSummary& summary) {
  nlohmann::ordered_json json;
  json["processes"] = summary.processes;
  json["sockets"] = summary.sockets;
  json["files"] = summary.files;
  json["skipped"] = summary.skipped;
  json["unreadable_rows"] = summary.unreadable_rows;
  json["more"] = summary.more;
  auto& notable = json["notable"] = nlohmann::ordered_json::array();
  for (const Notable& n : summary.notable)
    notable.push_back({{"kind", n.kind}, {"pid", n.pid}, {"text", n.text}});
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

Result<std::string> SummariseBundleFile(const std::string& path, bool json) {
  TRY(const UniqueFd fd, OpenReadOnly(path));
  TRY(const BundleSummary summary, SummariseBundle(SourceOf(fd.get())));
  return json ? SummaryJson(summary) : SummaryText(summary);
}

}  // namespace culprit
