// SPDX-License-Identifier: Apache-2.0
// Durable append: the journal with group commit, against write(2) + fdatasync(2) of the same bytes in the same run.
// journal_bench [DIRECTORY] [--json FILE]. Prints a table; gates nothing.
#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "collector/journal/journal.h"
#include "common/file.h"

namespace culprit {
namespace {

constexpr int kFrames = 20'000;
constexpr std::size_t kPayloadBytes = 20U << 10;  // about 900 flow records at 23 B
constexpr std::uint32_t kRecordsPerFrame = 900;
constexpr int kWriters = 4;

struct Row {
  std::string name;
  double seconds = 0;
  double cpu_seconds = 0;
  std::uint64_t bytes = 0;
  std::uint64_t syncs = 0;
};

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

class Stopwatch {
 public:
  void Into(Row* row) const {
    row->seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    row->cpu_seconds = CpuSeconds() - cpu_;
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  double cpu_ = CpuSeconds();
};

Frame MakeBenchFrame() {
  std::mt19937_64 random(1);
  std::string noise(kPayloadBytes, '\0');
  for (char& c : noise) c = static_cast<char>(random() & 0xffU);
  FrameHeader header;
  header.stream_id = Uuid::Random();
  header.seq = 1;
  header.record_count = kRecordsPerFrame;
  return *MakeFrame(header, noise);
}

Row RunJournal(const std::string& directory, const Frame& frame) {
  JournalOptions options;
  options.directory = directory;
  auto journal = Journal::Open(options);
  if (!journal) {
    std::fprintf(stderr, "%s\n", journal.error().message.c_str());
    std::exit(1);
  }
  Row row{"journal, group commit", 0, 0, 0, 0};
  std::atomic<int> failed = 0;
  const Stopwatch watch;
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&] {
      for (int i = 0; i < kFrames / kWriters; ++i) {
        (*journal)->Append({}, frame, [&](const Result<Lsn>& lsn) { failed += lsn ? 0 : 1; });
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  (*journal)->Stop();
  watch.Into(&row);
  row.bytes = (*journal)->stats().bytes;
  row.syncs = (*journal)->stats().commits;
  if (failed != 0) std::exit(1);
  return row;
}

// The same number of bytes in as many writes and syncs as the journal made.
Row RunRaw(const std::string& path, const Row& journal) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  Row row{"raw write + fdatasync", 0, 0, journal.bytes, journal.syncs};
  const std::string block(journal.bytes / journal.syncs, 'x');
  const Stopwatch watch;
  for (std::uint64_t i = 0; i < journal.syncs; ++i) {
    if (!WriteAll(fd.get(), block) || fdatasync(fd.get()) != 0) std::exit(1);
  }
  watch.Into(&row);
  return row;
}

Row RunFollow(const std::string& directory) {
  JournalOptions options;
  options.directory = directory;
  auto journal = Journal::Open(options);
  if (!journal) std::exit(1);
  Row row{"scan of all entries", 0, 0, 0, 0};
  const Stopwatch watch;
  const Status scanned = (*journal)->Scan(1, [&](const StoredFrame& stored) {
    row.bytes += stored.frame.payload.size();
    return true;
  });
  watch.Into(&row);
  if (!scanned) std::exit(1);
  return row;
}

int Main(const std::string& base, const std::string& json_path) {
  std::string directory = base + "/journal-bench-XXXXXX";
  if (mkdtemp(directory.data()) == nullptr) {
    std::perror(directory.c_str());
    return 1;
  }
  const Frame frame = MakeBenchFrame();
  std::vector<Row> rows;
  rows.push_back(RunJournal(directory + "/journal", frame));
  rows.push_back(RunRaw(directory + "/raw", rows[0]));
  rows.push_back(RunFollow(directory + "/journal"));
  std::filesystem::remove_all(directory);
  std::string json = "[";
  fmt::print("{:<24} {:>10} {:>10} {:>14} {:>16} {:>8}\n", "", "frames/s", "MB/s", "records/s",
             "records/CPU-s", "syncs");
  for (const Row& row : rows) {
    const double frames = kFrames / row.seconds;
    const double mb = static_cast<double>(row.bytes) / row.seconds / 1e6;
    const double records = frames * kRecordsPerFrame;
    const double per_cpu = kFrames * static_cast<double>(kRecordsPerFrame) / row.cpu_seconds;
    fmt::print("{:<24} {:>10.0f} {:>10.0f} {:>14.0f} {:>16.0f} {:>8}\n", row.name, frames, mb,
               records, per_cpu, row.syncs);
    json += fmt::format(
        "{}{{\"name\":\"{}\",\"frames_per_s\":{:.0f},\"mb_per_s\":{:.1f},\"records_per_s\":{:.0f},"
        "\"records_per_cpu_s\":{:.0f},\"syncs\":{}}}",
        json.size() > 1 ? "," : "", row.name, frames, mb, records, per_cpu, row.syncs);
  }
  fmt::print("{} frames of {} B payload, {} records each, {} writers, 2 cores, virtual\n", kFrames,
             kPayloadBytes, kRecordsPerFrame, kWriters);
  if (!json_path.empty() && !WriteFileAtomically(json_path, json + "]\n")) return 1;
  return 0;
}

}  // namespace
}  // namespace culprit

int main(int argc, char** argv) {
  std::string base = "/var/tmp";
  std::string json_path;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--json" && i + 1 < argc) {
      json_path = argv[++i];
    } else {
      base = word;
    }
  }
  return culprit::Main(base, json_path);
}
