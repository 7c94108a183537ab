// SPDX-License-Identifier: Apache-2.0
#include "agent/s3/s3_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culprit {
namespace {

using ::testing::HasSubstr;
using What = S3Verdict::What;

std::string Xml(const std::string& code, const std::string& message = "") {
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>" + code + "</Code><Message>" +
         message + "</Message><RequestId>X</RequestId></Error>";
}

SinkOptions Sink() {
  SinkOptions sink;
  sink.bucket = "evidence";
  sink.region = "eu-central-1";
  return sink;
}

TEST(S3Answer, EachSaysWhatIsToBeDone) {
  struct Case {
    S3Answer answer;
    What what;
    std::string why;
  };
  const Case cases[] = {
      {{200, "", ""}, What::kStored, ""},
      {{412, Xml("PreconditionFailed"), ""}, What::kThereAlready, ""},
      {{403, Xml("AccessDenied", "Access Denied"), ""},
       What::kTryAgain,
       "s3:PutObject and s3:PutObjectRetention on arn:aws:s3:::evidence/culprit/*"},
      {{403, "", ""}, What::kTryAgain, "s3:PutObject"},
      {{403, Xml("InvalidAccessKeyId"), ""}, What::kTryAgain, "access key is unknown"},
      {{403, Xml("SignatureDoesNotMatch"), ""}, What::kTryAgain, "secret key"},
      {{403, Xml("RequestTimeTooSkewed"), ""}, What::kTryAgain, "clock"},
      {{404, Xml("NoSuchBucket"), ""}, What::kTryAgain, "no bucket evidence"},
      {{404, "", ""}, What::kTryAgain, "no bucket evidence"},
      {{301, Xml("PermanentRedirect"), "us-east-1"},
       What::kTryAgain,
       "sink.region = \"us-east-1\""},
      {{400, Xml("AuthorizationHeaderMalformed", "wrong") + "<Region>ap-south-1</Region>", ""},
       What::kTryAgain,
       "sink.region = \"ap-south-1\""},
      {{400, Xml("ExpiredToken"), ""}, What::kKeysRanOut, "ExpiredToken"},
      {{400, Xml("InvalidRequest", "Bucket is missing Object Lock Configuration"), ""},
       What::kTryAgain,
       "sink.lock"},
      {{400, Xml("InvalidDigest", "The Content-MD5 you specified was invalid"), ""},
       What::kTryAgain,
       "HTTP 400 InvalidDigest: The Content-MD5 you specified was invalid"},
      {{409, Xml("ConditionalRequestConflict", "again"), ""}, What::kTryAgain, "HTTP 409"},
      {{501, Xml("NotImplemented", "A header you provided"), ""}, What::kNoConditions, "HTTP 501"},
      {{400, Xml("InvalidArgument", "If-None-Match is not known"), ""}, What::kNoConditions, ""},
      {{503, Xml("SlowDown"), ""}, What::kTryAgain, "fewer requests"},
      {{500, Xml("InternalError", "We encountered an internal error"), ""},
       What::kTryAgain,
       "internal error"},
      {{0, "", ""}, What::kTryAgain, "HTTP 0"},
  };
  for (const Case& one : cases) {
    const S3Verdict verdict = JudgeAnswer(one.answer, Sink());
    EXPECT_EQ(verdict.what, one.what) << one.answer.status << one.answer.body;
    EXPECT_THAT(verdict.why, HasSubstr(one.why)) << one.answer.body;
    const bool stored = one.what == What::kStored || one.what == What::kThereAlready;
    EXPECT_EQ(verdict.why.empty(), stored);
  }
}

TEST(S3Answer, WithTheBucketsOwnLockOneRightIsEnough) {
  SinkOptions sink = Sink();
  sink.lock = "bucket";
  sink.prefix = "";
  const S3Verdict verdict = JudgeAnswer({403, Xml("AccessDenied"), ""}, sink);
  EXPECT_THAT(verdict.why, HasSubstr("allow s3:PutObject on arn:aws:s3:::evidence/*"));
}

TEST(S3Answer, WhatAStoreWritesMovesNoTerminal) {
  const S3Verdict verdict =
      JudgeAnswer({418, Xml("Te\x1b[2Japot", std::string(5000, 'x') + "\n\x07"), ""}, Sink());
  EXPECT_LT(verdict.why.size(), 500U);
  for (const char c : verdict.why) EXPECT_TRUE(c >= ' ' && c <= '~');
}

}  // namespace
}  // namespace culprit
