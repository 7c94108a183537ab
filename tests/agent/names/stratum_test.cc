// SPDX-License-Identifier: Apache-2.0
#include "agent/names/stratum.h"

#include <gtest/gtest.h>

#include <string>

namespace culprit {
namespace {

struct Told {
  Verdict verdict;
  std::string name;
  bool spoken = false;
};

Told Parse(const std::string& bytes) {
  ServerName out;
  Told told{};
  told.verdict = ParseStratum(bytes, out, told.spoken);
  told.name = out.name;
  EXPECT_EQ(out.source, NameSource::kStratum);
  return told;
}

const std::string kSubscribe = R"({"id":1,"method":"mining.subscribe","params":["cpuminer/2.5"]})"
                               "\n";

TEST(StratumTest, WhoLogsInIsFoundInEveryDialect) {
  const std::pair<std::string, const char*> cases[] = {
      {kSubscribe + R"({"id":2,"method":"mining.authorize","params":["bc1Qabc.rig1","x"]})" "\n",
       "bc1Qabc.rig1"},
      {R"({"params":["user.1","x"],"method":"mining.authorize","id":3})" "\r\n", "user.1"},
      {R"({"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"48edfHu7V9","pass":"x","agent":"XMRig/6.21"}})" "\n",
       "48edfHu7V9"},
      {R"({"id":1,"method":"eth_submitLogin","worker":"w","params":["0xAbC","x"]})" "\n", "0xAbC"},
      {R"( {"id":1,"method":"mining.subscribe"})" "\n", ""},  // a blank is no brace
      {R"({"id":4,"method":"mining.submit","params":["user.1","job","00","11","22"]})" "\n",
       "user.1"},
      {R"({"id":9,"method":"submit","params":{"id":"1","job_id":"a","nonce":"b","result":"c"}})" "\n",
       ""},
      {R"({"id":1,"method":"mining.authorize","params":["a\u001b[2J b\\",""]})" "\n",
       "a\\x1b[2J\\x20b\\x5c"},
      {R"({"id":1,"method":"mining.authorize","params":[]})" "\n", ""},
  };
  for (const auto& [bytes, name] : cases) {
    const Told told = Parse(bytes);
    if (bytes.front() != '{') {
      EXPECT_EQ(told.verdict, Verdict::kOther) << bytes;
      continue;
    }
    EXPECT_EQ(told.verdict, Verdict::kFound) << bytes;
    EXPECT_EQ(told.name, name) << bytes;
  }
}

TEST(StratumTest, ASubscriptionWaitsForTheLogin) {
  EXPECT_EQ(Parse(kSubscribe).verdict, Verdict::kMore);
  EXPECT_TRUE(Parse(kSubscribe).spoken);
  EXPECT_TRUE(Parse(R"({"id":1,"method":"mining.configure","params":[["version-rolling"],{}]})" "\n").spoken);
  std::string many;
  for (std::size_t i = 0; i < kMaxStratumLines; ++i) many += kSubscribe;
  EXPECT_EQ(Parse(many).verdict, Verdict::kFound);
  EXPECT_EQ(Parse(many).name, "");
}

TEST(StratumTest, EveryPrefixAsksForMoreUntilTheLineIsWhole) {
  const std::string line =
      R"({"id":1,"method":"mining.authorize","params":["user","x"]})" "\n";
  for (std::size_t n = 1; n < line.size(); ++n) {
    EXPECT_EQ(Parse(line.substr(0, n)).verdict, Verdict::kMore) << n;
    EXPECT_FALSE(Parse(line.substr(0, n)).spoken) << n;
  }
  EXPECT_EQ(Parse(line).verdict, Verdict::kFound);
}

TEST(StratumTest, OtherJsonIsSomethingElse) {
  for (const char* bytes :
       {R"({"id":1,"method":"eth_getBalance","params":["0xabc"]})" "\n", "{}\n", "{{{{\n",
        R"({"method":"login","params":{"login":"alice"}})" "\n",  // no miner says no more than that
        R"({"method":"login","params":["alice"]})" "\n",
        R"({"method":"submit","params":{"form":"a"}})" "\n",
        R"({"method":["mining.authorize"],"params":["a"]})" "\n",
        R"({"method":"mining.notify","params":[]})" "\n", R"([{"method":"mining.subscribe"}])" "\n",
        R"({"a":"mining.subscribe"})" "\n", "{\"method\":\"mining.subscribe\"\xff}\n"}) {
    EXPECT_EQ(Parse(bytes).verdict, Verdict::kOther) << bytes;
  }
  EXPECT_EQ(Parse("").verdict, Verdict::kMore);
}

TEST(StratumTest, WhatIsTooLongOrTooDeepEnds) {
  EXPECT_EQ(Parse("{" + std::string(kMaxStratumLine, ' ')).verdict, Verdict::kOther);
  const std::string deep = R"({"method":"mining.authorize","params":)" +
                           std::string(1500, '[') + std::string(1500, ']') + "}\n";
  EXPECT_NE(Parse(deep).verdict, Verdict::kMore);
  const Told told =
      Parse(R"({"method":"mining.authorize","params":[")" + std::string(2000, 'u') + "\"]}\n");
  EXPECT_EQ(told.verdict, Verdict::kFound);
  EXPECT_LE(told.name.size(), kMaxNameLength);
}

}  // namespace
}  // namespace culprit
