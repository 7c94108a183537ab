// SPDX-License-Identifier: Apache-2.0
// What the host's package manager says of a file. Stage: model. Thread: values.
#ifndef CULPRIT_AGENT_MODEL_PACKAGE_H_
#define CULPRIT_AGENT_MODEL_PACKAGE_H_

#include <cstdint>
#include <string>

namespace culprit {

// Values as in culprit.v1.PackageState.
enum class PackageState : std::uint8_t {
  kUnknown = 0,
  kNone = 1,     // belongs to no package
  kIntact = 2,   // its content is what its package brought
  kDiffers = 3,  // it is not
  kListed = 4,   // belongs to one; its content was not compared
};

struct PackageFacts {
  PackageState state = PackageState::kUnknown;
  std::string name;  // of the package
  friend bool operator==(const PackageFacts&, const PackageFacts&) = default;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_MODEL_PACKAGE_H_
