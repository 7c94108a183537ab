// SPDX-License-Identifier: Apache-2.0
// The two views that tell the story of a process: `who` and `process`.
#include <spdlog/fmt/fmt.h>
#include <sys/wait.h>

#include <algorithm>

#include "collector/cli/flow_words.h"
#include "collector/cli/views.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit::cli {
namespace {

constexpr std::uint32_t kNotSet = 0xffffffffU;

std::string UserOf(const v1::ProcessInfo& p) {
  if (p.user().empty() && p.uid() == kNotSet) return "unknown user";
  std::string text =
      p.user().empty() ? std::to_string(p.uid()) : fmt::format("{} ({})", p.user(), p.uid());
  if (p.login_uid() != kNotSet) {
    const std::string login =
        p.login_user().empty() ? std::to_string(p.login_uid()) : p.login_user();
    text += fmt::format(", logged in as {}", login);
  }
  if (p.session_id() != kNotSet) text += fmt::format(", session {}", p.session_id());
  return text;
}

// How whoever started it came in.
std::string SessionOf(const v1::ProcessInfo& p) {
  if (p.login_session_id().empty()) return "";
  std::string text = fmt::format("{} by {}", p.login_session_id(), p.session_kind());
  if (!p.session_user().empty()) text += " as " + p.session_user();
  if (!p.session_address().empty()) text += " from " + p.session_address();
  if (!p.key_fingerprint().empty()) text += ", key " + p.key_fingerprint();
  return text;
}

std::string ExeNotes(const v1::ProcessInfo& p) {
  std::string notes;
  if (p.exe_memfd()) notes += " [never on disk: memfd]";
  if (p.exe_deleted()) notes += " [deleted]";
  return notes;
}

std::string EndOf(const v1::ProcessInfo& p, const View& view) {
  if (p.exit_ns() == 0) return "still running";
  const int status = p.wait_status();
  std::string how = fmt::format("wait status {}", status);
  if (WIFEXITED(status)) how = fmt::format("status {}", WEXITSTATUS(status));
  if (WIFSIGNALED(status)) how = fmt::format("signal {}", WTERMSIG(status));
  return fmt::format("{} ({})", FormatTime(p.exit_ns(), view.zone), how);
}

std::string TreeLine(const v1::ProcessInfo& p) {
  const bool unknown = p.user().empty() && p.uid() == kNotSet;
  const std::string user = unknown            ? "unknown user"
                           : p.user().empty() ? std::to_string(p.uid())
                                              : p.user();
  const std::string exe = !p.exe().empty() ? p.exe() : p.comm().empty() ? "unknown" : p.comm();
  return fmt::format("{} {} ({}) {}{}", p.pid(), EscapeText(exe), EscapeText(user),
                     EscapeText(CommandLineOf(p)), p.forked() ? " [forked, no exec]" : "");
}

// systemd 1 -> … -> the process -> its children, each one level deeper.
std::string RenderTree(const v1::GetProcessResponse& answer, const View& view) {
  std::string out;
  std::string indent;
  const auto add = [&](const v1::ProcessInfo& p, std::string_view branch, Style style) {
    const std::string line = indent + std::string(branch) + TreeLine(p);
    out += Styled(view.width == 0 ? line : TruncateMiddle(line, view.width), style, view.colour) +
           "\n";
  };
  bool first = true;
  const auto deeper = [&] {
    if (!first) indent += "   ";
    first = false;
  };
  for (int i = answer.ancestors_size() - 1; i >= 0; --i) {
    add(answer.ancestors(i), first ? "" : "└─ ", Style::kPlain);
    deeper();
  }
  add(answer.process(), first ? "" : "└─ ", Style::kBold);
  deeper();
  for (int i = 0; i < answer.children_size(); ++i) {
    add(answer.children(i), i + 1 == answer.children_size() ? "└─ " : "├─ ", Style::kPlain);
  }
  const v1::ProcessInfo& oldest = answer.ancestors_size() > 0
                                      ? answer.ancestors(answer.ancestors_size() - 1)
                                      : answer.process();
  if (oldest.pid() > 1) out = "(what came before is not known)\n" + out;
  return out;
}

std::string RenderAttempts(const v1::Counters& c) {
  std::string out = fmt::format("{} connection attempts", FormatCount(c.tcp_attempts()));
  const std::pair<const char*, std::uint64_t> outcomes[] = {{"ok", c.ok()},
                                                            {"refused", c.refused()},
                                                            {"timed out", c.timed_out()},
                                                            {"unreachable", c.unreachable()},
                                                            {"denied", c.denied()},
                                                            {"reset", c.reset()},
                                                            {"aborted", c.aborted()},
                                                            {"not sent", c.not_sent()},
                                                            {"other", c.other()}};
  std::string_view separator = ": ";
  for (const auto& [name, count] : outcomes) {
    if (count == 0) continue;
    out += fmt::format("{}{} {}", separator, FormatCount(count), name);
    separator = ", ";
  }
  if (c.accepts() > 0) out += fmt::format("; {} accepted", FormatCount(c.accepts()));
  if (c.suppressed_flows() > 0) {
    out += fmt::format("; {} counted without a flow record of their own",
                       FormatCount(c.suppressed_flows()));
  }
  return out;
}

std::string OfParts(std::uint64_t whole, std::string_view name, std::uint64_t ok,
                    std::uint64_t failed) {
  return fmt::format("{} {}: {} ok, {} failed, {} open", FormatCount(whole), name, FormatCount(ok),
                     FormatCount(failed), FormatCount(whole - std::min(whole, ok + failed)));
}

// What it made itself, past the kernel's own TCP and UDP.
std::string RenderCrafted(const v1::Counters& c) {
  if (c.raw_packets() == 0 && c.link_packets() == 0) return "";
  return fmt::format(
      "{} packets ({}) through raw sockets, {} ({}) through packet sockets; {} bare SYNs",
      FormatCount(c.raw_packets()), FormatByteSize(c.raw_bytes()), FormatCount(c.link_packets()),
      FormatByteSize(c.link_bytes()), FormatCount(c.bare_syns()));
}

std::string RenderBegun(const v1::Counters& c) {
  const std::uint64_t all = c.initiated_tx_wire_bytes() | c.initiated_rx_wire_bytes() |
                            c.accepted_tx_wire_bytes() | c.accepted_rx_wire_bytes();
  if (all == 0) return "";
  return fmt::format(
      "{} sent, {} received on flows it began; {} sent, {} received on flows it accepted",
      FormatByteSize(c.initiated_tx_wire_bytes()), FormatByteSize(c.initiated_rx_wire_bytes()),
      FormatByteSize(c.accepted_tx_wire_bytes()), FormatByteSize(c.accepted_rx_wire_bytes()));
}

std::string RenderWindow(const v1::Counters& c, const View& view) {
  if (c.window_addresses() == 0 && c.window_ports() == 0) return "";
  const std::string from =
      c.window_start_ns() == 0 ? "" : " from " + FormatTime(c.window_start_ns(), view.zone);
  return fmt::format("about {} addresses, {} ports in its last 10 s of sending{}",
                     FormatCount(c.window_addresses()), FormatCount(c.window_ports()), from);
}

class Lines {
 public:
  explicit Lines(const View& view) : view_(view) {}
  void Add(std::string_view name, const std::string& value) {
    if (!value.empty()) text_ += fmt::format("{:<12} {}\n", name, EscapeText(value));
  }
  // Cut to the width of the terminal: a command line may be a thousand characters long.
  void AddCut(std::string_view name, const std::string& value) {
    text_ += FitLine(fmt::format("{:<12} {}", name, value), view_) + "\n";
  }
  std::string Take() { return std::move(text_); }

