// SPDX-License-Identifier: Apache-2.0
// Snapshot bundles for tests: one as the agent writes it, and the means to forge it. Reads and
// writes tar by itself, so that a mistake of the code under test is not made twice.
#ifndef CULPRIT_TESTS_SUPPORT_BUNDLE_BYTES_H_
#define CULPRIT_TESTS_SUPPORT_BUNDLE_BYTES_H_

#include <string>
#include <string_view>
#include <vector>

#include "common/bundle_reader.h"
#include "common/ssh_signature.h"

namespace culprit {

struct TestBundle {
  std::string bytes;
  std::vector<std::size_t> tier_ends;  // bytes of the stream when each tier was over
  Ed25519PublicKey key{};
};

struct TarMember {
  std::string name, bytes;
  char type = '0';
};

// By default signed with a key of its own; else with that of a PEM file, which is made if need be.
TestBundle MakeTestBundle(const std::string& snapshot_id = "6c0f8a52-0000-4000-8000-000000000001",
                          const std::string& key_path = "");
std::vector<TarMember> UnpackBundle(const std::string& bytes);
std::string PackBundle(const std::vector<TarMember>& members);
std::string CompressFrame(std::string_view bytes);
std::string TestNoise(std::size_t size, unsigned seed);
ByteSource SourceOfBytes(std::string_view bytes);  // `bytes` must outlive it

}  // namespace culprit

#endif  // CULPRIT_TESTS_SUPPORT_BUNDLE_BYTES_H_
