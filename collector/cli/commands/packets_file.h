// SPDX-License-Identifier: Apache-2.0
// PacketsFile: where fetched packets go. FILE.part grows, with FILE.part.fetch beside it that says
// how to go on; whole, it becomes FILE. "-" is stdout, which nobody can go on with later. Stage:
// cli (edge: files). Thread: one caller. Failure: what is in FILE.part stays there.
#ifndef CULPRIT_COLLECTOR_CLI_COMMANDS_PACKETS_FILE_H_
#define CULPRIT_COLLECTOR_CLI_COMMANDS_PACKETS_FILE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"
#include "common/unique_fd.h"
#include "culprit/v1/packets.pb.h"

namespace culprit::cli {

class PacketsFile {
 public:
  // Begins anew.
  static Result<PacketsFile> Create(const std::string& path);
  // Behind what is there. Errors: kInvalidArgument, nothing was begun.
  static Result<PacketsFile> Continue(const std::string& path, v1::FetchPacketsRequest* request);

  // How to go on.
  Status Remember(const v1::FetchPacketsRequest& request) const;
  Status Write(std::string_view bytes);
  Status Finish();

  bool is_stdout() const { return path_ == "-"; }
  std::uint64_t bytes() const { return bytes_; }
  std::uint32_t crc32c() const { return crc_; }

 private:
  PacketsFile(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  UniqueFd fd_;  // none for stdout
  std::uint64_t bytes_ = 0;
  std::uint32_t crc_ = 0;
};

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_COMMANDS_PACKETS_FILE_H_