 private:
  const View& view_;
  std::string text_;
};

// Empty = nothing is known of it.
std::string PackageText(const v1::ExePackage& package) {
  switch (package.state()) {
    case v1::PACKAGE_STATE_NONE:
      return "none: the executable belongs to no package";
    case v1::PACKAGE_STATE_INTACT:
      return package.name() + ", as it was installed";
    case v1::PACKAGE_STATE_DIFFERS:
      return package.name() + ", but the executable DIFFERS from what the package brought";
    case v1::PACKAGE_STATE_LISTED:
      return package.name() + ", content not compared";
    default:
      return "";
  }
}

std::string ChainOf(const v1::GetProcessResponse& process) {
  std::string out;
  for (const v1::ProcessInfo& ancestor : process.ancestors()) {
    out += fmt::format(" \u2190 {} ({})",
                       ancestor.comm().empty() ? ancestor.exe() : ancestor.comm(), ancestor.pid());
  }
  return out;
}

}  // namespace

std::string RenderProcess(const v1::GetProcessResponse& answer, const View& view) {
  const v1::ProcessInfo& p = answer.process();
  Lines lines(view);
  lines.Add("process", fmt::format("{} on {}, pid {}{}", p.process_id(),
                                   p.host().empty() ? "an unknown host" : p.host(), p.pid(),
                                   p.is_agent() ? " (Culprit's own agent)" : ""));
  lines.Add("executable", (p.exe().empty() ? "unknown" : p.exe()) + ExeNotes(p));
  lines.Add("sha256", p.exe_sha256().empty() ? "not known" : p.exe_sha256());
  lines.Add("package", PackageText(p.exe_package()));
  lines.AddCut("command", CommandLineOf(p));
  lines.Add("user", UserOf(p));
  lines.Add("session", SessionOf(p));
  lines.Add("container", p.container_id());
  lines.Add("cgroup", p.cgroup());
  lines.Add("started", p.start_ns() == 0
                           ? "not known"
                           : fmt::format("{} ({}){}", FormatTime(p.start_ns(), view.zone),
                                         FormatAge(p.start_ns(), view.now_ns),
                                         p.preexisting() ? ", before the agent" : ""));
  lines.Add("ended", EndOf(p, view));
  const v1::FlowGroup& totals = answer.totals();
  lines.Add(
      "traffic",
      fmt::format("{} sent, {} received, {} flows, {} destinations",
                  FormatByteSize(totals.tx_wire_bytes()), FormatByteSize(totals.rx_wire_bytes()),
                  FormatCount(totals.flows()), FormatCount(totals.destinations())));
  if (totals.has_cost()) lines.Add("cost", CostText(totals));
  const v1::Counters& counters = answer.counters();
  lines.Add("connections", RenderAttempts(counters));
  if (counters.first_contacts() > 0) {
    lines.Add("", OfParts(counters.first_contacts(), "first contacts", counters.first_contacts_ok(),
                          counters.first_contacts_failed()));
  }
  lines.Add("reach", RenderWindow(counters, view));
  lines.Add("roles", RenderBegun(counters));
  lines.Add("crafted", RenderCrafted(counters));
  std::string out = lines.Take() + "\n" + RenderTree(answer, view);
  if (answer.flows_size() > 0) {
    out += "\n" + RenderFlows({answer.flows().begin(), answer.flows().end()}, view);
  }
  return out;
}

