// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot/evidence.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

#include "common/text.h"
#include "common/time.h"
#include "common/units.h"

namespace culprit {
namespace {

using Steady = std::chrono::steady_clock;

constexpr std::size_t kTablePart = std::size_t{4} << 20;
constexpr std::size_t kRead = std::size_t{256} << 10;
constexpr std::size_t kMaxText = 4096;
constexpr std::uint64_t kMaxSkips = 20'000;

}  // namespace

std::string RowText(std::string_view bytes) { return EscapeText(bytes); }

TextFields DescribeLimits(const SnapshotLimits& limits) {
  TextFields fields;
  for (unsigned tier = 0; tier < kTiers; ++tier) {
    const std::string name = "tier" + std::to_string(tier);
    fields.emplace_back(name + ".bytes", FormatByteSize(limits.tier_bytes.at(tier)));
    fields.emplace_back(name + ".time", FormatDuration(limits.tier_time.at(tier)));
  }
  fields.emplace_back("stuck", FormatDuration(limits.stuck));
  fields.emplace_back("executable", FormatByteSize(limits.exe_bytes));
  fields.emplace_back("open_deleted_file", FormatByteSize(limits.open_file_bytes));
  fields.emplace_back("process_memory", FormatByteSize(limits.memory_bytes));
  fields.emplace_back("log", FormatByteSize(limits.log_bytes));
  fields.emplace_back("file", FormatByteSize(limits.file_bytes));
  fields.emplace_back("processes", std::to_string(limits.processes));
  fields.emplace_back("descriptors_of_a_process", std::to_string(limits.descriptors));
  fields.emplace_back("sockets", std::to_string(limits.sockets));
  fields.emplace_back("entries_of_a_directory", std::to_string(limits.directory_entries));
  return fields;
}

struct EvidenceLog::State {
  std::mutex mutex;
  std::condition_variable changed;
  SnapshotLimits limits;
  std::unique_ptr<BundleWriter> writer;
  Status failure = Ok();

  unsigned tier = 0;
  WallTime tier_started;
  Steady::time_point tier_deadline;
  std::uint64_t tier_left = 0, tier_skips = 0, skips = 0;
  std::map<std::string, std::string> tables;  // lines not yet written
  std::map<std::string, unsigned> parts;
  std::string errors;
  bool member_open = false;

  void Keep(const Status& status) {
    if (!status && failure) failure = status;
  }

  void Skip(std::string_view source, std::string_view reason) {
    ++skips;
    if (++tier_skips > kMaxSkips) return;
    Row row;
    row["source"] = RowText(source.substr(0, kMaxText));
    row["reason"] = RowText(reason.substr(0, kMaxText));
    row["time"] = FormatUtc(ReadWallClock());
    errors += row.dump(-1, ' ', false, Row::error_handler_t::replace) + "\n";
  }

  void Flush(const std::string& table) {
    std::string& lines = tables[table];
    if (lines.empty()) return;
    const unsigned part = parts[table]++;
    BundleMember member;
    member.name = "live/" + table + (part == 0 ? "" : "-" + std::to_string(part)) + ".jsonl";
    member.source = table;
    member.started = member.ended = ReadWallClock();
    if (failure) Keep(writer->Add(std::move(member), lines));
    lines.clear();
  }

  void FlushAll() {
    for (const auto& [name, lines] : tables) Flush(name);
  }
};

struct Evidence::Shared {
  std::shared_ptr<EvidenceLog::State> state;
  bool given_up = false, done = false;  // under state->mutex
  Steady::time_point progress = Steady::now();
  std::string at;
};

const SnapshotLimits& Evidence::limits() const { return shared_->state->limits; }

void Evidence::At(std::string_view source) {
  const std::scoped_lock lock(shared_->state->mutex);
  shared_->progress = Steady::now();
  shared_->at = source.substr(0, kMaxText);
}

bool Evidence::Over() const {
  EvidenceLog::State& state = *shared_->state;
  const std::scoped_lock lock(state.mutex);
  return shared_->given_up || !state.failure || state.tier_left == 0 ||
         Steady::now() > state.tier_deadline;
}

void Evidence::Skip(std::string_view source, std::string_view reason) {
  const std::scoped_lock lock(shared_->state->mutex);
  if (!shared_->given_up) shared_->state->Skip(source, reason);
}

void Evidence::Add(const std::string& table, const Row& row) {
  std::string line = row.dump(-1, ' ', false, Row::error_handler_t::replace) + "\n";
  EvidenceLog::State& state = *shared_->state;
  const std::scoped_lock lock(state.mutex);
  shared_->progress = Steady::now();
  if (shared_->given_up) return;
  if (line.size() > state.tier_left) {
    state.Skip(table, "the tier's bytes are used up");
    return;
  }
  state.tier_left -= line.size();
  std::string& lines = state.tables[table];
  lines += line;
  if (lines.size() >= kTablePart) state.Flush(table);
}

void Evidence::AddBytes(BundleMember member, std::string_view bytes) {
  EvidenceLog::State& state = *shared_->state;
  const std::scoped_lock lock(state.mutex);
  shared_->progress = Steady::now();
  if (shared_->given_up || !state.failure) return;
  if (bytes.size() > state.tier_left) {
    member.cut = true;
    member.notes.push_back("the tier's bytes are used up: " + std::to_string(bytes.size()) +
                           " bytes there were");
    bytes = bytes.substr(0, state.tier_left);
  }
  state.tier_left -= bytes.size();
  member.source = RowText(std::string_view(member.source).substr(0, kMaxText));
  if (member.started == WallTime()) member.started = ReadWallClock();
  member.ended = ReadWallClock();
  state.Keep(state.writer->Add(std::move(member), bytes));
}

void Evidence::AddFile(OpenedFile file) {
  EvidenceLog::State& state = *shared_->state;
  std::uint64_t left = 0;
  bool cut = false;
  {
    const std::scoped_lock lock(state.mutex);
    if (shared_->given_up || !state.failure) return;
    left = std::min({file.facts.size, file.limit, state.tier_left});
    cut = left < file.facts.size;
    if (cut) {
      file.notes.push_back("the first " + std::to_string(left) + " of " +
                           std::to_string(file.facts.size) + " bytes: a limit was reached");
    }
    BundleMember member;
    member.name = file.name;
    member.source = RowText(std::string_view(file.source).substr(0, kMaxText));
    member.file = file.facts;
    member.started = ReadWallClock();
    state.tier_left -= left;
    state.Keep(state.writer->Begin(std::move(member), left));
    state.member_open = true;
  }
  std::string buffer(kRead, '\0');
  while (left > 0) {
    At(file.source);
    const ssize_t got = read(file.fd, buffer.data(), std::min<std::uint64_t>(buffer.size(), left));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) file.notes.push_back(std::string("reading failed: ") + std::strerror(errno));
    if (got == 0) file.notes.emplace_back("it became shorter while it was read");
    if (got <= 0) break;
    left -= static_cast<std::uint64_t>(got);
    const std::scoped_lock lock(state.mutex);
    if (shared_->given_up) return;
    state.Keep(state.writer->Write({buffer.data(), static_cast<std::size_t>(got)}));
  }
  struct stat now {};
  if (left == 0 && fstat(file.fd, &now) == 0 && S_ISREG(now.st_mode) &&
      static_cast<std::uint64_t>(now.st_size) > file.facts.size)
    file.notes.push_back("it grew while it was read: " + std::to_string(now.st_size) +
                         " bytes at the end");
  const std::scoped_lock lock(state.mutex);
  if (shared_->given_up) return;
  state.member_open = false;
  state.Keep(state.writer->End(ReadWallClock(), cut || left > 0, file.notes));
}

