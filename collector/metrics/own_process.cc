// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>
#include <unistd.h>

#include <charconv>

#include "collector/metrics/collector_facts.h"
#include "common/file.h"

namespace culprit {
namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

// Pages, the second number of statm.
std::uint64_t ResidentPages() {
  const auto text = ReadWholeFile("/proc/self/statm", 256);
  const std::size_t blank = text ? text->find(' ') : std::string::npos;
  std::uint64_t pages = 0;
  if (blank != std::string::npos) {
    std::from_chars(text->data() + blank + 1, text->data() + text->size(), pages);
  }
  return pages;
}

}  // namespace

CollectorFacts::Process ReadOwnProcess() {
  CollectorFacts::Process process;
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0)
    process.cpu_seconds = Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
  process.resident_bytes = ResidentPages() * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  if (const auto fds = ListDirectory("/proc/self/fd")) process.open_fds = fds->size();
  return process;
}

}  // namespace culprit
