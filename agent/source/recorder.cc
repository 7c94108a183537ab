// SPDX-License-Identifier: Apache-2.0
#include "agent/source/recorder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace culprit {
namespace {
constexpr std::size_t kBufferBytes = 64U << 10;
}  // namespace

Result<std::unique_ptr<Recorder>> Recorder::Create(const std::string& path,
                                                   const RecordingHeader& header,
                                                   std::uint64_t max_bytes) {
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return ErrnoError("create the recording " + path);
  std::unique_ptr<Recorder> recorder(new Recorder(std::move(fd), max_bytes));
  recorder->buffer_ = EncodeRecordingHeader(header);
  recorder->Flush();
  if (!recorder->stopped_.empty()) return Internal(recorder->stopped_);
  return recorder;
}

Recorder::~Recorder() { Flush(); }

void Recorder::Add(RecordingKind kind, std::string_view body) {
  if (!stopped_.empty()) return;
  if (bytes() + body.size() + kRecordingEntryHeadBytes > max_bytes_) {
    Flush();
    if (stopped_.empty())
      stopped_ = "the recording reached its cap of " + std::to_string(max_bytes_) + " bytes";
    return;
  }
  if (!AppendRecordingEntry(kind, body, &buffer_)) {
    stopped_ = "a record was too large for the recording";
    return;
  }
  if (buffer_.size() >= kBufferBytes) Flush();
}

void Recorder::Flush() {
  std::size_t done = 0;
  while (stopped_.empty() && done < buffer_.size()) {
    const ssize_t n = write(fd_.get(), buffer_.data() + done, buffer_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      stopped_ = ErrnoError("write the recording").message;
      break;
    }
    done += static_cast<std::size_t>(n);
  }
  written_ += done;
  buffer_.clear();
}

}  // namespace culprit
