// SPDX-License-Identifier: Apache-2.0
// Regions and costs in answers.
#include <gmock/gmock.h>

#include "tests/collector/query/query_fixture.h"

namespace culprit::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
constexpr std::uint64_t kGb = 1ULL << 30;

class FakePlaces final : public PlaceSource {
 public:
  std::shared_ptr<const PlaceTables> Read() const override { return tables; }
  std::shared_ptr<PlaceTables> tables = std::make_shared<PlaceTables>();
};

class EnginePlacesTest : public StoreFixture {
 protected:
  void SetUp() override {
    Open();
    auto ranges = IpRanges::Parse(
        R"({"createDate":"2026-02-22-15-17-05","ipv6_prefixes":[],"prefixes":[)"
        R"({"ip_prefix":"203.0.113.0/24","region":"me-south-1","service":"EC2"}]})");
    ASSERT_TRUE(ranges);
    places_.tables->geo.aws = std::make_shared<IpRanges>(std::move(*ranges));
    auto prices = PriceTable::Parse(
        "date = \"2026-01-31\"\nfree_gb_per_month = 100\n"
        "[[internet]]\nfrom = \"ap-south-1\"\nas_of = \"a\"\nsource = \"b\"\n"
        "micro_usd_per_gb = 100000\n"
        "[[inter_region]]\nfrom = \"ap-south-1\"\nto = \"*\"\nas_of = \"a\"\nsource = \"b\"\n"
        "micro_usd_per_gb = 86000\n",
        "prices.toml");
    ASSERT_TRUE(prices) << prices.error().message;
    places_.tables->prices = std::make_shared<PriceTable>(std::move(*prices));
    engine_ = std::make_unique<QueryEngine>(QueryEngineDeps{
        *store_, nullptr, nullptr, [] { return WallTimeFromNs(WallAt(20)); }, &places_});
    v1::EvidenceBatch batch;
    batch.mutable_host()->set_hostname("web-1");
    batch.mutable_host()->set_region("ap-south-1");
    batch.mutable_host()->add_addresses(std::string("\xc0\x00\x02\x0a", 4));
    *batch.add_processes() = MakeProcess(100, 0, 1000, "/tmp/relay", "ubuntu");
    *batch.add_processes() = MakeProcess(101, 0, 1001, "/usr/bin/curl", "ubuntu");
    Add({1, 100, "203.0.113.9", 2 * kGb}, &batch);
    Add({2, 100, "203.0.113.10", kGb}, &batch);
    Add({3, 101, "198.51.100.7", kGb}, &batch);
    Add({4, 101, "10.7.7.7", 4 * kGb}, &batch);
    Take(MakeStored(++lsn_, batch, 10, 1));
  }
  struct Sent {
    std::uint64_t flow, process;
    std::string remote;
    std::uint64_t tx;
  };
  static void Add(const Sent& sent, v1::EvidenceBatch* batch) {
    Row row;
    row.flow = sent.flow;
    row.process = sent.process;
    row.remote = sent.remote;
    row.tx = sent.tx;
    row.last = static_cast<double>(sent.flow);
    AppendRow(row, batch->mutable_flows());
  }
  v1::ListFlowsResponse Groups(const std::string& by) {
    v1::ListFlowsRequest request;
    request.set_group_by(by);
    request.set_with_cost(true);
    auto answer = engine_->ListFlows(request, nullptr);
    EXPECT_TRUE(answer) << answer.error().message;
    return answer ? std::move(*answer) : v1::ListFlowsResponse();
  }
  static std::vector<std::string> Summary(const v1::ListFlowsResponse& answer) {
    std::vector<std::string> out;
    for (const auto& group : answer.groups()) {
      out.push_back(group.label() + " " + std::to_string(group.cost_micro_usd()) + " ?" +
                    std::to_string(group.cost_unknown_bytes() / kGb));
    }
    return out;
  }

  FakePlaces places_;
  std::unique_ptr<QueryEngine> engine_;
};

TEST_F(EnginePlacesTest, ARowSaysWhereItWentAndWhatThatCosts) {
  v1::ListFlowsRequest request;
  request.mutable_filter()->set_remote("203.0.113.9");
  const auto answer = engine_->ListFlows(request, nullptr);
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->flows_size(), 1);
  const v1::FlowRow& row = answer->flows(0);
  EXPECT_EQ(row.region(), "me-south-1");
  EXPECT_EQ(row.service(), "EC2");
  EXPECT_EQ(row.route(), "ap-south-1 -> me-south-1");
  EXPECT_TRUE(row.cost_known());
  EXPECT_EQ(row.cost_micro_usd(), 172'000U);
}

