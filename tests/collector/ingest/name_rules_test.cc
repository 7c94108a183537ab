// SPDX-License-Identifier: Apache-2.0
// Which names and questions to the DNS the collector takes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "collector/model/evidence_rules.h"

namespace culprit {
namespace {

constexpr std::uint64_t kTooMuch = 1ULL << 63;

// Three of each, all good.
v1::EvidenceBatch Good() {
  v1::EvidenceBatch batch;
  for (std::uint64_t i = 1; i <= 3; ++i) {
    v1::FlowName* name = batch.add_names();
    name->set_flow_id(i);
    name->set_source(v1::NAME_SOURCE_TLS_SNI);
    name->set_confidence(v1::NAME_CONFIDENCE_IN_FLOW);
    name->set_name("www\\x20.example.com");
    name->set_alpn("h2,http/1.1");
    v1::DnsQuestion* question = batch.add_dns();
    question->set_flow_id(i);
    question->set_server(std::string(4, '\x01'));
    question->set_name("www.example.com");
    question->set_rcode(-1);
    question->add_answers("192.0.2.7");
  }
  return batch;
}

TEST(NameRulesTest, GoodOnesAreAllKept) {
  v1::EvidenceBatch batch = Good();
  const EvidenceVerdict verdict = ApplyEvidenceRules(&batch);
  EXPECT_EQ(verdict.records, 6U);
  EXPECT_EQ(verdict.rejected, 0U);
}

TEST(NameRulesTest, ABadNameCostsNoOtherRecord) {
  using Change = std::function<void(v1::FlowName*)>;
  const Change changes[] = {
      [](auto* n) { n->set_flow_id(0); },
      [](auto* n) { n->set_at_boot_ns(kTooMuch); },
      [](auto* n) { n->set_source(v1::NAME_SOURCE_UNSPECIFIED); },
      [](auto* n) { n->set_source(static_cast<v1::NameSource>(v1::NameSource_MAX + 1)); },
      [](auto* n) { n->set_source(static_cast<v1::NameSource>(-1)); },
      [](auto* n) { n->set_confidence(v1::NAME_CONFIDENCE_UNSPECIFIED); },
      [](auto* n) { n->set_confidence(static_cast<v1::NameConfidence>(99)); },
      [](auto* n) { n->set_name("a\nb"); },
      [](auto* n) { n->set_name("a\x1b[2J"); },
      [](auto* n) { n->set_name("two words"); },
      [](auto* n) { n->set_name("\x7f"); },
      [](auto* n) { n->set_name("\u00e9.example"); },
      [](auto* n) { n->set_name(std::string("a\0b", 3)); },
      [](auto* n) { n->set_name(std::string(1025, 'a')); },
      [](auto* n) { n->set_alpn("h2\t"); },
      [](auto* n) { n->set_alpn(std::string(4097, 'a')); },
      [](auto* n) { n->set_port(65'536); },
      [](auto* n) { n->set_command(256); },
  };
  for (std::size_t i = 0; i < std::size(changes); ++i) {
    v1::EvidenceBatch batch = Good();
    changes[i](batch.mutable_names(1));
    const EvidenceVerdict verdict = ApplyEvidenceRules(&batch);
    EXPECT_EQ(verdict.records, 6U) << i;
    EXPECT_EQ(verdict.rejected, 1U) << i;
    ASSERT_EQ(batch.names_size(), 2) << i;
    EXPECT_EQ(batch.names(0).flow_id(), 1U) << i;
    EXPECT_EQ(batch.names(1).flow_id(), 3U) << i;
    EXPECT_EQ(batch.dns_size(), 3) << i;
  }
}

TEST(NameRulesTest, ABadQuestionCostsNoOtherRecord) {
  using Change = std::function<void(v1::DnsQuestion*)>;
  const Change changes[] = {
      [](auto* q) { q->set_at_boot_ns(kTooMuch); },
      [](auto* q) { q->clear_server(); },
      [](auto* q) { q->set_server("12345"); },
      [](auto* q) { q->set_server_port(65'536); },
      [](auto* q) { q->set_type(65'536); },
      [](auto* q) { q->set_rcode(-2); },
      [](auto* q) { q->set_rcode(4'096); },
      [](auto* q) { q->set_name("a b"); },
      [](auto* q) { q->set_name(std::string(1025, 'a')); },
      [](auto* q) { q->set_answers(0, "192.0.2.7 forged"); },
      [](auto* q) { q->set_answers(0, "\x1b"); },
      [](auto* q) { q->set_answers(0, std::string(1025, 'a')); },
      [](auto* q) {
        for (int i = 0; i < 64; ++i) q->add_answers("192.0.2.7");
      },
      [](auto* q) { q->set_query_bytes(kTooMuch); },
      [](auto* q) { q->set_answer_bytes(kTooMuch); },
  };
  for (std::size_t i = 0; i < std::size(changes); ++i) {
    v1::EvidenceBatch batch = Good();
    changes[i](batch.mutable_dns(1));
    const EvidenceVerdict verdict = ApplyEvidenceRules(&batch);
    EXPECT_EQ(verdict.records, 6U) << i;
    EXPECT_EQ(verdict.rejected, 1U) << i;
    ASSERT_EQ(batch.dns_size(), 2) << i;
    EXPECT_EQ(batch.dns(1).flow_id(), 3U) << i;
    EXPECT_EQ(batch.names_size(), 3) << i;
  }
}

}  // namespace
}  // namespace culprit
