// SPDX-License-Identifier: Apache-2.0
#include "agent/s3/aws_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace culprit {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kRole = R"({
  "Code" : "Success", "LastUpdated" : "2026-03-01T02:03:04Z", "Type" : "AWS-HMAC",
  "AccessKeyId" : "ASIAEXAMPLE", "SecretAccessKey" : "se/cr+et", "Token" : "tok==en",
  "Expiration" : "2026-03-01T08:03:04Z"
})";

TEST(AwsKeys, OfARoleAreReadWithTheirEnd) {
  const auto keys = ParseRoleKeys(kRole);
  ASSERT_TRUE(keys.has_value()) << keys.error().message;
  EXPECT_EQ(keys->access_key_id, "ASIAEXAMPLE");
  EXPECT_EQ(keys->secret_access_key, "se/cr+et");
  EXPECT_EQ(keys->session_token, "tok==en");
  ASSERT_TRUE(keys->expires.has_value());
  EXPECT_EQ(FormatUtc(*keys->expires), "2026-03-01T08:03:04.000Z");
}

TEST(AwsKeys, ARoleThatHasNoneSaysWhy) {
  struct Case {
    std::string json, expected;
  };
  std::string no_end(kRole), bad_end(kRole), far_end(kRole), bad_key(kRole);
  no_end.replace(no_end.find("Expiration"), 10, "Explosion_");
  bad_end.replace(bad_end.find("T08:03:04"), 9, "T88:03:04");
  far_end.replace(far_end.rfind("2026-03"), 4, "4052");  // beyond 64 bits of nanoseconds
  bad_key.replace(bad_key.find("se/cr+et"), 8, "se\\ncret");
  const Case cases[] = {
      {"", "JSON"},
      {"[]", "JSON"},
      {"{\"Code\":\"AssumeRoleUnauthorizedAccess\"}", "AssumeRoleUnauthorizedAccess"},
      {"{\"Code\":\"Success\"}", "Expiration"},
      {no_end, "Expiration"},
      {bad_end, "Expiration"},
      {far_end, "Expiration"},
      {bad_key, "secret"},
      {std::string(70'000, '['), "64 KiB"},
  };
  for (const Case& bad : cases) {
    const auto keys = ParseRoleKeys(bad.json);
    ASSERT_FALSE(keys.has_value()) << bad.expected;
    EXPECT_THAT(keys.error().message, HasSubstr(bad.expected));
  }
}

TEST(AwsKeys, OfAFileAreThoseOfTheSectionDefault) {
  const auto keys = ParseKeyFile(
      "# of the backup user\n[other]\naws_access_key_id = AKIAOTHER\naws_secret_access_key=no\n"
      "[default]\r\n  aws_access_key_id=AKIAEXAMPLE\r\naws_secret_access_key =  a=b/c+d  \n"
      "region = eu-central-1\n[more]\naws_session_token = x\n");
  ASSERT_TRUE(keys.has_value()) << keys.error().message;
  EXPECT_EQ(keys->access_key_id, "AKIAEXAMPLE");
  EXPECT_EQ(keys->secret_access_key, "a=b/c+d");
  EXPECT_EQ(keys->session_token, "");
  EXPECT_FALSE(keys->expires.has_value());
}

TEST(AwsKeys, AFileWithoutThemSaysWhatIsMissingAndShowsNothing) {
  struct Case {
    std::string text, expected;
  };
  const Case cases[] = {
      {"", "[default]"},
      {"aws_access_key_id = SECRET1\naws_secret_access_key = SECRET2\n", "[default]"},
      {"[default]\naws_access_key_id = SECRET1\n", "secret access key"},
      {"[default]\naws_secret_access_key = SECRET2\n", "access key id"},
      {"[default]\naws_access_key_id = SEC RET1\naws_secret_access_key = SECRET2\n",
       "access key id"},
      {"[default]\naws_access_key_id = A\naws_secret_access_key = SECRET2\naws_session_token = a "
       "b\n",
       "token"},
  };
  for (const Case& bad : cases) {
    const auto keys = ParseKeyFile(bad.text);
    ASSERT_FALSE(keys.has_value()) << bad.text;
    EXPECT_THAT(keys.error().message, HasSubstr(bad.expected));
    EXPECT_THAT(keys.error().message, Not(HasSubstr("SECRET")));
  }
}

}  // namespace
}  // namespace culprit