TEST_F(EnginePlacesTest, AWayWithoutPriceIsUnknownAndSaysWhy) {
  v1::ListFlowsRequest request;
  request.mutable_filter()->set_remote("10.7.7.7");
  const auto answer = engine_->ListFlows(request, nullptr);
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->flows_size(), 1);
  EXPECT_FALSE(answer->flows(0).cost_known());
  EXPECT_THAT(answer->flows(0).route(), HasSubstr("unknown: private address"));
}

TEST_F(EnginePlacesTest, RegionsAreGroupsAndTheirCostsAddUp) {
  const auto answer = Groups("region");
  EXPECT_THAT(Summary(answer),
              ElementsAre("private 0 ?4", "me-south-1 258000 ?0", "internet 100000 ?0"));
  EXPECT_EQ(answer.cost_micro_usd(), 358'000U);
  EXPECT_EQ(answer.cost_unknown_bytes(), 4 * kGb);
  EXPECT_EQ(answer.free_tier_micro_usd(), 100'000U);
  EXPECT_EQ(answer.prices_date(), "2026-01-31");
}

TEST_F(EnginePlacesTest, ProcessesAndHostsHaveTheirCosts) {
  EXPECT_THAT(Summary(Groups("process")),
              ElementsAre("curl [1001] 100000 ?4", "relay [1000] 258000 ?0"));
  EXPECT_THAT(Summary(Groups("host")), ElementsAre("web-1 358000 ?4"));
}

TEST_F(EnginePlacesTest, AProcessSaysWhatItCost) {
  v1::GetProcessRequest request;
  request.set_process("0000000000000064");
  const auto answer = engine_->GetProcess(request, nullptr);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->totals().cost_micro_usd(), 258'000U);
  ASSERT_EQ(answer->flows_size(), 2);
  EXPECT_EQ(answer->flows(0).region(), "me-south-1");
}

TEST_F(EnginePlacesTest, WhereNamesTheHostAndTheAgeOfTheTables) {
  v1::WhereRequest request;
  request.add_addresses("203.0.113.9");
  request.add_addresses("192.0.2.10");
  const auto answer = engine_->Where(request);
  ASSERT_TRUE(answer) << answer.error().message;
  ASSERT_EQ(answer->places_size(), 2);
  EXPECT_EQ(answer->places(0).region(), "me-south-1");
  EXPECT_EQ(answer->places(1).host(), "web-1");
  EXPECT_EQ(answer->places(1).region(), "");
  EXPECT_EQ(answer->ip_ranges_prefixes(), 1U);
  EXPECT_EQ(answer->problems_size(), 0);
}

TEST_F(EnginePlacesTest, AnOldListIsAProblemWithItsRemedy) {
  auto ranges =
      IpRanges::Parse(R"({"createDate":"2025-12-01-00-00-00","ipv6_prefixes":[],"prefixes":[)"
                      R"({"ip_prefix":"203.0.113.0/24","region":"me-south-1","service":"EC2"}]})");
  ASSERT_TRUE(ranges);
  places_.tables->geo.aws = std::make_shared<IpRanges>(std::move(*ranges));
  const auto answer = engine_->Where({});
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->problems_size(), 1);
  EXPECT_THAT(answer->problems(0), HasSubstr("90d00h old"));
  EXPECT_THAT(answer->problems(0), HasSubstr("fetch https://ip-ranges.amazonaws.com"));
}

TEST_F(EnginePlacesTest, AnAddressThatIsNoneIsRefused) {
  v1::WhereRequest request;
  request.add_addresses("example.com");
  const auto answer = engine_->Where(request);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kInvalidArgument);
}

TEST_F(EnginePlacesTest, WithoutTablesNothingIsKnownAndNothingIsFree) {
  places_.tables = std::make_shared<PlaceTables>();
  const auto answer = Groups("region");
  EXPECT_THAT(Summary(answer), ElementsAre("private 0 ?4", "unknown 0 ?4"));
  EXPECT_EQ(answer.prices_date(), "");
}

TEST_F(EnginePlacesTest, ThePagesOfGroupsByRegionAgree) {
  v1::ListFlowsRequest request;
  request.set_group_by("region");
  request.set_limit(2);
  const auto first = engine_->ListFlows(request, nullptr);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->groups_size(), 2);
  request.set_page_token(first->next_page_token());
  const auto second = engine_->ListFlows(request, nullptr);
  ASSERT_TRUE(second) << second.error().message;
  ASSERT_EQ(second->groups_size(), 1);
  EXPECT_EQ(second->groups(0).label(), "internet");
}

}  // namespace
}  // namespace culprit::testing
