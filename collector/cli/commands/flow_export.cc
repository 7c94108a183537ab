// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/commands/flow_export.h"

#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <algorithm>

#include "collector/cli/export.h"
#include "common/file.h"

namespace culprit::cli {
namespace {

constexpr std::uint32_t kPageSize = 10'000;

class Output {
 public:
  explicit Output(const std::string& file) : name_(file.empty() || file == "-" ? "" : file) {}

  // Once there is something to write: a failed question leaves no file behind.
  Status Write(std::string_view text) {
    if (!name_.empty() && !file_) {
      file_.Reset(open(name_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
      if (!file_) return Failed(ErrnoError("create"));
    }
    const Status written = WriteAll(name_.empty() ? STDOUT_FILENO : file_.get(), text);
    return written ? Ok() : Failed(written.error());
  }

 private:
  // A file that is not ours to write is no matter of the collector's authorisation.
  Status Failed(const Error& error) const {
    return MakeError(Code::kInternal, (name_.empty() ? "output" : name_) + ": " + error.message);
  }

  const std::string name_;
  UniqueFd file_;
};

Result<ExportContext> MakeContext(Client& client, ExportForm form) {
  ExportContext context;
  if (form != ExportForm::kVpcFlow) return context;
  TRY(const v1::ListHostsResponse hosts, client.ListHosts({}));
  for (const v1::HostRow& host : hosts.hosts()) {
    context.accounts[host.agent_id()] = host.account_id();
  }
  return context;
}

struct Progress {
  std::uint64_t rows = 0;
  bool begun = false;
};

Status Export(Session& session, Client& client, const ExportArgs& args,
              const v1::ListFlowsRequest& request, std::uint32_t limit, Progress* progress) {
  const ExportForm form = ExportFormOf(args.form);
  TRY(const ExportContext context, MakeContext(client, form));
  Output output(args.file);
  const auto write_page = [&](v1::ListFlowsResponse& page) -> Status {
    std::string text = progress->begun ? "" : ExportHeader(form, session.view().now_ns);
    for (const v1::FlowRow& flow : page.flows()) text += ExportFlow(form, flow, context);
    TRY_VOID(output.Write(text));
    progress->begun = true;
    progress->rows += static_cast<std::uint64_t>(page.flows_size());
    return Ok();
  };
  TRY_VOID(ForEachPage(client, request, limit, write_page));
  return output.Write(ExportFooter(form, session.view().now_ns));
}

}  // namespace

Result<bool> ForEachPage(Client& client, v1::ListFlowsRequest request, std::uint32_t limit,
                         const std::function<Status(v1::ListFlowsResponse&)>& visit) {
  std::uint32_t have = 0;
  while (true) {
    request.set_limit(limit == 0 ? kPageSize : std::min(limit - have, kPageSize));
    TRY(v1::ListFlowsResponse page, client.ListFlows(request));
    const auto rows = static_cast<std::uint32_t>(page.flows_size() + page.groups_size());
    request.set_page_token(page.next_page_token());
    TRY_VOID(visit(page));
    if (request.page_token().empty() || rows == 0) return false;
    have += std::min(rows, limit == 0 ? 0 : limit - have);
    if (limit != 0 && have == limit) return true;
  }
}

int RunExport(Session& session, Client& client, const ExportArgs& args,
              const v1::ListFlowsRequest& request, std::uint32_t limit) {
  Progress progress;
  const Status done = Export(session, client, args, request, limit, &progress);
  if (!done) {
    if (progress.begun) {
      session.Note(fmt::format("only the first {} flows were written", progress.rows));
    }
    return session.Fail(done.error());
  }
  if (progress.rows > 0) return kExitOk;
  session.Note("no flow matches: a wider time or fewer conditions?");
  return kExitNoMatch;
}

}  // namespace culprit::cli
