// SPDX-License-Identifier: Apache-2.0
// dump_events [SECONDS] [HOOK-TO-SWITCH-OFF...]: prints every kernel record, then fidelity and cost
// per program.
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "agent/source/bpf_source.h"
#include "tests/bpf/record_text.h"

int main(int argc, char** argv) {
  using Clock = std::chrono::steady_clock;
  culprit::BpfSourceOptions options;
  options.measure_cost = true;
  for (int i = 2; i < argc; ++i) options.disabled_hooks.emplace_back(argv[i]);
  auto source = culprit::OpenBpfSource(options);
  if (!source) {
    std::fprintf(stderr, "%s\n", source.error().message.c_str());
    return 1;
  }
  const culprit::RecordSink sink = [](std::string_view record) {
    std::puts(culprit::RecordText(record).c_str());
  };
  if (auto started = (*source)->Start(sink); !started) {
    std::fprintf(stderr, "%s\n", started.error().message.c_str());
    return 1;
  }
  std::puts("-- live");
  std::fflush(stdout);
  const auto end = Clock::now() + std::chrono::seconds(argc > 1 ? std::atoi(argv[1]) : 5);
  auto next_sweep = Clock::now() + std::chrono::seconds(1);
  while (Clock::now() < end) {
    if (!(*source)->Poll(std::chrono::milliseconds(50), sink)) return 1;
    if (Clock::now() >= next_sweep) {
      if (!(*source)->Sweep(sink)) return 1;
      next_sweep += std::chrono::seconds(1);
      std::fflush(stdout);
    }
  }
  for (const auto& hook : (*source)->fidelity().hooks) {
    std::printf("hook %-26s %s %s\n", hook.name.c_str(), hook.active ? "on" : "off",
                hook.note.c_str());
  }
  for (const auto& cost : (*source)->program_costs()) {
    if (cost.run_count == 0) continue;
    std::printf("cost %-26s %10llu runs %7.0f ns\n", cost.name.c_str(),
                static_cast<unsigned long long>(cost.run_count),
                static_cast<double>(cost.run_time_ns) / static_cast<double>(cost.run_count));
  }
  return 0;
}