std::string RenderWho(const std::vector<WhoMatch>& matches, const v1::PlaceRow* where,
                      const View& view) {
  std::string out;
  if (where != nullptr) {
    const std::string place = PlaceText(PlaceIn(*where));
    if (place != "-") out += FitLine(fmt::format("{} is {}", where->address(), place), view) + "\n";
  }
  for (const WhoMatch& match : matches) {
    const v1::ProcessInfo& p = match.process.process();
    const bool known = !p.process_id().empty();
    const std::string host = known ? p.host() : match.group.host();
    if (!out.empty()) out += "\n";
    const std::string name = known ? CommandLineOf(p) : match.group.label();
    out +=
        Styled(FitLine(fmt::format("{}: {}", host, name), view), Style::kBold, view.colour) + "\n";
    Lines lines(view);
    lines.Add("  process", match.group.key() + (known ? fmt::format(", pid {}", p.pid()) : ""));
    if (known) {
      lines.Add("  executable", (p.exe().empty() ? "unknown" : p.exe()) + ExeNotes(p));
      lines.Add("  sha256", p.exe_sha256());
      lines.Add("  user", UserOf(p));
      lines.Add("  session", SessionOf(p));
      lines.Add("  started by",
                (p.comm().empty() ? std::to_string(p.pid()) : p.comm()) + ChainOf(match.process));
    }
    lines.Add(
        "  flows",
        fmt::format("{} ({} failed), {} sent, {} received", FormatCount(match.group.flows()),
                    FormatCount(match.group.failed()), FormatByteSize(match.group.tx_wire_bytes()),
                    FormatByteSize(match.group.rx_wire_bytes())));
    if (match.group.has_cost()) lines.Add("  cost", CostText(match.group));
    lines.Add("  seen", fmt::format("{} to {}", FormatTime(match.group.first_ns(), view.zone),
                                    FormatTime(match.group.last_ns(), view.zone)));
    out += lines.Take();
  }
  return out;
}

}  // namespace culprit::cli
