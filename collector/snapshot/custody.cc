// SPDX-License-Identifier: Apache-2.0
#include "collector/snapshot/custody.h"

#include <utility>

#include "common/hex.h"
#include "common/sha256.h"

namespace culprit {
namespace {

// Each text behind its length, so that no two entries give the same bytes.
std::string HashOf(const std::string& previous, const v1::CustodyEntry& entry) {
  std::string bytes;
  for (const std::string& text : {previous, entry.action(), entry.actor(),
                                  std::to_string(entry.at_ns()), entry.sha256(), entry.note()}) {
    bytes += std::to_string(text.size()) + ":" + text + "\n";
  }
  return HexEncode(AsBytes(Sha256Of(bytes)));
}

std::string LastHash(const v1::Snapshot& snapshot) {
  return snapshot.custody_size() == 0 ? "" : snapshot.custody(snapshot.custody_size() - 1).hash();
}

}  // namespace

void AddCustody(v1::CustodyEntry entry, v1::Snapshot* snapshot) {
  if (entry.action() == "read" && snapshot->custody_size() >= kMaxCustody) return;
  entry.set_hash(HashOf(LastHash(*snapshot), entry));
  *snapshot->add_custody() = std::move(entry);
}

Status CheckCustody(const v1::Snapshot& snapshot) {
  std::string previous;
  for (int i = 0; i < snapshot.custody_size(); ++i) {
    const v1::CustodyEntry& entry = snapshot.custody(i);
    if (entry.hash() != HashOf(previous, entry)) {
      return DataLoss("custody entry " + std::to_string(i + 1) + " (" + entry.action() +
                      ") does not follow from the one before it: the record was changed");
    }
    previous = entry.hash();
  }
  return Ok();
}

}  // namespace culprit
