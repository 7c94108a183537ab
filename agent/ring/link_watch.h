// SPDX-License-Identifier: Apache-2.0
// LinkWatch: the network interfaces of this namespace, and word when they change.
// Stage: ring (edge: rtnetlink). Thread: one caller. Failure: says what the kernel refuses; a lost
// notice (a full socket) counts as one, since all is read again anyway.
#ifndef CULPRIT_AGENT_RING_LINK_WATCH_H_
#define CULPRIT_AGENT_RING_LINK_WATCH_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace culprit {

struct Link {
  std::uint32_t index = 0;
  std::string name;
  bool up = false;
  bool loopback = false;
  bool enslaved = false;  // port of a bridge, part of a bond: its master sees the packets too
};

class LinkWatch {
 public:
  static Result<LinkWatch> Open();

  int fd() const { return notices_.get(); }  // readable when something may have changed
  bool TakeNotices();                        // drains them; whether there were any
  Result<std::vector<Link>> List() const;

 private:
  explicit LinkWatch(UniqueFd notices) : notices_(std::move(notices)) {}
  UniqueFd notices_;
};

// Messages of a dump of links. Total on any bytes. True: the dump is over.
bool ParseLinks(std::string_view bytes, std::vector<Link>* links);

}  // namespace culprit

#endif  // CULPRIT_AGENT_RING_LINK_WATCH_H_
