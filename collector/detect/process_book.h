// SPDX-License-Identifier: Apache-2.0
// ProcessBook: the processes of one host as the detectors need them: ancestry, what speaks against
// one, and the group that it acts in. Stage: detect. Pure. Thread: one caller. Bounded: of more
// than so many the longest unused go.
#ifndef CULPRIT_COLLECTOR_DETECT_PROCESS_BOOK_H_
#define CULPRIT_COLLECTOR_DETECT_PROCESS_BOOK_H_

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "collector/model/decoded_frame.h"

namespace culprit {

struct ProcessTraits {
  bool deleted = false, memory_only = false;  // the executable
  bool odd_path = false;                      // where anybody may write
  bool unpackaged = false, altered = false;   // of no package; another than its package brought
  bool is_sshd = false, is_agent = false;
  // A program of the system, under no login, whose configuration says where it connects to.
  bool configured_proxy = false;
  // Somebody runs it, or it hides: not what the host's own configuration starts.
  // (Of no package is half of what runs on a server: an application's own runtime.)
  bool driven() const { return deleted || memory_only || odd_path || altered || !under.empty(); }
  std::string under;  // "sshd", "a web server", "cron": an ancestor that starts programs for others
};

class ProcessBook {
 public:
  void Take(const v1::Process& definition);

  const v1::Process* Find(ProcessId id) const;
  const v1::Process* ParentOf(const v1::Process& process) const;
  ProcessTraits TraitsOf(ProcessId id) const;
  // Processes of one program below one starter (a login's shell, a service, a container) act
  // together, however many of them come and go. The id itself where nothing is known.
  std::string GroupOf(ProcessId id) const;
  // What makes two runs of a program the same one: the path where packages put it, elsewhere the
  // hash of the file; empty = nothing is known of it.
  std::string ProgramKeyOf(ProcessId id) const;
  // From the parent up.
  std::vector<std::string> AncestryOf(ProcessId id) const;
  // The sshd of one login: a child of the listener, or of that child.
  bool IsLoginSshd(ProcessId id) const;

 private:
  struct Entry {
    v1::Process process;
    std::uint64_t used = 0;
  };
  void Shrink();

  std::unordered_map<std::uint64_t, Entry> entries_;
  std::uint64_t clock_ = 0;  // counts definitions, for age
};

std::string CommandLineOf(const v1::Process& process);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_PROCESS_BOOK_H_
