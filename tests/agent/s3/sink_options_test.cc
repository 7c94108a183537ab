// SPDX-License-Identifier: Apache-2.0
#include "agent/s3/sink_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culprit {
namespace {

using ::testing::HasSubstr;

SinkOptions Sink() {
  SinkOptions sink;
  sink.bucket = "evidence-of-mine";
  sink.region = "eu-central-1";
  return sink;
}

TEST(SinkOptions, WrongKeysAreNamedWithWhatWasExpected) {
  struct Case {
    std::string SinkOptions::*member;
    std::string value, key;
  };
  const Case cases[] = {
      {&SinkOptions::bucket, "ab", "sink.bucket"},
      {&SinkOptions::bucket, "Evidence", "sink.bucket"},
      {&SinkOptions::bucket, "a/../b", "sink.bucket"},
      {&SinkOptions::bucket, "-abc", "sink.bucket"},
      {&SinkOptions::bucket, "a..b", "sink.bucket"},
      {&SinkOptions::bucket, std::string(64, 'a'), "sink.bucket"},
      {&SinkOptions::region, "", "sink.region"},
      {&SinkOptions::region, "eu central", "sink.region"},
      {&SinkOptions::region, "eu-central-1.example.org/", "sink.region"},
      {&SinkOptions::prefix, "/hosts", "sink.prefix"},
      {&SinkOptions::prefix, "hosts/", "sink.prefix"},
      {&SinkOptions::prefix, "a//b", "sink.prefix"},
      {&SinkOptions::prefix, "a/../b", "sink.prefix"},
      {&SinkOptions::prefix, "a b", "sink.prefix"},
      {&SinkOptions::prefix, "a%2f", "sink.prefix"},
      {&SinkOptions::endpoint, "s3.example.org", "sink.endpoint"},
      {&SinkOptions::endpoint, "https://", "sink.endpoint"},
      {&SinkOptions::endpoint, "https://s3.example.org/path", "sink.endpoint"},
      {&SinkOptions::endpoint, "https://user@s3.example.org", "sink.endpoint"},
      {&SinkOptions::endpoint, "http://s3.example.org", "loopback"},
      {&SinkOptions::endpoint, "http://127.0.0.1.example.org", "loopback"},
  };
  for (const Case& bad : cases) {
    SinkOptions sink = Sink();
    sink.*bad.member = bad.value;
    const Status valid = ValidateSink(sink);
    ASSERT_FALSE(valid.has_value()) << bad.value;
    EXPECT_THAT(valid.error().message, HasSubstr(bad.key)) << bad.value;
  }
}

TEST(SinkOptions, WithoutABucketNothingIsAsked) {
  EXPECT_TRUE(ValidateSink(SinkOptions()).has_value());
  EXPECT_FALSE(SinkOptions().enabled());
}

TEST(SinkOptions, GoodOnesAreTaken) {
  for (const std::string endpoint :
       {"", "https://s3.example.org", "https://192.0.2.1:9000", "https://[2001:db8::1]:9000",
        "http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000"}) {
    SinkOptions sink = Sink();
    sink.endpoint = endpoint;
    const Status valid = ValidateSink(sink);
    EXPECT_TRUE(valid.has_value()) << endpoint;
  }
  SinkOptions sink = Sink();
  sink.prefix = "a/b.c_d-E/0";
  EXPECT_TRUE(ValidateSink(sink).has_value());
  sink.prefix = "";
  EXPECT_TRUE(ValidateSink(sink).has_value());
}

TEST(SinkOptions, ABucketHasAHostOfItsOwnWhereItsCertificateFits) {
  SinkOptions sink = Sink();
  EXPECT_EQ(BucketUrl(sink), "https://evidence-of-mine.s3.eu-central-1.amazonaws.com");
  sink.bucket = "with.dots";
  EXPECT_EQ(BucketUrl(sink), "https://s3.eu-central-1.amazonaws.com/with.dots");
  sink.region = "cn-north-1";
  EXPECT_EQ(BucketUrl(sink), "https://s3.cn-north-1.amazonaws.com.cn/with.dots");
  sink.endpoint = "https://s3.example.org";
  EXPECT_EQ(BucketUrl(sink), "https://s3.example.org/with.dots");
}

TEST(SinkOptions, NamesOfObjectsSortInTheOrderOfTheStream) {
  const auto agent = *Uuid::Parse("11111111-2222-4333-8444-555555555555");
  const auto stream = *Uuid::Parse("66666666-7777-4888-8999-aaaaaaaaaaaa");
  const auto key = [&](std::uint64_t first, std::uint64_t last) {
    return ObjectKey(Sink(), {agent, stream, "bulk", first, last, "0123456789abcdef0123"});
  };
  EXPECT_EQ(key(1, 17),
            "culprit/11111111-2222-4333-8444-555555555555/66666666-7777-4888-8999-aaaaaaaaaaaa/"
            "bulk-0000000000000001-0000000000000011-0123456789abcdef.clog");
  EXPECT_LT(key(1, 9), key(10, 15));
  EXPECT_LT(key(10, 99), key(100, 100));
  EXPECT_LT(key(0xffff, 0xffff), key(0x10000, 0x10000));
  EXPECT_NE(key(1, 9), key(1, 10));
}

}  // namespace
}  // namespace culprit
