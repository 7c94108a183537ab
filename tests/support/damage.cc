// SPDX-License-Identifier: Apache-2.0
#include "tests/support/damage.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "common/file.h"

namespace culprit {
namespace {

void Require(bool ok, const std::string& what) {
  if (ok) return;
  std::fprintf(stderr, "test support: %s\n", what.c_str());
  std::abort();
}

}  // namespace

std::string ReadFileBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  Require(file.good(), "read " + path);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

void WriteFileBytes(const std::string& path, std::string_view content) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  Require(file.good(), "write " + path);
}

void OverwriteBytes(const std::string& path, std::uint64_t offset, std::string_view bytes) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(offset));
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  Require(file.good(), "overwrite " + path);
}

void FlipBit(const std::string& path, std::uint64_t bit) {
  const std::string content = ReadFileBytes(path);
  Require(bit / 8 < content.size(), "flip a bit behind the end of " + path);
  const auto byte = static_cast<unsigned char>(content[bit / 8]);
  const auto flipped = static_cast<char>(byte ^ (1U << (bit % 8)));
  OverwriteBytes(path, bit / 8, {&flipped, 1});
}

void CopyDirectory(const std::string& from, const std::string& to) {
  std::error_code error;
  std::filesystem::remove_all(to, error);
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive, error);
  Require(!error, "copy " + from + " to " + to);
}

std::vector<std::string> FilesWithSuffix(const std::string& directory, std::string_view suffix) {
  auto names = ListDirectory(directory);
  Require(names.has_value(), "list " + directory);
  std::erase_if(*names, [&](const std::string& name) { return !name.ends_with(suffix); });
  return *names;
}

SegmentContent ReadSegmentFile(const std::string& path) {
  SegmentContent content;
  auto reader = SegmentReader::Open(
      path, [&](const ReadDamage& damage) { content.damage.push_back(damage); });
  Require(reader.has_value(), "open segment " + path);
  for (;;) {
    auto frame = reader->Next();
    Require(frame.has_value(), "read segment " + path);
    if (!*frame) break;
    content.frames.push_back(std::move(**frame));
  }
  reader->Finish();
  return content;
}

std::string NoiseFor(std::uint64_t seq, Lane lane, std::size_t size) {
  std::mt19937_64 random(seq * 2 + static_cast<std::uint64_t>(lane));
  std::string noise(size, '\0');
  for (char& c : noise) c = static_cast<char>(random() & 0xffU);
  return noise;
}

}  // namespace culprit