EvidenceLog::EvidenceLog(std::unique_ptr<BundleWriter> writer, const SnapshotLimits& limits)
    : state_(std::make_shared<State>()) {
  state_->writer = std::move(writer);
  state_->limits = limits;
}
EvidenceLog::~EvidenceLog() = default;

void EvidenceLog::BeginTier(unsigned tier) {
  const std::scoped_lock lock(state_->mutex);
  state_->tier = tier;
  state_->tier_started = ReadWallClock();
  state_->tier_deadline = Steady::now() + state_->limits.tier_time.at(tier);
  state_->tier_left = state_->limits.tier_bytes.at(tier);
  state_->tier_skips = 0;
}

void EvidenceLog::Run(const std::string& name, const std::function<void(Evidence&)>& collector) {
  const auto shared = std::make_shared<Evidence::Shared>();
  shared->state = state_;
  shared->at = name;
  std::thread thread([state = state_, shared, collector] {
    Evidence evidence(shared);
    if (!evidence.Over()) {
      collector(evidence);
    } else {
      evidence.Skip(shared->at, "time or bytes of the tier are used up");
    }
    const std::scoped_lock lock(state->mutex);
    shared->done = true;
    state->changed.notify_all();
  });
  std::unique_lock lock(state_->mutex);
  while (!shared->done && !shared->given_up) {
    state_->changed.wait_until(lock, shared->progress + state_->limits.stuck);
    shared->given_up = !shared->done && Steady::now() >= shared->progress + state_->limits.stuck;
  }
  if (shared->given_up) {
    state_->Skip(shared->at, name + ": no progress for " + FormatDuration(state_->limits.stuck) +
                                 "; given up here");
    if (std::exchange(state_->member_open, false))
      state_->Keep(state_->writer->End(ReadWallClock(), true, {"reading got stuck"}));
  }
  state_->FlushAll();
  const bool given_up = shared->given_up;
  lock.unlock();
  if (given_up) {
    thread.detach();  // it waits in the kernel, and owns what it uses
  } else {
    thread.join();
  }
}

void EvidenceLog::EndTier() {
  const std::scoped_lock lock(state_->mutex);
  if (state_->tier_skips > kMaxSkips) {
    Row row;
    row["source"] = "errors";
    row["reason"] =
        std::to_string(state_->tier_skips - kMaxSkips) + " more were skipped, without a line each";
    state_->errors += row.dump() + "\n";
  }
  BundleMember member;
  member.name = "errors-tier" + std::to_string(state_->tier) + ".jsonl";
  member.source = "what was skipped, cut or could not be had, and why";
  member.started = member.ended = ReadWallClock();
  if (!state_->failure) return;
  state_->Keep(state_->writer->Add(std::move(member), state_->errors));
  state_->errors.clear();
  TierEnd end;
  end.tier = state_->tier;
  end.skipped = state_->tier_skips;
  end.started = state_->tier_started;
  end.ended = ReadWallClock();
  if (state_->failure) state_->Keep(state_->writer->EndTier(end));
}

Status EvidenceLog::Finish() {
  const std::scoped_lock lock(state_->mutex);
  BundleEnd end;
  end.skipped = state_->skips;
  end.ended = ReadWallClock();
  if (state_->failure) state_->Keep(state_->writer->Close(end));
  return state_->failure;
}

std::uint64_t EvidenceLog::members() const { return state_->writer->members(); }
std::uint64_t EvidenceLog::bytes() const { return state_->writer->bytes(); }
std::uint64_t EvidenceLog::skipped() const { return state_->skips; }

}  // namespace culprit
