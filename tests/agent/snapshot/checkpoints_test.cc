// SPDX-License-Identifier: Apache-2.0
// Checkpoints: what is as it was is not written again, what came and went is, within their bytes.
#include "agent/snapshot/checkpoints.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "agent/snapshot/checkpoint_rows.h"
#include "common/file.h"
#include "common/unique_fd.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

TEST(CheckpointRowsTest, ADifferenceHasWhatCameAndWhatWent) {
  CheckpointRows before = {"b", "a", "a"}, now = {"c", "a"};
  Normalise(&before);
  Normalise(&now);
  EXPECT_THAT(before, ElementsAre("a", "b"));
  const CheckpointDifference difference = Compare(before, now);
  EXPECT_THAT(difference.came, ElementsAre("c"));
  EXPECT_THAT(difference.went, ElementsAre("b"));
  EXPECT_TRUE(Compare(now, now).empty());
  EXPECT_EQ(FormatDifference("t", {{"{\"x\":1}"}, {"{\"x\":2}"}}),
            "{\"at\":\"t\",\"checkpoint\":\"difference\",\"rows\":2}\n{\"-\":{\"x\":2}}\n"
            "{\"+\":{\"x\":1}}\n");
}

TEST(CheckpointRowsTest, CountersOfAModuleOrASocketAreNoChange) {
  EXPECT_THAT(ModuleLines("nf_tables 356352 5 nft_ct, Live 0x0\nevil 1 2 - Live 0x0 (OE)\n"),
              ElementsAre("{\"module\":\"nf_tables\",\"size\":\"356352\"}",
                          "{\"module\":\"evil\",\"size\":\"1\",\"taint\":\"(OE)\"}"));
  EXPECT_EQ(ModuleLines("nf_tables 356352 5 nft_ct, Live 0x0\n"),
            ModuleLines("nf_tables 356352 9 nft_ct,x, Live 0x1\n"));
  const Row quiet = {{"protocol", "tcp"}, {"state", "listen"}, {"inode", 7}, {"send_queue", 0}};
  Row busy = quiet;
  busy["send_queue"] = 4'096;
  EXPECT_EQ(SocketLine(quiet, 5), SocketLine(busy, 5));
  EXPECT_NE(SocketLine(quiet, 5), SocketLine(quiet, 6));
}

class CheckpointsTest : public ::testing::Test {
 protected:
  void Start(std::uint64_t max_bytes = 4ULL << 20) {
    auto started = Checkpoints::Start({directory_ / "checkpoints", max_bytes});
    ASSERT_TRUE(started) << started.error().message;
    checkpoints_ = std::move(*started);
  }
  void Take(std::vector<CheckpointProcess> processes) {
    const std::uint64_t want = checkpoints_->taken() + 1;
    ASSERT_TRUE(checkpoints_->Take(std::move(processes)));
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (checkpoints_->taken() < want && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
    ASSERT_EQ(checkpoints_->taken(), want);
    EXPECT_EQ(checkpoints_->problem(), "");
  }
  CheckpointProcess Self() const {
    CheckpointProcess self;
    self.pid = static_cast<std::uint32_t>(getpid());
    self.exe = "/bin/test";
    return self;
  }
  std::vector<std::string> Files() const {
    return ListDirectory(directory_ / "checkpoints").value_or(std::vector<std::string>());
  }
  std::string Text() const {
    std::string text;
    for (const std::string& name : Files())
      text += ReadWholeFile(directory_ / "checkpoints/" + name, 64 << 20).value_or("");
    return text;
  }

  TempDir directory_;
  std::unique_ptr<Checkpoints> checkpoints_;
};

TEST_F(CheckpointsTest, AListenerIsThereWithItsOwnerAndGoesWithIt) {
  Start();
  Take({Self()});
  EXPECT_THAT(Text(), StartsWith("{\"at\":\""));
  UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length);
  const std::string port = "\"local_port\":" + std::to_string(ntohs(address.sin_port)) + ",";
  const auto lines = [&](const std::string& sign) {
    std::vector<std::string> found;
    std::string text = Text();
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = text.find('\n', at);
      const std::string line = text.substr(at, end - at);
      at = end + 1;
      if (line.starts_with("{\"" + sign + "\":") && line.find(port) != std::string::npos)
        found.push_back(line);
    }
    return found;
  };
  Take({Self()});
  ASSERT_THAT(lines("+"), SizeIs(1));
  EXPECT_THAT(lines("+").front(), HasSubstr("\"pid\":" + std::to_string(getpid()) + "}"));
  EXPECT_THAT(lines("-"), IsEmpty());
  listener.Reset();
  Take({Self()});
  EXPECT_THAT(lines("-"), SizeIs(1));
}

TEST_F(CheckpointsTest, FilesStayWithinTheirBytesAndEachBeginsWhole) {
  constexpr std::uint64_t kMax = 256 << 10;
  Start(kMax);
  std::vector<CheckpointProcess> many;
  for (std::uint32_t i = 0; i < 60; ++i) {
    many.assign(200, Self());
    for (std::uint32_t n = 0; n < many.size(); ++n) many[n].pid = 1'000'000 + i * 1'000 + n;
    Take(many);
  }
  EXPECT_GT(Files().size(), 1U);
  EXPECT_LE(Files().size(), 4U);
  EXPECT_LE(Text().size(), kMax);
  for (const std::string& name : Files()) {
    const std::string text = ReadWholeFile(directory_ / "checkpoints/" + name, kMax).value_or("");
    EXPECT_THAT(text.substr(0, text.find('\n')), HasSubstr("\"checkpoint\":\"full\"")) << name;
  }
  EXPECT_THAT(Text(), Not(HasSubstr("\"process\":1000001,")));  // the oldest went
  EXPECT_THAT(Text(), HasSubstr("\"process\":1059199,"));
}

}  // namespace
}  // namespace culprit
