// SPDX-License-Identifier: Apache-2.0
// SessionBook: the logins of one host as findings tell them: which session a process belongs to,
// and who opened it from where with what. Stage: detect. Pure. Thread: one caller. Bounded: of more
// sessions than it holds those that began first go.
#ifndef CULPRIT_COLLECTOR_DETECT_SESSION_BOOK_H_
#define CULPRIT_COLLECTOR_DETECT_SESSION_BOOK_H_

#include <map>
#include <optional>
#include <unordered_map>

#include "collector/detect/process_book.h"
#include "culprit/v1/findings.pb.h"

namespace culprit {

class SessionBook {
 public:
  void Take(const v1::Session& session);
  void Take(const v1::Login& login);

  // The session of the nearest process, from `id` up, that one began with.
  std::optional<v1::FindingSession> SessionOf(ProcessId id, const ProcessBook& processes) const;

 private:
  struct Entry {
    v1::Session session;
    v1::Login login;
  };
  Entry& Touch(std::uint64_t id);

  std::map<std::uint64_t, std::pair<std::uint64_t, Entry>> sessions_;  // by id: when first seen
  std::unordered_map<std::uint64_t, std::uint64_t> by_process_;        // root or serving process
  std::uint64_t clock_ = 0;
};

// "the session of ubuntu from 192.0.2.7 by publickey SHA256:..." for a sentence.
std::string SessionText(const v1::FindingSession& session);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_SESSION_BOOK_H_
