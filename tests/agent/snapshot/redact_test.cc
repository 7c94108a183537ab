// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot/redact.h"

#include <gtest/gtest.h>

namespace culprit {
namespace {

struct Case {
  const char* text;
  const char* expected;
};

const Case kSecrets[] = {
    {"export AWS_SECRET_ACCESS_KEY=abc/def+1 next", "export AWS_SECRET_ACCESS_KEY=[redacted] next"},
    {"aws_secret_access_key = abc\naws_access_key_id = AKIA1\n",
     "aws_secret_access_key = [redacted]\naws_access_key_id = AKIA1\n"},
    {"{\"SecretAccessKey\": \"abc\", \"x\": 1}", "{\"SecretAccessKey\": \"[redacted]\", \"x\": 1}"},
    {"mysql --password=hunter2 -h db", "mysql --password=[redacted] -h db"},
    {"db-password: 'x y'", "db-password: '[redacted] y'"},
    {"the password is long", "the password is long"},
    {"passwd: files systemd", "passwd: [redacted] systemd"},
    {"", ""},
    {"password=", "password="},
};

TEST(Redact, ValuesOfSecretsGoAndNamesStay) {
  for (const Case& c : kSecrets) EXPECT_EQ(RedactSecrets(c.text).text, c.expected);
}

TEST(Redact, EachPlaceIsCounted) {
  EXPECT_EQ(RedactSecrets("password=a secret_key=b").places, 2U);
  EXPECT_EQ(RedactSecrets("nothing here").places, 0U);
}

const Case kShadow[] = {
    {"root:$6$salt$hash:19000:0:99999:7:::\n", "root:$6$[redacted]:19000:0:99999:7:::\n"},
    {"a:!$y$j9T$x$y:1::::::\n", "a:!$y$[redacted]:1::::::\n"},
    {"b:*:1::::::\nc::1::::::\n", "b:*:1::::::\nc::1::::::\n"},
    {"d:oldcrypthash:1::::::", "d:[redacted]:1::::::\n"},
    {"not a line", "[redacted]\n"},
    {"", ""},
};

TEST(Redact, OfAPasswordItsMethodStays) {
  for (const Case& c : kShadow) EXPECT_EQ(RedactShadow(c.text).text, c.expected);
}

TEST(Redact, PrivateKeysAreKnownByTheirForms) {
  for (const char* text :
       {"-----BEGIN OPENSSH PRIVATE KEY-----\nx", "note\n-----BEGIN RSA PRIVATE KEY-----\nx",
        "-----BEGIN PRIVATE KEY-----", "-----BEGIN ENCRYPTED PRIVATE KEY-----",
        "PuTTY-User-Key-File-3: ssh-ed25519"})
    EXPECT_TRUE(HoldsPrivateKey(text)) << text;
  for (const char* text : {"", "-----BEGIN CERTIFICATE-----", "the PRIVATE KEY is elsewhere"})
    EXPECT_FALSE(HoldsPrivateKey(text)) << text;
}

TEST(Redact, OfTheEnvironmentNamesAreKeptAndFewValues) {
  using namespace std::string_literals;
  const auto variables = EnvironmentNames(
      "SSH_CONNECTION=203.0.113.7 1 2 3\0TOKEN=x\0LD_PRELOAD=/x.so\0=odd\0rest of a title\0"s);
  ASSERT_EQ(variables.size(), 3U);
  EXPECT_EQ(variables[0].second, "203.0.113.7 1 2 3");
  EXPECT_EQ(variables[1], (std::pair<std::string, std::string>("TOKEN", "")));
  EXPECT_EQ(variables[2].second, "/x.so");
}

}  // namespace
}  // namespace culprit
