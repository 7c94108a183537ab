// SPDX-License-Identifier: Apache-2.0
// `culprit teardown HOST`.
#include <spawn.h>
#include <spdlog/fmt/fmt.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "collector/cli/commands/bundle_source.h"
#include "collector/cli/commands/commands.h"
#include "collector/cli/commands/incident_gather.h"
#include "collector/cli/commands/snapshot_wait.h"
#include "collector/cli/json.h"
#include "collector/cli/teardown_checks.h"
#include "collector/cli/views.h"
#include "collector/report/outline.h"
#include "common/file.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit::cli {
namespace {

constexpr const char* kFooter =
    "Says when a host may go. Takes a snapshot of all tiers, waits until the collector has it "
    "whole "
    "and verified, checks that\n"
    "all evidence that the agent had written has arrived, wants a word on the disk, writes the "
    "report, and only then ends with 0\n"
    "and \"safe to terminate\". In every other case it says what is missing and what to do, and "
    "terminates nothing.\n"
    "--then runs your own command through sh after that, and after nothing else; in its "
    "environment "
    "is CULPRIT_HOST, CULPRIT_SNAPSHOT\n"
    "and CULPRIT_REPORT. Where an Auto Scaling group would start the same image again, or that is "
    "not known, it warns and says what to do.\n"
    "Exit codes: 0 safe to terminate (and --then, if given, succeeded); 1 not safe, or --then "
    "failed; 3 no such host.\n"
    "\n"
    "Examples:\n"
    "  culprit teardown i-0123456789abcdef0 --disk-snapshot snap-0123456789abcdef0\n"
    "  culprit teardown web-1 --disk-not-preserved --deadline 10m \\\n"
    "      --then 'aws ec2 terminate-instances --instance-ids \"$CULPRIT_HOST\"'\n";

constexpr std::chrono::milliseconds kPoll{500};
constexpr std::chrono::seconds kArrival{30};  // of what was written when the snapshot began
constexpr std::size_t kMaxStatus = std::size_t{1} << 20;
constexpr std::uint32_t kFindings = 50;

struct Args {
  std::string host, deadline, snapshot, report, then, disk_snapshot, accept_gaps, case_id;
  bool disk_not_preserved = false;
};

class Teardown {
 public:
  Teardown(Session& session, Client& client, const Args& args)
      : session_(session), client_(client), args_(args) {}

  int Run() {
    if (const Status found = FindHost(); !found) return session_.Fail(found.error());
    if (!args_.deadline.empty()) {
      const auto span = ParseDuration(args_.deadline);
      if (!span || span->count() <= 0)
        return session_.Fail(InvalidArgument("--deadline: write for instance \"10m\""));
      deadline_ = std::chrono::steady_clock::now() + *span;
    }
    facts_.now_ns = session_.view().now_ns;
    TakeSnapshot();
    if (session_.interrupted()) return kExitInterrupted;
    ReadTier0();
    AwaitEvidence();
    if (session_.interrupted()) return kExitInterrupted;
    const Status refreshed = FindHost();
    if (!refreshed) return session_.Fail(refreshed.error());
    const auto status = client_.GetStatus();
    if (!status) return session_.Fail(status.error());
    facts_.collector_degraded.assign(status->degraded().begin(), status->degraded().end());
    WriteReport();
    return Conclude();
  }

 private:
  std::optional<std::chrono::milliseconds> Left() const {
    if (!deadline_) return std::nullopt;
    const auto left = *deadline_ - std::chrono::steady_clock::now();
    return std::max(std::chrono::duration_cast<std::chrono::milliseconds>(left),
                    std::chrono::milliseconds(1));
  }

  Status FindHost() {
    v1::ListHostsRequest request;
    request.set_host(facts_.host.agent_id().empty() ? args_.host : facts_.host.agent_id());
    TRY(const v1::ListHostsResponse hosts, client_.ListHosts(request));
    if (hosts.hosts_size() == 0)
      return NotFound("there is no host called " + args_.host + ": see `culprit hosts`");
    if (hosts.hosts_size() > 1)
      return InvalidArgument("several hosts are called " + args_.host +
                             ": give the agent id of one (culprit hosts --json)");
    facts_.host = hosts.hosts(0);
    facts_.disk_snapshot = args_.disk_snapshot;
    facts_.disk_not_preserved = args_.disk_not_preserved;
    facts_.accepted_gaps = args_.accept_gaps;
    return ReadHead();
  }

