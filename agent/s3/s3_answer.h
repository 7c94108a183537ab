// SPDX-License-Identifier: Apache-2.0
// What S3 says to a PUT, and what is to be done about it.
//
// Stage: s3. Pure: total on any bytes (fuzzed). Thread: values.
#ifndef CULPRIT_AGENT_S3_S3_ANSWER_H_
#define CULPRIT_AGENT_S3_S3_ANSWER_H_

#include <string>
#include <string_view>

#include "agent/s3/sink_options.h"

namespace culprit {

struct S3Answer {
  long status = 0;            // HTTP
  std::string body;           // XML; its beginning
  std::string bucket_region;  // header x-amz-bucket-region, empty if none
};

struct S3Verdict {
  enum class What {
    kStored,
    kThereAlready,  // under this name, hence these bytes
    kTryAgain,      // `why` says what is wrong; it may be over later, or once somebody acts
    kKeysRanOut,
    kNoConditions,  // the store does not know If-None-Match
  } what = What::kTryAgain;
  std::string why;  // one line with the remedy; empty where it is stored
};

S3Verdict JudgeAnswer(const S3Answer& answer, const SinkOptions& sink);

}  // namespace culprit

#endif  // CULPRIT_AGENT_S3_S3_ANSWER_H_
