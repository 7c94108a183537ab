// SPDX-License-Identifier: Apache-2.0
#include "tests/support/bundle_bytes.h"

#include <zstd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>

#include "common/bundle_writer.h"

namespace culprit {
namespace {

constexpr std::size_t kBlock = 512;

void Must(const Status& status) {
  if (!status) std::abort();
}

BundleMember Named(const std::string& name) {
  BundleMember member;
  member.name = name;
  member.source = "/" + name;
  member.started = member.ended = WallTimeFromNs(1'750'000'000'000'000'000);
  return member;
}

std::string Inflate(const std::string& bytes) {
  std::string out;
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(),
                                                                     ZSTD_freeDCtx);
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  std::string block(1 << 16, '\0');
  while (in.pos < in.size) {
    ZSTD_outBuffer to{block.data(), block.size(), 0};
    if (ZSTD_isError(ZSTD_decompressStream(context.get(), &to, &in)) != 0U) std::abort();
    out.append(block, 0, to.pos);
  }
  return out;
}

std::string HeaderOf(const TarMember& member) {
  std::string header(kBlock, '\0');
  std::copy(member.name.begin(), member.name.end(), header.begin());
  std::snprintf(&header[100], 8, "%07o", 0600U);
  std::snprintf(&header[124], 12, "%011zo", member.type == '0' ? member.bytes.size() : 0);
  header[156] = member.type;
  std::memcpy(&header[257], "ustar\00000", 8);
  std::memset(&header[148], ' ', 8);
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  std::snprintf(&header[148], 8, "%06o", sum);
  return header;
}

}  // namespace

std::string TestNoise(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

TestBundle MakeTestBundle(const std::string& snapshot_id, const std::string& key_path) {
  TestBundle bundle;
  auto key = key_path.empty() ? Ed25519Key::Make() : Ed25519Key::LoadOrMake(key_path);
  if (!key) std::abort();
  bundle.key = key->public_key();
  BundleHead head;
  head.snapshot_id = snapshot_id;
  head.instance_id = "i-0123456789abcdef0";
  head.hostname = "host";
  head.limits = {{"tier0.bytes", "64 MiB"}};
  auto writer = BundleWriter::Open(head, std::move(*key), [&](std::string_view bytes) {
    bundle.bytes.append(bytes);
    return Ok();
  });
  if (!writer) std::abort();
  Must((*writer)->Add(Named("live/processes.jsonl"), "{\"pid\":1}\n{\"pid\":2}\n"));
  Must((*writer)->Add(Named("live/empty.jsonl"), ""));
  Must((*writer)->EndTier({0, 0, 0, 0, {}, {}}));
  bundle.tier_ends.push_back(bundle.bytes.size());
  Must((*writer)->Add(Named("[root]/etc/passwd"), "root:x:0:0::/root:/bin/sh\n"));
  Must((*writer)->Add(Named("[root]/tmp/noise"), TestNoise(5000, 1)));
  Must((*writer)->EndTier({1, 0, 0, 0, {}, {}}));
  bundle.tier_ends.push_back(bundle.bytes.size());
  Must((*writer)->Close({}));
  return bundle;
}

std::vector<TarMember> UnpackBundle(const std::string& bytes) {
  const std::string tar = Inflate(bytes);
  std::vector<TarMember> members;
  for (std::size_t at = 0; at + kBlock <= tar.size() && tar[at] != '\0';) {
    TarMember member;
    member.name = std::string(tar.data() + at, strnlen(tar.data() + at, 100));
    member.type = tar[at + 156];
    const std::size_t size = std::strtoull(tar.substr(at + 124, 12).c_str(), nullptr, 8);
    member.bytes = tar.substr(at + kBlock, size);
    at += kBlock + (size + kBlock - 1) / kBlock * kBlock;
    members.push_back(std::move(member));
  }
  return members;
}

std::string CompressFrame(std::string_view bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3));
  return out;
}

std::string PackBundle(const std::vector<TarMember>& members) {
  std::string tar;
  for (const TarMember& member : members) {
    tar += HeaderOf(member) + member.bytes;
    tar.resize((tar.size() + kBlock - 1) / kBlock * kBlock);
  }
  tar.append(2 * kBlock, '\0');
  return CompressFrame(tar);
}

ByteSource SourceOfBytes(std::string_view bytes) {
  return [bytes](std::span<char> buffer) mutable -> Result<std::size_t> {
    const std::size_t size = std::min(buffer.size(), bytes.size());
    std::copy_n(bytes.begin(), size, buffer.begin());
    bytes.remove_prefix(size);
    return size;
  };
}

}  // namespace culprit
