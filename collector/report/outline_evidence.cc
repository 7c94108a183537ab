// SPDX-License-Identifier: Apache-2.0
// The parts of a report about how somebody got in, what he changed, and what proves it.
#include <fmt/format.h>

#include <algorithm>

#include "collector/report/outline.h"
#include "common/units.h"

namespace culprit::report {
namespace {

constexpr std::size_t kMaxKeys = 50, kMaxNotable = 60, kMaxChanges = 60;

std::string LockWords(const v1::AuthorizedKey& key) {
  std::string text = key.accepted() ? "accepted" : "not accepted: " + key.refused();
  if (key.immutable() || key.append_only()) text += ", locked (+i, +a)";
  return text;
}

Grid LinkGrid(const v1::LoginRow& login) {
  Grid grid{{"Link", "Confidence", "Rests on"}, {}, {}};
  for (const auto& link : login.links())
    grid.rows.push_back({link.kind(), link.confidence(), link.reason()});
  return grid;
}

void AddNotable(const Incident& incident, Section* section) {
  if (incident.notable.empty()) return;
  Grid grid{{"In the snapshot", "Process", "What"}, {}, {}};
  for (const Notable& notable : incident.notable) {
    if (notable.kind == "listener" || notable.kind == "ssh") continue;
    if (grid.rows.size() == kMaxNotable) break;
    grid.rows.push_back(
        {notable.kind, notable.pid == 0 ? "-" : std::to_string(notable.pid), notable.text});
  }
  if (!grid.rows.empty()) section->blocks.emplace_back(std::move(grid));
}

std::string WriterWords(const v1::PostureChangeRow& change) {
  if (change.pid() == 0) return "not known";
  std::string text =
      fmt::format("pid {} {}", change.pid(),
                  change.command_line().empty() ? change.comm() : change.command_line());
  if (!change.user().empty()) text += ", user " + change.user();
  if (!change.login_user().empty()) text += ", login of " + change.login_user();
  return text + " (" + change.confidence() + ")";
}

}  // namespace

std::string LoginWords(const v1::LoginRow& login) {
  std::string text = login.user().empty() ? "an unknown user" : login.user();
  if (!login.address().empty()) text += " from " + login.address();
  text += " by " + (login.kind().empty() ? std::string("an unknown way") : login.kind());
  if (!login.method().empty()) text += ", " + login.method();
  if (!login.key_fingerprint().empty())
    text += " " + login.key_type() + " " + login.key_fingerprint();
  if (!login.key_found_at().empty()) text += ", key of " + login.key_found_at();
  if (!login.principal().empty()) text += ", for " + login.principal();
  if (login.failures_before() > 0)
    text += fmt::format(", after {} failed attempts", login.failures_before());
  return text;
}

Section WayInSection(const Incident& incident) {
  Section section{"How they got in", {}};
  for (const v1::GetSessionResponse& session : incident.sessions) {
    section.blocks.push_back(Paragraph{"Session " + session.login().session_id() + ", " +
                                       At(session.login().at_ns()) + ": " +
                                       LoginWords(session.login()) + "."});
    Grid links = LinkGrid(session.login());
    if (!links.rows.empty()) section.blocks.emplace_back(std::move(links));
    section.blocks.push_back(Paragraph{
        fmt::format("{} processes of the session sent {} and received {}.",
                    session.processes_size(), FormatByteSize(session.totals().tx_wire_bytes()),
                    FormatByteSize(session.totals().rx_wire_bytes()))});
  }
  if (incident.sessions.empty())
    section.blocks.push_back(Paragraph{
        "No login is known to stand behind it: look at the ancestry above for a service, a "
        "scheduler or a container."});
  std::uint64_t failed = 0;
  for (const auto& row : incident.failed.failures()) failed += row.count();
  section.blocks.push_back(Paragraph{fmt::format(
      "{} logins and {} failed attempts at this host in the reported time and the day before.",
      incident.logins.logins_size(), failed)});
  return section;
}

Section ChangedSection(const Incident& incident) {
  Section section{"What was changed", {}};
  Grid changes{{"When (UTC)", "Change", "File", "By"}, {}, {}};
  for (const v1::PostureChangeRow& change : incident.posture.changes()) {
    if (changes.rows.size() == kMaxChanges) break;
    changes.rows.push_back({At(change.at_ns()), change.kind(), change.path(), WriterWords(change)});
  }
  if (changes.rows.empty()) {
    section.blocks.push_back(Paragraph{"No change of what sshd reads was seen in this time."});
  } else {
    section.blocks.emplace_back(std::move(changes));
  }
  for (const v1::PostureChangeRow& change : incident.posture.changes())
    if (!change.diff().empty())
      section.blocks.emplace_back(Verbatim{change.path() + "\n" + change.diff()});
  Grid keys{{"Key that opens an account", "User", "File", "State", "Hosts"},
            {},
            {false, false, false, false, true}};
  for (const v1::KeyRow& row : incident.keys) {
    if (keys.rows.size() == kMaxKeys) break;
    const v1::AuthorizedKey& key = row.key();
    keys.rows.push_back({key.type() + " " + key.fingerprint() + " " + key.comment(), key.user(),
                         fmt::format("{}:{}", key.path(), key.line()), LockWords(key),
                         std::to_string(row.hosts())});
  }
  if (!keys.rows.empty()) section.blocks.emplace_back(std::move(keys));
  AddNotable(incident, &section);
  return section;
}

Section ProofSection(const Incident& incident) {
  Section section{"Proof, gaps and confidence", {}};
  Grid grid{{"Snapshot", "State", "Taken", "Bytes", "SHA-256", "Signed by"},
            {},
            {false, false, false, true, false, false}};
  for (const SnapshotFacts& snapshot : incident.snapshots)
    grid.rows.push_back({snapshot.id, snapshot.state, At(snapshot.at_ns),
                         FormatByteSize(snapshot.bytes), snapshot.sha256,
                         snapshot.key_fingerprint});
  if (grid.rows.empty()) {
    section.blocks.push_back(Paragraph{"There is no snapshot of this host at the collector."});
  } else {
    section.blocks.emplace_back(std::move(grid));
  }
  Items gaps;
  const v1::HostRow& host = incident.host;
  const auto counted = [&gaps](std::uint64_t n, const char* what) {
    if (n > 0) gaps.items.push_back(fmt::format("{} {}", n, what));
  };
  counted(host.gaps(), "gaps in the sequence of the evidence");
  counted(host.forks(), "forks of the evidence: two hosts use one key, or somebody rewrites");
  counted(host.rollbacks(), "rollbacks of the evidence");
  counted(host.lost_events(), "events lost in the kernel or the agent");
  counted(host.lost_frames(), "frames lost before they were sent");
  counted(host.rejected(), "frames refused by the collector");
  for (const std::string& problem : host.degraded()) gaps.items.push_back("agent: " + problem);
  for (const std::string& hook : host.missing_hooks())
    gaps.items.push_back("not available on this kernel: " + hook);
  for (const v1::GetProcessResponse& answer : incident.processes)
    if (answer.process().preexisting())
      gaps.items.push_back(
          fmt::format("process {} was there before the agent: what it did until "
                      "then is known as far as its sockets tell",
                      answer.process().pid()));
  for (const std::string& gap : incident.gaps) gaps.items.push_back(gap);
  if (gaps.items.empty()) gaps.items.emplace_back("no gap in the evidence is known");
  gaps.items.emplace_back(
      "the kernel that counted is the suspect's; a VPC flow log is the outside witness");
  section.blocks.emplace_back(std::move(gaps));
  return section;
}

}  // namespace culprit::report
