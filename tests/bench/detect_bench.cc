// SPDX-License-Identifier: Apache-2.0
// What the detectors cost: flow updates a second through all of them, and memory for each active
// group of processes. Three mixes: a busy server, many small clients, and a scan.
#include <malloc.h>

#include <cstdio>
#include <ctime>

#include "tests/collector/detect/detect_fixture.h"

namespace culprit::testing {
namespace {

struct Mix {
  int processes = 0, flows = 0;
  bool inbound = false, failing = false;
};

// Each flow opens, moves on and ends: three updates.
std::vector<DecodedFrame> FramesOf(const Mix& mix) {
  HostScript host;
  std::vector<std::uint64_t> processes;
  const auto init = host.Process("/sbin/init", 0, 1);
  for (int i = 0; i < mix.processes; ++i) {
    processes.push_back(host.Process("/usr/bin/p" + std::to_string(i), init));
  }
  for (int i = 0; i < mix.flows; ++i) {
    FlowSpec spec;
    spec.process = processes[static_cast<std::size_t>(i) % processes.size()];
    spec.remote = (i % 2 == 0 ? "198.51.100." : "203.0.113.") + std::to_string(i / 2 % 250 + 1);
    spec.remote_port = static_cast<std::uint16_t>(mix.failing ? i % 60000 + 1 : 443);
    spec.direction = mix.inbound ? v1::FLOW_DIRECTION_INBOUND : v1::FLOW_DIRECTION_OUTBOUND;
    spec.state = v1::FLOW_STATE_ATTEMPT;
    spec.flow = host.Flow(spec);
    host.now += kSecond / 100;
    if (!mix.failing) spec.tx = 1500, spec.rx = 20'000, spec.rx_packets = 20;
    spec.state = mix.failing ? v1::FLOW_STATE_FAILED : v1::FLOW_STATE_OPEN;
    host.Flow(spec);
    if (!mix.failing) spec.state = v1::FLOW_STATE_CLOSED;
    host.Flow(spec);
    if (i % 100 == 99) host.Cut();
  }
  return host.Frames();
}

double CpuSeconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

void Measure(const char* name, const Mix& mix) {
  constexpr int kRounds = 5;
  const std::vector<DecodedFrame> frames = FramesOf(mix);
  const TestPlaces places;
  double best = 0;
  std::size_t bytes = 0, findings = 0;
  for (int round = 0; round < kRounds; ++round) {
    findings = 0;
    malloc_trim(0);
    const auto before = mallinfo2().uordblks;
    DetectEngine engine({}, [&](const v1::Finding&) { ++findings; }, {&places, {}});
    const double began = CpuSeconds();
    for (const DecodedFrame& frame : frames) engine.Take(frame);
    best = std::max(best, 3.0 * mix.flows / (CpuSeconds() - began));
    bytes = mallinfo2().uordblks - before;
  }
  std::printf("%-8s %9.0f updates/s of one core, %6.1f KiB a group in %d groups, %zu reports\n",
              name, best, static_cast<double>(bytes) / 1024 / mix.processes, mix.processes,
              findings);
}

}  // namespace
}  // namespace culprit::testing

int main() {
  using culprit::testing::Measure;
  Measure("clients", {.processes = 200, .flows = 20'000});
  Measure("server", {.processes = 4, .flows = 20'000, .inbound = true});
  Measure("scan", {.processes = 1, .flows = 20'000, .failing = true});
  return 0;
}
