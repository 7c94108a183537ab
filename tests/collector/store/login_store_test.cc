// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <set>

#include "collector/model/login_rules.h"
#include "tests/collector/store/login_builder.h"
#include "tests/collector/store/store_fixture.h"

namespace culprit::testing {
namespace {

// One condition.
template <class Field, class Value>
LoginPredicate Where(Field LoginPredicate::*field, Value value) {
  LoginPredicate where;
  where.*field = std::move(value);
  return where;
}

class LoginStoreTest : public StoreFixture {
 protected:
  void SetUp() override { Open(); }
  void TakeBatch(const v1::EvidenceBatch& batch, double at) { Take(MakeStored(++lsn_, batch, at)); }
  // A part begins with a frame that comes an hour after the one before began.
  void NewPart(double at) {
    StoredFrame stored = MakeStored(++lsn_, v1::EvidenceBatch(), at);
    Take(stored);
  }
  std::vector<SessionRecord> All(const LoginPredicate& where = {}, std::size_t limit = 100) {
    auto found = store_->Sessions(where, limit);
    EXPECT_TRUE(found);
    return found ? *found : std::vector<SessionRecord>{};
  }
};

TEST_F(LoginStoreTest, ASessionComesWithItsLogin) {
  v1::EvidenceBatch batch;
  AddLogin(&batch, {.session = 7, .at = 3});
  TakeBatch(batch, 5);
  const auto found = All();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].session.flow_id(), 77U);
  EXPECT_EQ(ToNs(found[0].began), WallAt(3));
  EXPECT_EQ(ToNs(found[0].ended), 0);
  ASSERT_TRUE(found[0].login);
  EXPECT_EQ(found[0].login->login.key_fingerprint(), kLoginKey);
}

TEST_F(LoginStoreTest, ALaterRecordEndsTheSessionAndOneThatKnowsLessTakesNothingAway) {
  v1::EvidenceBatch batch;
  AddLogin(&batch, {.session = 7, .at = 3});
  TakeBatch(batch, 5);
  v1::EvidenceBatch later;  // as a restarted agent tells of it: by its audit session alone
  v1::Session& session = *later.add_sessions();
  session.set_session_id(7);
  session.set_kind(v1::LOGIN_KIND_SSH);
  session.set_audit_session(11);
  session.set_began_boot_ns(BootAt(30));
  session.set_ended_boot_ns(BootAt(40));
  TakeBatch(later, 41);
  const auto found = All();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].session.flow_id(), 77U);
  EXPECT_EQ(ToNs(found[0].began), WallAt(3));
  EXPECT_EQ(ToNs(found[0].ended), WallAt(40));
}

TEST_F(LoginStoreTest, IsFoundByEachCondition) {
  v1::EvidenceBatch batch;
  AddLogin(&batch, {.session = 7, .at = 3});
  AddLogin(&batch, {.session = 8, .at = 4, .user = "bob", .address = "2001:db8::9", .key = ""});
  TakeBatch(batch, 5);
  const auto ids = [&](const LoginPredicate& where) {
    std::set<std::uint64_t> out;
    for (const SessionRecord& record : All(where)) out.insert(record.id().value());
    return out;
  };
  using Ids = std::set<std::uint64_t>;
  EXPECT_EQ(ids({}), (Ids{7, 8}));
  EXPECT_EQ(ids(Where(&LoginPredicate::user, "bob")), Ids{8});
  EXPECT_EQ(ids(Where(&LoginPredicate::key_fingerprint, kLoginKey)), Ids{7});
  EXPECT_EQ(ids(Where(&LoginPredicate::address, Cidr::Parse("203.0.113.0/24").value())), Ids{7});
  EXPECT_EQ(ids(Where(&LoginPredicate::from, WallTimeFromNs(WallAt(4)))), Ids{8});
  EXPECT_EQ(ids(Where(&LoginPredicate::to, WallTimeFromNs(WallAt(4)))), Ids{7});
  EXPECT_EQ(ids(Where(&LoginPredicate::host, 9U)), Ids{});
}

