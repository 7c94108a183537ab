// SPDX-License-Identifier: Apache-2.0
// A client that does not keep the rules: each offence has its status, and nobody else notices.
#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <future>
#include <optional>

#include "collector/ingest/validate.h"
#include "common/crc32c.h"
#include "culprit/v1/ingest.grpc.pb.h"
#include "tests/collector/ingest/collector_fixture.h"

namespace culprit {
namespace {

using ::testing::HasSubstr;

std::string Slurp(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

// One stream of a hand-made agent.
class RawClient {
 public:
  RawClient(const std::string& address, const CredentialPaths* paths) {
    std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
    if (paths != nullptr) {
      grpc::SslCredentialsOptions tls;
      tls.pem_root_certs = Slurp(paths->ca);
      if (!paths->certificate.empty()) {
        tls.pem_cert_chain = Slurp(paths->certificate);
        tls.pem_private_key = Slurp(paths->key);
      }
      credentials = grpc::SslCredentials(tls);
    }
    grpc::ChannelArguments args;
    args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    stub_ = v1::Ingest::NewStub(grpc::CreateCustomChannel(address, credentials, args));
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    stream_ = stub_->Stream(&context_);
  }

  void Hello(std::uint32_t version = 1) {
    v1::AgentMessage message;
    message.mutable_hello()->set_protocol_version(version);
    message.mutable_hello()->set_agent_version("0");
    message.mutable_hello()->set_stream_id(std::string(stream_id_.AsBytes()));
    stream_->Write(message);
  }
  bool Greeted() {
    Hello();
    v1::CollectorMessage answer;
    return stream_->Read(&answer) && answer.has_hello();
  }
  Frame Make(std::uint64_t seq, const Sha256Digest& prev, WallTime wall = ReadWallClock()) const {
    FrameHeader header;
    header.stream_id = stream_id_;
    header.seq = seq;
    header.clock = ReadClockPair();
    header.clock.wall = wall;
    header.record_count = 1;
    header.prev_hash = prev;
    return *MakeFrame(header, SomeBatch(seq));
  }
  void Send(const Frame& frame) { SendRaw(frame.header_bytes, frame.payload, AsBytes(frame.hash)); }
  void SendRaw(const std::string& header, const std::string& payload, std::string_view hash) {
    v1::AgentMessage message;
    message.mutable_frame()->set_header(header);
    message.mutable_frame()->set_payload(payload);
    message.mutable_frame()->set_hash(std::string(hash));
    stream_->Write(message);
  }
  void Answer(const v1::ControlReply& reply) {
    v1::AgentMessage message;
    *message.mutable_control_reply() = reply;
    stream_->Write(message);
  }
  // The next question of the collector.
  v1::ControlRequest Question() {
    v1::CollectorMessage message;
    while (stream_->Read(&message)) {
      if (message.has_control()) return message.control();
    }
    ADD_FAILURE() << "the stream ended";
    return {};
  }
  void SendEmpty() { stream_->Write(v1::AgentMessage()); }
  // The next ack's seq; 0 if the stream has ended.
  std::uint64_t Ack() {
    v1::CollectorMessage answer;
    while (stream_->Read(&answer)) {
      if (answer.has_ack()) return answer.ack().seq();
    }
    return 0;
  }
  void WaitForAck(std::uint64_t seq) {
    std::uint64_t got = 0;
    while ((got = Ack()) < seq) ASSERT_NE(got, 0U);
  }
  grpc::Status End() {
    stream_->WritesDone();
    v1::CollectorMessage rest;
    while (stream_->Read(&rest)) {
    }
    return stream_->Finish();
  }
  std::string Trailer(const char* name) const {
    const auto& metadata = context_.GetServerTrailingMetadata();
    const auto at = metadata.find(name);
    return at == metadata.end() ? "" : std::string(at->second.data(), at->second.size());
  }

 private:
  Uuid stream_id_ = Uuid::Random();
  std::unique_ptr<v1::Ingest::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::AgentMessage, v1::CollectorMessage>> stream_;
};

class HostileClientTest : public ::testing::Test {
 protected:
  HostileClientTest() : collector_(root_) {
    collector_.Start();
    bystander_paths_ = collector_.Agent("bystander");
    hostile_ = collector_.Agent("hostile");
    bystander_.emplace(collector_.address(), &bystander_paths_);
    EXPECT_TRUE(bystander_->Greeted());
  }
  // The neighbour's stream, open all the time, still works.
  ~HostileClientTest() override {
    const Frame frame = bystander_->Make(1, {});
    bystander_->Send(frame);
    EXPECT_EQ(bystander_->Ack(), 1U);
    EXPECT_TRUE(bystander_->End().ok());
  }
  std::uint64_t Refusals(const std::string& reason) {
    const auto refusals = collector_.ingest()->stats().refusals;
    const auto at = refusals.find(reason);
    return at == refusals.end() ? 0 : at->second;
  }

  TemporaryDirectory root_;
  Collector collector_;
  CredentialPaths bystander_paths_, hostile_;
  std::optional<RawClient> bystander_;
};

TEST_F(HostileClientTest, BadFrameEndsTheStreamAndGoodOnesBeforeItAreAcked) {
  struct Case {
    const char* reason;
    std::function<void(RawClient*, const Frame& good)> send;
  };
  const Case cases[] = {
      {"hash", [](RawClient* c,
                  const Frame& f) { c->SendRaw(f.header_bytes, f.payload, std::string(32, 'x')); }},
      {"size",
       [](RawClient* c, const Frame& f) { c->SendRaw(f.header_bytes, f.payload, "short"); }},
      {"size",
       [](RawClient* c, const Frame& f) {
         c->SendRaw(f.header_bytes, std::string(kMaxPayloadBytes + 1, 'x'), AsBytes(f.hash));
       }},
      {"header",
       [](RawClient* c, const Frame& f) { c->SendRaw("garbage", f.payload, AsBytes(f.hash)); }},
      {"header", [](RawClient* c, const Frame& f) { c->SendRaw("", "", AsBytes(f.hash)); }},
  };
  for (const Case& c : cases) {
    RawClient client(collector_.address(), &hostile_);
    ASSERT_TRUE(client.Greeted());
    const Frame first = client.Make(1, {});
    client.Send(first);
    const std::uint64_t before = Refusals(c.reason);
    c.send(&client, client.Make(2, first.hash));
    EXPECT_EQ(client.Ack(), 1U);
    const grpc::Status status = client.End();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
    EXPECT_EQ(client.Trailer("culprit-frame-index"), "2");
    EXPECT_EQ(client.Trailer("culprit-refusal"), c.reason);
    EXPECT_EQ(Refusals(c.reason), before + 1);
  }
  EXPECT_EQ(collector_.StatsOf("hostile").rejected_frames, std::size(cases));
  EXPECT_EQ(collector_.Journalled().size(), std::size(cases));
}

TEST_F(HostileClientTest, DuplicatesAreAckedAgainAndStoredOnce) {
  RawClient client(collector_.address(), &hostile_);
  ASSERT_TRUE(client.Greeted());
  const Frame frame = client.Make(1, {});
  for (int i = 0; i < 5; ++i) client.Send(frame);
  EXPECT_EQ(client.Ack(), 1U);
  EXPECT_TRUE(client.End().ok());
  EXPECT_EQ(collector_.Journalled().size(), 1U);
  EXPECT_EQ(collector_.StatsOf("hostile").duplicates, 4U);
}

TEST_F(HostileClientTest, OutOfOrderIsAGapAndTheLateFrameIsRefused) {
  RawClient client(collector_.address(), &hostile_);
  ASSERT_TRUE(client.Greeted());
  const Frame one = client.Make(1, {}), two = client.Make(2, one.hash),
              three = client.Make(3, two.hash);
  client.Send(one);
  client.Send(three);
  client.WaitForAck(3);
  client.Send(two);
  const grpc::Status status = client.End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(client.Trailer("culprit-refusal"), "out_of_order");
  EXPECT_EQ(collector_.StatsOf("hostile").gaps, 1U);
  EXPECT_EQ(collector_.StatsOf("hostile").missing_frames, 1U);
}

TEST_F(HostileClientTest, OtherBytesUnderATakenNumberAreAForkAndRefused) {
  RawClient client(collector_.address(), &hostile_);
  ASSERT_TRUE(client.Greeted());
  client.Send(client.Make(1, {}));
  client.WaitForAck(1);
  client.Send(client.Make(1, {}, WallTime{}));
  EXPECT_EQ(client.End().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(client.Trailer("culprit-refusal"), "fork");
  EXPECT_EQ(collector_.StatsOf("hostile").forks, 1U);
}

TEST_F(HostileClientTest, WrongClockIsFlaggedAndTaken) {
  RawClient client(collector_.address(), &hostile_);
  ASSERT_TRUE(client.Greeted());
  client.Send(client.Make(1, {}, ReadWallClock() - std::chrono::hours(24 * 365)));
  EXPECT_EQ(client.Ack(), 1U);
  EXPECT_TRUE(client.End().ok());
  EXPECT_LT(collector_.StatsOf("hostile").skew_ns, -364LL * 86'400'000'000'000);
}

TEST_F(HostileClientTest, HelloMustComeFirstOnceAndInThisVersion) {
  {
    RawClient client(collector_.address(), &hostile_);
    client.Send(client.Make(1, {}));
    EXPECT_EQ(client.End().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  }
  {
    RawClient client(collector_.address(), &hostile_);
    client.Hello(7);
    const grpc::Status status = client.End();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_THAT(status.error_message(), HasSubstr("protocol version"));
  }
  {
    RawClient client(collector_.address(), &hostile_);
    ASSERT_TRUE(client.Greeted());
    client.Hello();
    EXPECT_EQ(client.End().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  }
  {
    RawClient client(collector_.address(), &hostile_);
    ASSERT_TRUE(client.Greeted());
    client.SendEmpty();
    EXPECT_EQ(client.End().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  }
}

TEST_F(HostileClientTest, NewerConnectionTakesOver) {
  RawClient older(collector_.address(), &hostile_);
  ASSERT_TRUE(older.Greeted());
  RawClient newer(collector_.address(), &hostile_);
  ASSERT_TRUE(newer.Greeted());
  EXPECT_EQ(older.End().error_code(), grpc::StatusCode::ABORTED);
  newer.Send(newer.Make(1, {}));
  EXPECT_EQ(newer.Ack(), 1U);
  EXPECT_TRUE(newer.End().ok());
}

v1::PacketRequest Window() {
  v1::PacketRequest request;
  request.set_fetch_id(std::string(16, 'f'));
  request.set_window_bytes(8);
  return request;
}

v1::ControlReply Part(const v1::ControlRequest& question, std::uint64_t offset,
                      const std::string& data, bool end = false) {
  v1::ControlReply reply;
  reply.set_request_id(question.request_id());
  reply.mutable_packets()->set_offset(offset);
  reply.mutable_packets()->set_data(data);
  reply.mutable_packets()->set_crc32c(Crc32c(data));
  reply.mutable_packets()->set_window_end(end);
  return reply;
}

// Asks the agent of that name on a thread of its own; gives what came and how it ended.
std::future<std::pair<std::string, Status>> AskOnThread(Collector* collector,
                                                        const std::string& name) {
  const Uuid agent = collector->StatsOf(name).agent_id;
  return std::async(std::launch::async, [collector, agent] {
    std::string got;
    const Status status =
        collector->ingest()->control().AskForPackets(agent, Window(),
                                                     [&got](v1::PacketPart&& part) {
                                                       got += part.data();
                                                       return true;
                                                     },
                                                     {});
    return std::pair(got, status);
  });
}

TEST_F(HostileClientTest, AnswersComeToWhoAsked) {
  RawClient client(collector_.address(), &hostile_);
  ASSERT_TRUE(client.Greeted());
  auto asked = AskOnThread(&collector_, "hostile");
  const v1::ControlRequest question = client.Question();
  EXPECT_EQ(question.packets().window_bytes(), 8U);
  client.Answer(Part(question, 0, "1234"));
  client.Answer(Part(question, 4, "5678", true));
  const auto [got, status] = asked.get();
  EXPECT_TRUE(status) << status.error().message;
  EXPECT_EQ(got, "12345678");
  EXPECT_TRUE(client.End().ok());
}

TEST_F(HostileClientTest, AnAnswerThatBreaksTheRulesIsCountedAndEndsTheStream) {
  const struct {
    const char* what;
    std::function<void(RawClient*, const v1::ControlRequest&)> answer;
  } cases[] = {
      {"unasked",
       [](RawClient* c, v1::ControlRequest q) {
         q.set_request_id(q.request_id() + 1);
         c->Answer(Part(q, 0, "1234"));
       }},
      {"more than asked for",
       [](RawClient* c, const v1::ControlRequest& q) { c->Answer(Part(q, 0, "123456789")); }},
      {"wrong offset",
       [](RawClient* c, const v1::ControlRequest& q) { c->Answer(Part(q, 1, "1234")); }},
      {"wrong checksum",
       [](RawClient* c, const v1::ControlRequest& q) {
         v1::ControlReply reply = Part(q, 0, "1234");
         reply.mutable_packets()->set_crc32c(1);
         c->Answer(reply);
       }},
      {"behind the end",
       [](RawClient* c, const v1::ControlRequest& q) {
         c->Answer(Part(q, 0, "12345678", true));
         c->Answer(Part(q, 8, "9"));
       }},
  };
  for (const auto& c : cases) {
    RawClient client(collector_.address(), &hostile_);
    ASSERT_TRUE(client.Greeted());
    const std::uint64_t before = Refusals("control_reply");
    auto asked = AskOnThread(&collector_, "hostile");
    c.answer(&client, client.Question());
    EXPECT_EQ(client.End().error_code(), grpc::StatusCode::FAILED_PRECONDITION) << c.what;
    EXPECT_EQ(Refusals("control_reply"), before + 1) << c.what;
    const auto [got, status] = asked.get();
    EXPECT_TRUE(status || status.error().code == Code::kUnavailable) << c.what;
    EXPECT_LE(got.size(), 8U) << c.what;
  }
}

TEST_F(HostileClientTest, WhatAnswersAQuestionThatWasGivenUpIsDropped) {
  RawClient client(collector_.address(), &hostile_);
  ASSERT_TRUE(client.Greeted());
  const Uuid agent = collector_.StatsOf("hostile").agent_id;
  const Status given_up =
      collector_.ingest()->control().AskForPackets(agent, Window(), {}, [] { return true; });
  ASSERT_FALSE(given_up);
  EXPECT_EQ(given_up.error().code, Code::kCancelled);
  const v1::ControlRequest question = client.Question();
  client.Answer(Part(question, 0, "1234"));
  client.Answer(Part(question, 4, "5678", true));
  auto asked = AskOnThread(&collector_, "hostile");
  client.Answer(Part(client.Question(), 0, "abcdefgh", true));
  EXPECT_EQ(asked.get().first, "abcdefgh");
  EXPECT_TRUE(client.End().ok());
  EXPECT_EQ(Refusals("control_reply"), 0U);
}

TEST_F(HostileClientTest, AnAgentThatDoesNotAnswerIsNotWaitedForLong) {
  collector_.Stop();
  IngestOptions options;
  options.answer_timeout = std::chrono::milliseconds(200);
  collector_.Start(options);
  bystander_.emplace(collector_.address(), &bystander_paths_);
  ASSERT_TRUE(bystander_->Greeted());
  RawClient client(collector_.address(), &hostile_);
  ASSERT_TRUE(client.Greeted());
  const auto [got, status] = AskOnThread(&collector_, "hostile").get();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kDeadlineExceeded);
  EXPECT_TRUE(client.End().ok());
  const auto [nothing, gone] = AskOnThread(&collector_, "hostile").get();
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, Code::kUnavailable);
}

TEST_F(HostileClientTest, AnswersBeforeAnyQuestionEndTheStream) {
  RawClient client(collector_.address(), &hostile_);
  ASSERT_TRUE(client.Greeted());
  client.Answer(Part({}, 0, "1234"));
  EXPECT_EQ(client.End().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(HostileClientTest, WithoutACertificateOfThisCaNothingIsHeard) {
  ASSERT_TRUE(InitPki(root_ / "other", {}));
  const auto foreign = IssueAgent(root_ / "other", "x", root_ / "foreign", {});
  PkiOptions expired;
  expired.now = ReadWallClock() - std::chrono::hours(48);
  expired.leaf_validity = std::chrono::hours(24);
  const CredentialPaths late = collector_.Agent("late", expired);
  const std::string ca = collector_.pki().server.ca;
  const CredentialPaths none{ca, "", ""};
  const CredentialPaths other{ca, foreign->paths.certificate, foreign->paths.key};
  for (const CredentialPaths* paths :
       {static_cast<const CredentialPaths*>(nullptr), &none, &other, &late}) {
    RawClient client(collector_.address(), paths);
    client.Hello();
    const grpc::Status status = client.End();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
  }
  RawClient op(collector_.address(), &collector_.pki().operator_credentials);
  op.Hello();
  EXPECT_EQ(op.End().error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(Refusals("not_an_agent"), 1U);
}

TEST_F(HostileClientTest, PortInUseIsSaidInWords) {
  const auto credentials = CheckCredentials(collector_.pki().server, ReadWallClock());
  ASSERT_TRUE(credentials);
  const auto second = StartTlsServer({collector_.address()}, *credentials, {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kAlreadyExists);
  EXPECT_THAT(second.error().message, HasSubstr("in use"));
  for (const char* listen : {"", "7443", "localhost:7443", "192.0.2.1", "::1"}) {
    EXPECT_FALSE(StartTlsServer({listen}, *credentials, {})) << listen;
  }
  const auto elsewhere = StartTlsServer({"192.0.2.1:7443"}, *credentials, {});
  ASSERT_FALSE(elsewhere);
  EXPECT_THAT(elsewhere.error().message, HasSubstr("no such address"));
}

// Slowed down by its own waiting alone: whatever comes is taken, and nothing is refused.
TEST_F(HostileClientTest, OverItsRateAnAgentIsReadMoreSlowlyAndLosesNothing) {
  collector_.Stop();
  IngestOptions options;
  options.max_rate = 200'000;  // bytes a second: its burst is less than what comes
  collector_.Start(options);
  bystander_.emplace(collector_.address(), &bystander_paths_);
  ASSERT_TRUE(bystander_->Greeted());
  RawClient client(collector_.address(), &hostile_);
  ASSERT_TRUE(client.Greeted());
  Sha256Digest previous{};
  constexpr std::uint64_t kFrames = 120;  // 4 KiB each are charged
  for (std::uint64_t seq = 1; seq <= kFrames; ++seq) {
    const Frame frame = client.Make(seq, previous);
    previous = frame.hash;
    client.Send(frame);
  }
  client.WaitForAck(kFrames);
  EXPECT_TRUE(client.End().ok());
  EXPECT_EQ(collector_.Journalled().size(), kFrames);
}

}  // namespace
}  // namespace culprit
