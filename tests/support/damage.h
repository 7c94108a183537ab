// SPDX-License-Identifier: Apache-2.0
// What happens to files: copies, cuts, flipped bits. Every function aborts on an I/O error: a test could not go on.
#ifndef CULPRIT_TESTS_SUPPORT_DAMAGE_H_
#define CULPRIT_TESTS_SUPPORT_DAMAGE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/frame.h"
#include "common/framed_log.h"

namespace culprit {

std::string ReadFileBytes(const std::string& path);
void WriteFileBytes(const std::string& path, std::string_view content);
void FlipBit(const std::string& path, std::uint64_t bit);
void OverwriteBytes(const std::string& path, std::uint64_t offset, std::string_view bytes);
void CopyDirectory(const std::string& from, const std::string& to);
// Names in `directory` that end with `suffix`, sorted.
std::vector<std::string> FilesWithSuffix(const std::string& directory, std::string_view suffix);

// All that a reader gets from a segment file.
struct SegmentContent {
  std::vector<Frame> frames;
  std::vector<ReadDamage> damage;
};
SegmentContent ReadSegmentFile(const std::string& path);

// A frame with recognisable content: `size` bytes that do not compress, different for each (seq, lane).
std::string NoiseFor(std::uint64_t seq, Lane lane, std::size_t size);

}  // namespace culprit

#endif  // CULPRIT_TESTS_SUPPORT_DAMAGE_H_
