// SPDX-License-Identifier: Apache-2.0
// Fuzzer: what comes to the sink from outside. The first byte chooses: S3's answer to a PUT, the
// metadata service's about a role, a file of keys. Whatever comes, what is said of it is one
// printable line, and keys are such that they fit into a header.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "agent/s3/aws_keys.h"
#include "agent/s3/s3_answer.h"

namespace {

bool Printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 127; });
}

void CheckKeys(const culprit::Result<culprit::AwsKeys>& keys) {
  if (!keys) {
    if (!Printable(keys.error().message)) std::abort();
    return;
  }
  for (const auto& text : {keys->access_key_id, keys->secret_access_key, keys->session_token}) {
    if (!Printable(text) || text.find(' ') != std::string::npos) std::abort();
  }
  if (keys->access_key_id.empty() || keys->secret_access_key.empty()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data + 2), size - 2);
  if (data[0] % 3 == 1) CheckKeys(culprit::ParseRoleKeys(body));
  if (data[0] % 3 == 2) CheckKeys(culprit::ParseKeyFile(body));
  if (data[0] % 3 != 0) return 0;
  culprit::SinkOptions sink;
  sink.bucket = "evidence";
  sink.region = "eu-central-1";
  const auto verdict = culprit::JudgeAnswer({200 + 2 * long{data[1]}, std::string(body), ""}, sink);
  if (!Printable(verdict.why) || verdict.why.size() > 600) std::abort();
  return 0;
}