  Status ReadHead() {
    auto head = client_.GetEvidenceHead(facts_.host.agent_id());
    if (!head && head.error().code != Code::kNotFound) return std::move(head).error();
    facts_.head = head ? std::move(*head) : v1::EvidenceHead();
    return Ok();
  }

  void TakeSnapshot() {
    std::string id = args_.snapshot;
    if (id.empty()) {
      v1::TakeSnapshotRequest request;
      request.set_host(facts_.host.agent_id());
      request.set_last_tier(2);
      request.set_case_id(args_.case_id);
      const auto begun = client_.TakeSnapshot(request);
      if (!begun) {
        facts_.snapshot_problem = begun.error().message;
        return;
      }
      id = begun->id();
      session_.Note(fmt::format("taking snapshot {} of {}", id, EscapeText(args_.host)));
    }
    WaitOptions wait;
    wait.deadline = Left();
    wait.give_up_when_stuck = true;
    auto taken = AwaitSnapshot(session_, client_, id, wait);
    if (!taken) {
      facts_.snapshot_problem = taken.error().message;
      taken = client_.GetSnapshot(id);
    }
    if (taken) facts_.snapshot = std::move(*taken);
  }

  // What the agent said of its spool and the cloud of the instance, out of the bundle itself:
  // signed.
  void ReadTier0() {
    if (!facts_.snapshot || facts_.snapshot->state() != v1::SNAPSHOT_STATE_COMPLETE) {
      facts_.agent_problem = "it stands in the snapshot";
      return;
    }
    const auto found = SaidInBundle(facts_.snapshot->id());
    const auto position =
        found ? ParseAgentPosition(found->status) : Result<AgentPosition>(found.error());
    if (position) {
      facts_.agent = *position;
    } else {
      facts_.agent_problem = position.error().message;
    }
    if (!found || found->cloud.empty()) return;
    if (auto cloud = ParseCloudFacts(found->cloud)) facts_.cloud = std::move(*cloud);
  }

  struct Said {
    std::string status, cloud;
  };
  Result<Said> SaidInBundle(const std::string& id) {
    int exit_code = kExitOk;
    TRY(ByteSource source, OpenBundle(session_, id, &exit_code));
    BundleReader reader(std::move(source));
    Said said;
    while (said.status.empty() || said.cloud.empty()) {
      TRY(const auto member, reader.Next());
      if (!member || member->name == "errors-tier0.jsonl") break;
      std::string* text = member->name == "live/agent-status.json" ? &said.status
                          : member->name == kCloudMember           ? &said.cloud
                                                                   : nullptr;
      if (text == nullptr || !text->empty()) continue;
      TRY(*text, reader.ReadUpTo(kMaxStatus));
    }
    if (said.status.empty()) return NotFound("the snapshot holds no status of a running agent");
    return said;
  }

  void AwaitEvidence() {
    auto until = std::chrono::steady_clock::now() + kArrival;
    if (deadline_) until = std::min(until, *deadline_);
    while (facts_.agent && !HasArrived(*facts_.agent, facts_.head)) {
      if (std::chrono::steady_clock::now() > until || !session_.Wait(kPoll)) return;
      if (!ReadHead()) return;
    }
  }

  void WriteReport() {
    IncidentQuestion question;
    question.subject = facts_.host.agent_id();
    auto incident = GatherIncident(session_, client_, question);
    std::string path = args_.report;
    if (path.empty()) path = "culprit-report-" + facts_.host.agent_id().substr(0, 8) + ".html";
    const Status written =
        incident
            ? WriteFileAtomically(path, report::WriteHtml(report::MakeOutline(*incident)), 0600)
            : Status(incident.error());
    if (written) {
      report_ = path;
    } else {
      session_.Note("no report: " + EscapeText(written.error().message));
    }
  }

