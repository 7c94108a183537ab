// SPDX-License-Identifier: Apache-2.0
// How many different things a HyperLogLog sketch of the kernel has seen (Flajolet, Fusy, Gandouet,
// Meunier 2007). Stage: decode. Pure. Thread: any. Total: any bytes give some number.
#ifndef CULPRIT_AGENT_DECODE_HYPERLOGLOG_H_
#define CULPRIT_AGENT_DECODE_HYPERLOGLOG_H_

#include <cstdint>
#include <span>

namespace culprit {

// `registers` hold the highest rank seen (position of the first 1 bit of the hash's rest, from 1; 0
// = never hit); their number is a power of two from 16 up. Few things are counted by the empty
// registers (linear counting), which is nearly exact. No correction for a hash that runs out: it
// would begin at a hundred million.
std::uint64_t EstimateDistinct(std::span<const std::uint8_t> registers);

}  // namespace culprit

#endif  // CULPRIT_AGENT_DECODE_HYPERLOGLOG_H_
