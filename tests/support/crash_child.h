// SPDX-License-Identifier: Apache-2.0
// CrashChild: a forked writer that reports numbers (what it was promised) and is killed with SIGKILL at some instant.
// Thread: fork only from a process without threads of its own; the child may start some.
#ifndef CULPRIT_TESTS_SUPPORT_CRASH_CHILD_H_
#define CULPRIT_TESTS_SUPPORT_CRASH_CHILD_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

namespace culprit {

// From when a writer's life is counted. A slow machine may take longer to start than a short life lasts.
enum class LifeBegins { kAtFork, kAtFirstPromise };

// Runs `writer` in a child. `promise(n)` tells the parent of n before it returns, from any thread. After `life` the child
// is killed; all promises that it made are returned, in order.
std::vector<std::uint64_t> RunAndKill(
    const std::function<void(const std::function<void(std::uint64_t)>& promise)>& writer,
    std::chrono::microseconds life, LifeBegins begins = LifeBegins::kAtFirstPromise);

}  // namespace culprit

#endif  // CULPRIT_TESTS_SUPPORT_CRASH_CHILD_H_
