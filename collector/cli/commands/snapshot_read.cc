// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/commands/snapshot_read.h"

#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <utility>

#include "collector/cli/bundle_views.h"
#include "collector/cli/commands/bundle_extract.h"
#include "collector/cli/commands/bundle_source.h"
#include "collector/cli/commands/flow_filter.h"
#include "collector/cli/json.h"
#include "collector/cli/views.h"
#include "common/bundle_summary.h"
#include "common/file.h"
#include "common/hex.h"
#include "common/sha256.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit::cli {
namespace {

constexpr const char* kShowFooter =
    "Of a snapshot at the collector: its state, who had it when, and what stands out in it. Of a "
    "file no collector is\n"
    "needed. Listed is what is worth a look first: processes that are hidden, run from memory or "
    "from deleted files,\n"
    "sniffers, locked files, what is wrong with SSH, listeners. `culprit verify` says whether to "
    "trust a file.\n"
    "\n"
    "Examples:\n"
    "  culprit snapshot show 1a2b3c4d\n"
    "  culprit snapshot show host.tar.zst --json | jq -r '.notable[] | select(.pid > 0) | .text'\n";

constexpr std::size_t kChunk = std::size_t{256} << 10;

struct Args {
  std::string bundle, other, member, to, out;
  std::vector<std::string> members;
  TimeArgs time;
};

// Runs `use` with the bundle's bytes.
template <class Use>
int WithBundle(Session& session, const std::string& bundle, const Use& use) {
  int exit_code = kExitOk;
  auto source = OpenBundle(session, bundle, &exit_code);
  if (exit_code != kExitOk) return exit_code;
  if (!source) return session.Fail(source.error());
  return use(std::move(*source));
}

void NoteBroken(Session& session, const std::string& broken) {
  if (!broken.empty())
    session.Note("the bundle is not whole: " + EscapeText(broken) + "; this is what is there");
}

int Show(Session& session, const Args& args) {
  if (access(args.bundle.c_str(), F_OK) == 0 || !IsSnapshotId(args.bundle)) {
    const auto text = SummariseBundleFile(args.bundle, session.json());
    if (!text) return session.Fail(text.error());
    session.Print(*text);
    return kExitOk;
  }
  int exit_code = kExitOk;
  Client* client = session.Connect(&exit_code);
  if (client == nullptr) return exit_code;
  const auto snapshot = client->GetSnapshot(args.bundle);
  if (!snapshot) return session.Fail(snapshot.error());
  std::string summary_json = "null\n", summary_text;
  const bool readable =
      snapshot->stored_bytes() > 0 && snapshot->state() != v1::SNAPSHOT_STATE_REMOVED;
  if (readable) {
    const std::shared_ptr<SnapshotStream> stream = client->ReadSnapshot(snapshot->id());
    const auto summary =
        SummariseBundle([stream](std::span<char> buffer) { return stream->Read(buffer); });
    if (!summary) return session.Fail(summary.error());
    summary_json = SummaryJson(*summary);
    summary_text = "\n" + SummaryText(*summary);
  }
  if (session.json()) {
    session.Print(fmt::format("{{\"snapshot\":{},\"summary\":{}}}\n", ToJson(*snapshot),
                              summary_json.substr(0, summary_json.find('\n'))));
  } else {
    session.Print(RenderSnapshot(*snapshot, session.view()) + summary_text);
  }
  return kExitOk;
}

int List(Session& session, const Args& args) {
  return WithBundle(session, args.bundle, [&](ByteSource source) {
    const auto list = ListMembers(std::move(source));
    if (!list) return session.Fail(list.error());
    if (session.json()) {
      for (const ListedMember& member : list->members) session.Print(MemberJson(member));
    } else {
      session.Print(RenderMembers(*list, session.view()));
    }
    NoteBroken(session, list->broken);
    return static_cast<int>(kExitOk);
  });
}

Result<bool> CopyMember(Session& session, BundleReader& reader, const std::string& name) {
  const bool terminal = isatty(STDOUT_FILENO) == 1;
  std::string chunk(kChunk, '\0'), all;
  Sha256 hash;
  std::uint64_t size = 0;
  for (;;) {
    TRY(const std::size_t got, reader.Read(chunk));
    if (got == 0) break;
    const std::string_view bytes = std::string_view(chunk).substr(0, got);
    hash.Update(bytes);
    size += got;
    if (session.json()) {
      all += bytes;
    } else if (terminal) {
      // Nothing of a host steers the terminal; lines stay lines.
      for (std::size_t at = 0; at < bytes.size();) {
        const std::size_t end = std::min(bytes.find('\n', at), bytes.size());
        session.Print(EscapeText(bytes.substr(at, end - at)) + (end < bytes.size() ? "\n" : ""));
        at = end + 1;
      }
    } else {
      session.Print(bytes);
    }
  }
  if (session.json()) {
    session.Print(fmt::format("{{\"name\":{},\"size_bytes\":{},\"sha256\":\"{}\",\"text\":{}}}\n",
                              JsonString(name), size, HexEncode(AsBytes(hash.Finish())),
                              JsonString(EscapeText(all))));
  }
  return true;
}

int Cat(Session& session, const Args& args) {
  const std::string wanted = AsMemberName(args.member);
  return WithBundle(session, args.bundle, [&](ByteSource source) {
    BundleReader reader(std::move(source));
    for (;;) {
      auto member = reader.Next();
      if (!member) return session.Fail(member.error());
      if (!*member) break;
      if ((*member)->name != wanted) continue;
      const auto copied = CopyMember(session, reader, wanted);
      return copied ? static_cast<int>(kExitOk) : session.Fail(copied.error());
    }
    return session.Fail(
        NotFound("there is no member \"" + EscapeText(wanted) + "\" (`culprit snapshot ls`)"));
  });
}

int Extract(Session& session, const Args& args) {
  std::vector<std::string> members;
  for (const std::string& member : args.members) members.push_back(AsMemberName(member));
  const std::string to = args.to.empty()
                             ? "snapshot-" + args.bundle.substr(args.bundle.rfind('/') + 1) + ".d"
                             : args.to;
  return WithBundle(session, args.bundle, [&](ByteSource source) {
    const auto extracted = ExtractBundle(std::move(source), to, members);
    if (!extracted) return session.Fail(extracted.error());
    for (const std::string& name : extracted->refused)
      session.Note("not written, its name leads elsewhere or is there twice: " + EscapeText(name));
    NoteBroken(session, extracted->broken);
    if (session.json()) {
      session.Print(fmt::format(
          "{{\"directory\":{},\"files\":{},\"size_bytes\":{},\"refused\":{},\"broken\":{}}}\n",
          JsonString(to), extracted->files, extracted->bytes, extracted->refused.size(),
          JsonString(extracted->broken)));
    } else {
      session.Print(fmt::format("{}: {} files, {}\n", EscapeText(to), FormatCount(extracted->files),
                                FormatByteSize(extracted->bytes)));
    }
    if (extracted->files == 0) return static_cast<int>(kExitNoMatch);
    return static_cast<int>(extracted->refused.empty() && extracted->broken.empty() ? kExitOk
                                                                                    : kExitFailed);
  });
}

Result<std::uint64_t> SaveTo(const ByteSource& source, const std::string& path, Sha256* hash) {
  const std::string part = path + ".part";
  const UniqueFd fd(
      open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return ErrnoError("--out " + part);
  std::string chunk(kChunk, '\0');
  std::uint64_t size = 0;
  for (;;) {
    TRY(const std::size_t got, source(chunk));
    if (got == 0) break;
    hash->Update({chunk.data(), got});
    size += got;
    TRY_VOID(WriteAll(fd.get(), {chunk.data(), got}));
  }
  if (fsync(fd.get()) != 0) return ErrnoError("--out " + part);
  TRY_VOID(RenameFile(part, path));
  return size;
}

int Save(Session& session, const Args& args) {
  return WithBundle(session, args.bundle, [&](const ByteSource& source) {
    Sha256 hash;
    const auto size = SaveTo(source, args.out, &hash);
    if (!size) return session.Fail(size.error());
    const std::string sha256 = HexEncode(AsBytes(hash.Finish()));
    session.Print(session.json()
                      ? fmt::format("{{\"file\":{},\"size_bytes\":{},\"sha256\":\"{}\"}}\n",
                                    JsonString(args.out), *size, sha256)
                      : fmt::format("{}: {}, sha256 {}\n", EscapeText(args.out),
                                    FormatByteSize(*size), sha256));
    return static_cast<int>(kExitOk);
  });
}

int Diff(Session& session, const Args& args) {
  std::vector<BundleContent> contents;
  for (const std::string& bundle : {args.bundle, args.other}) {
    const int code = WithBundle(session, bundle, [&](ByteSource source) {
      auto content = BundleContent::Read(std::move(source));
      if (!content) return session.Fail(content.error());
      contents.push_back(std::move(*content));
      return static_cast<int>(kExitOk);
    });
    if (code != kExitOk) return code;
  }
  const BundleDifference difference = contents[0].To(contents[1]);
  if (session.json()) {
    for (const Difference& row : difference.rows) session.Print(DifferenceJson(row));
  } else if (!difference.rows.empty()) {
    session.Print(RenderDifference(difference, session.view()));
  }
  NoteBroken(session, difference.broken);
  if (!difference.rows.empty()) return kExitOk;
  session.Note("no difference in processes, sockets, files, modules, keys and BPF programs");
  return kExitNoMatch;
}

int Tell(Session& session, const Args& args) {
  const auto range = ToTimeRange(args.time, session);
  if (!range) return session.Fail(range.error());
  return WithBundle(session, args.bundle, [&](ByteSource source) {
    const auto timeline = ReadTimeline(std::move(source), range->from_ns(), range->to_ns());
    if (!timeline) return session.Fail(timeline.error());
    if (session.json()) {
      for (const TimelineRow& row : timeline->rows) session.Print(TimelineJson(row));
    } else {
      session.Print(RenderTimeline(*timeline, session.view()));
    }
    NoteBroken(session, timeline->broken);
    if (timeline->cut) session.Note("there is more: give a time");
    return static_cast<int>(timeline->rows.empty() ? kExitNoMatch : kExitOk);
  });
}

}  // namespace

void AddBundleCommands(CLI::App& snapshot, std::vector<Command>* commands) {
  const auto args = std::make_shared<Args>();
  const auto add = [&](const char* name, const char* what, int (*run)(Session&, const Args&)) {
    CLI::App* command = snapshot.add_subcommand(name, what);
    command->add_option("BUNDLE", args->bundle, "Id of a snapshot, its first digits, or a file")
        ->required()
        ->type_name("ID|FILE");
    command->fallthrough();
    commands->push_back({command, [run, args](Session& session) { return run(session, *args); }});
    return command;
  };
  add("show", "What stands out in a bundle, and who had it when", &Show)->footer(kShowFooter);
  add("ls", "What is in it", &List)
      ->footer("Examples:\n  culprit snapshot ls 1a2b3c4d | grep cron\n");
  CLI::App* cat = add("cat", "One member of it", &Cat);
  cat->add_option("MEMBER", args->member, "Its name, or the path that it had")->required();
  cat->footer(
      "Examples:\n  culprit snapshot cat 1a2b3c4d /etc/ssh/sshd_config\n"
      "  culprit snapshot cat host.tar.zst live/processes.jsonl | jq .\n");
  CLI::App* extract = add("extract", "Its members as files, below one directory", &Extract);
  extract->add_option("MEMBER", args->members,
                      "Only these, or what lies below them; names or paths");
  extract->add_option("--to", args->to, "The directory: new, or empty")->type_name("DIR");
  extract->footer(
      "Written below --to and nowhere else, whatever the names say: no links are followed, no file "
      "is replaced, nothing is\n"
      "executable.\n\nExamples:\n  culprit snapshot extract 1a2b3c4d /var/log --to evidence\n");
  add("save", "The bundle itself as a file, for others and for stock tools", &Save)
      ->add_option("--out", args->out, "The file")
      ->required()
      ->type_name("FILE");
  CLI::App* diff = add("diff", "What changed from one bundle to another", &Diff);
  diff->add_option("LATER", args->other, "The later one")->required()->type_name("ID|FILE");
  diff->footer(
      "Exit code 3: no difference.\n\nExamples:\n  culprit snapshot diff before.tar.zst "
      "1a2b3c4d\n");
  CLI::App* timeline = add("timeline", "When what is in it began or changed", &Tell);
  AddTimeOptions(*timeline, args->time);
  timeline->footer("Examples:\n  culprit snapshot timeline 1a2b3c4d --since 1d\n");
}

}  // namespace culprit::cli
