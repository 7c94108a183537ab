// SPDX-License-Identifier: Apache-2.0
// What happened when: every point in time that the incident has, in one order.
#include <fmt/format.h>

#include <algorithm>

#include "collector/report/outline.h"
#include "common/units.h"

namespace culprit::report {
namespace {

constexpr std::size_t kMaxEvents = 300;

struct Moment {
  std::int64_t at_ns = 0;
  std::string what, text;
};

class Timeline {
 public:
  void Add(std::int64_t at_ns, std::string what, std::string text) {
    if (at_ns != 0) moments_.push_back({at_ns, std::move(what), std::move(text)});
  }

  void Logins(const Incident& incident) {
    for (const v1::LoginRow& login : incident.logins.logins()) {
      Add(login.at_ns(), "login", LoginWords(login));
      Add(login.ended_ns(), "logout", login.user() + " from " + login.address());
    }
    if (incident.failed.failures().empty()) return;
    std::uint64_t count = 0;
    std::int64_t first = 0, last = 0;
    for (const v1::LoginFailureRow& row : incident.failed.failures()) {
      count += row.count();
      first = first == 0 ? row.minute_ns() : std::min(first, row.minute_ns());
      last = std::max(last, row.minute_ns());
    }
    Add(first, "failed logins", fmt::format("{} until {}", count, At(last)));
  }

  void Findings(const Incident& incident) {
    for (const v1::Finding& finding : incident.findings) {
      Add(finding.first_ns(), "begins", finding.rule() + " " + finding.id() + ": first evidence");
      Add(finding.trigger_ns(), "found", finding.rule() + ": " + finding.reason());
      Add(finding.last_ns(), "last seen", finding.rule() + " " + finding.id());
      Add(finding.state_ns(), "decided", finding.state_by() + ": " + finding.state_reason());
    }
  }

  void Processes(const Incident& incident) {
    for (const v1::GetProcessResponse& answer : incident.processes) {
      const v1::ProcessInfo& p = answer.process();
      const std::string name = fmt::format("pid {} {}", p.pid(), CommandLine(p));
      Add(p.start_ns(), "process", name + " begins");
      if (p.exec_ns() > p.start_ns()) Add(p.exec_ns(), "process", name + " is started");
      Add(p.exit_ns(), "process", name + " ends");
      Add(answer.totals().first_ns(), "traffic", name + ": its first flow");
    }
  }

  void Changes(const Incident& incident) {
    for (const v1::PostureChangeRow& change : incident.posture.changes())
      Add(change.at_ns(), "change", change.kind() + ": " + change.path());
    for (const SnapshotFacts& snapshot : incident.snapshots)
      Add(snapshot.at_ns, "snapshot", snapshot.id + ", " + snapshot.state);
  }

  Grid Take() {
    std::ranges::stable_sort(moments_,
                             [](const Moment& a, const Moment& b) { return a.at_ns < b.at_ns; });
    Grid grid{{"When (UTC)", "", "What"}, {}, {}};
    for (const Moment& moment : moments_) {
      if (grid.rows.size() == kMaxEvents) {
        grid.rows.push_back(
            {"", "", fmt::format("and {} later moments", moments_.size() - kMaxEvents)});
        break;
      }
      grid.rows.push_back({At(moment.at_ns), moment.what, moment.text});
    }
    return grid;
  }

 private:
  std::vector<Moment> moments_;
};

}  // namespace

Section TimelineSection(const Incident& incident) {
  Timeline timeline;
  timeline.Logins(incident);
  timeline.Findings(incident);
  timeline.Processes(incident);
  timeline.Changes(incident);
  return {"Timeline", {timeline.Take()}};
}

}  // namespace culprit::report