  int Conclude() {
    const std::vector<TeardownCheck> checks = CheckTeardown(facts_);
    const bool safe =
        !report_.empty() && std::ranges::all_of(checks, [](const auto& c) { return c.good; });
    v1::ListFindingsRequest request;
    request.set_host(facts_.host.agent_id());
    request.set_limit(kFindings);
    const auto findings = client_.ListFindings(request);
    if (session_.json()) {
      session_.Print(Json(checks, safe, findings ? *findings : v1::ListFindingsResponse()));
    } else {
      if (findings && findings->findings_size() > 0)
        session_.Print(RenderFindings({findings->findings().begin(), findings->findings().end()},
                                      session_.view()) +
                       "\n");
      session_.Print(RenderTeardown(checks, session_.view()));
      session_.Print(
          fmt::format("report   {}\n", report_.empty() ? "not written" : EscapeText(report_)));
      session_.Print(fmt::format(
          "\n{} {}\n",
          safe ? "safe to terminate:" : "NOT safe to terminate:", EscapeText(args_.host)));
    }
    if (!safe) return kExitFailed;
    return args_.then.empty() ? kExitOk : RunThen();
  }

  std::string Json(const std::vector<TeardownCheck>& checks, bool safe,
                   const v1::ListFindingsResponse& findings) const {
    std::string list, found;
    for (const TeardownCheck& check : checks)
      list += fmt::format(R"({}{{"name":{},"good":{},"warning":{},"text":{},"remedy":{}}})",
                          list.empty() ? "" : ",", JsonString(check.name), check.good,
                          check.warning, JsonString(check.text),
                          JsonString(check.good && !check.warning ? "" : check.remedy));
    for (const v1::Finding& finding : findings.findings())
      found += (found.empty() ? "" : ",") + ToJson(finding);
    return fmt::format(
        R"({{"host":{},"safe":{},"checks":[{}],"snapshot":{},"findings":[{}],"report":{}}})"
        "\n",
        JsonString(args_.host), safe, list, facts_.snapshot ? ToJson(*facts_.snapshot) : "null",
        found, JsonString(report_));
  }

  int RunThen() {
    setenv("CULPRIT_HOST", args_.host.c_str(), 1);
    setenv("CULPRIT_SNAPSHOT", facts_.snapshot->id().c_str(), 1);
    setenv("CULPRIT_REPORT", report_.c_str(), 1);
    const auto status = Shell(args_.then);
    if (!status) return session_.Fail(status.error());
    if (*status == 0) return kExitOk;
    session_.Note(fmt::format("--then ended with {}: the host may still be there", *status));
    return kExitFailed;
  }

  // With the signals that this program waits for itself: the command is the operator's.
  static Result<int> Shell(std::string command) {
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    std::string name = "sh", option = "-c";
    char* arguments[] = {name.data(), option.data(), command.data(), nullptr};
    pid_t pid = 0;
    const int error = posix_spawn(&pid, "/bin/sh", nullptr, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    if (error != 0) return ErrnoError("--then", error);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
      if (errno != EINTR) return ErrnoError("--then");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  Session& session_;
  Client& client_;
  const Args& args_;
  TeardownFacts facts_;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
  std::string report_;
};

}  // namespace

Command AddTeardown(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("teardown", "Save all of a host, and say when it is safe to terminate");
  const auto args = std::make_shared<Args>();
  command->add_option("HOST", args->host, "The host")->required()->type_name("HOST");
  auto* disk = command
                   ->add_option("--disk-snapshot", args->disk_snapshot,
                                "The EBS snapshot that preserves its disk")
                   ->type_name("SNAP");
  command->add_flag("--disk-not-preserved", args->disk_not_preserved, "Its disk may go with it")
      ->excludes(disk);
  command->add_option("--snapshot", args->snapshot, "Use this one instead of taking one")
      ->type_name("ID");
  command
      ->add_option("--accept-gaps", args->accept_gaps,
                   "Why evidence with gaps will do; goes into the output")
      ->type_name("WHY");
  command->add_option("--report", args->report, "Where the report goes (default: here)")
      ->type_name("FILE");
  command->add_option("--case", args->case_id, "Number of the case, for the manifest")
      ->type_name("CASE");
  command->add_option("--deadline", args->deadline, "Give up after this")->type_name("SPAN");
  command->add_option("--then", args->then, "Run this afterwards, if it is safe")
      ->type_name("COMMAND");
  command->footer(kFooter);
  return {command, [args](Session& session) {
            int exit_code = kExitOk;
            Client* client = session.Connect(&exit_code);
            return client == nullptr ? exit_code : Teardown(session, *client, *args).Run();
          }};
}

}  // namespace culprit::cli