TEST_F(LoginStoreTest, ASessionThatGoesOnIsInEachPartUntilWellAfterItsEnd) {
  v1::EvidenceBatch batch;
  AddLogin(&batch, {.session = 7, .at = 3});
  TakeBatch(batch, 5);
  NewPart(4'000);
  NewPart(8'000);
  ASSERT_GE(PartFiles().size(), 3U);
  EXPECT_EQ(All().size(), 1U);
  // The parts that it was told in are removed.
  RetentionPolicy policy;
  policy.max_bytes = 1;
  ASSERT_TRUE(store_->Retain(policy));
  const auto found = All();
  ASSERT_EQ(found.size(), 1U);
  ASSERT_TRUE(found[0].login);
  EXPECT_EQ(found[0].login->login.user(), "alice");
  const auto by_id = store_->FindSession(found[0].host, ProcessId{7}, WallTime{});
  ASSERT_TRUE(by_id && *by_id);
}

TEST_F(LoginStoreTest, AnAuditSessionIsOneOfItsBootOnly) {
  v1::EvidenceBatch batch;
  AddLogin(&batch, {.session = 7, .at = 3});
  TakeBatch(batch, 5);
  const SessionRecord record = All().at(0);
  const auto find = [&](std::uint32_t audit, WallTime boot) {
    const auto found = store_->FindAuditSession(record.host, audit, boot, WallTime{});
    return found && found->has_value();
  };
  EXPECT_TRUE(find(11, record.boot));
  EXPECT_TRUE(find(11, record.boot + std::chrono::seconds(20)));
  EXPECT_FALSE(find(11, record.boot + std::chrono::minutes(5)));
  EXPECT_FALSE(find(12, record.boot));
}

TEST_F(LoginStoreTest, FailuresOfAMinuteAreTheirNewestCountOfEachRun) {
  const auto fail = [&](std::uint64_t count, double at, const char* user = "root") {
    v1::EvidenceBatch batch;
    batch.set_run_id(std::string(16, 'r'));
    v1::LoginFailure& failure = *batch.add_login_failures();
    failure.set_minute_wall_ns(WallAt(0));
    failure.set_address(std::string("\xcb\x00\x71\x05", 4));
    failure.set_user(user);
    failure.set_method("password");
    failure.set_count(count);
    TakeBatch(batch, at);
  };
  fail(3, 5);
  fail(8, 15);
  fail(8, 4'000);  // told again, in another part
  fail(1, 4'001, "bob");
  const auto found = store_->LoginFailures({}, 100);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 2U);
  EXPECT_EQ((*found)[0].count + (*found)[1].count, 9U);
  EXPECT_EQ((*found)[0].address, IpAddress::Parse("203.0.113.5").value());
  const auto none = store_->LoginFailures(
      Where(&LoginPredicate::address, Cidr::Parse("192.0.2.0/24").value()), 100);
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->empty());
}

TEST(LoginRulesTest, RefuseWhatCannotBe) {
  v1::EvidenceBatch batch;
  AddLogin(&batch, {});
  EXPECT_TRUE(IsGoodLogin(batch.logins(0)));
  EXPECT_TRUE(IsGoodSession(batch.sessions(0)));
  const auto login = [&](auto change) {
    v1::Login copy = batch.logins(0);
    change(copy);
    return IsGoodLogin(copy);
  };
  const auto session = [&](auto change) {
    v1::Session copy = batch.sessions(0);
    change(copy);
    return IsGoodSession(copy);
  };
  EXPECT_FALSE(login([](v1::Login& l) { l.set_session_id(0); }));
  EXPECT_FALSE(login([](v1::Login& l) { l.set_user("a\x1b[2J"); }));
  EXPECT_FALSE(login([](v1::Login& l) { l.set_user(std::string(2'000, 'x')); }));
  EXPECT_FALSE(login([](v1::Login& l) { l.set_address("abc"); }));
  EXPECT_FALSE(login([](v1::Login& l) { l.set_port(70'000); }));
  EXPECT_FALSE(login([](v1::Login& l) { l.set_at_boot_ns(~0ULL); }));
  EXPECT_FALSE(login([](v1::Login& l) { l.set_kind(static_cast<v1::LoginKind>(99)); }));
  EXPECT_FALSE(session([](v1::Session& s) { s.set_session_id(0); }));
  EXPECT_FALSE(session([](v1::Session& s) { s.mutable_links(0)->set_reason("\n"); }));
  EXPECT_FALSE(session([](v1::Session& s) {
    for (int i = 0; i < 100; ++i) *s.add_links() = s.links(0);
  }));
  EXPECT_FALSE(session([](v1::Session& s) { s.add_changes()->set_process_id(0); }));
  v1::LoginFailure failure;
  EXPECT_TRUE(IsGoodFailure(failure));
  failure.set_method("\x80");
  EXPECT_FALSE(IsGoodFailure(failure));
}

}  // namespace
}  // namespace culprit::testing
