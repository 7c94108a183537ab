// SPDX-License-Identifier: Apache-2.0
// Forty abuse reports about deeds of known processes, in every shape, zone and order of columns
// that reports come in, asked of an index that is full of other flows, also to the same addresses
// and ports.
#include <gtest/gtest.h>
#include <spdlog/fmt/fmt.h>

#include <cstdio>
#include <ctime>
#include <random>

#include "collector/answer/match.h"
#include "collector/query/engine.h"
#include "tests/collector/store/store_fixture.h"

namespace culprit::testing {
namespace {

// Seconds after record_builder.h's epoch, 2026-03-01T00:00:00Z.
constexpr int kDay = 86'400, kSpan = 6 * kDay, kNow = 10 * kDay;
constexpr int kProcesses = 12, kNoise = 1500, kDecoys = 6, kTargets = 4;
constexpr std::uint64_t kFirstProcess = 100;
constexpr const char* kInstances[] = {"i-0123456789abcdef0", "i-0fedcba9876543210"};
constexpr const char* kOurs[] = {"203.0.113.5", "203.0.113.6"};

struct Deed {
  int host = 0;
  std::uint64_t process = 0;
  double at = 0;
  std::uint32_t local_port = 0, remote_port = 22;
  std::vector<std::string> remotes;
};

// What a report is made of; `clock` = the victim's, seconds after the epoch of the deed in his
// zone.
struct Writer {
  const Deed& deed;
  int zone_minutes;
  std::string zone;  // as written, with the blank before it; empty = none
  double late = 0;   // the victim's clock is ahead

  std::string Time(const char* format, double after = 0) const {
    const auto seconds = static_cast<std::time_t>(
        kEpochNs / 1'000'000'000 + static_cast<std::int64_t>(deed.at + after + late) +
        zone_minutes * 60);
    std::tm tm{};
    gmtime_r(&seconds, &tm);
    char text[64];
    std::strftime(text, sizeof(text), format, &tm);
    return text;
  }
  const std::string& remote() const { return deed.remotes[0]; }
  const char* ours() const { return kOurs[deed.host]; }
  const char* instance() const { return kInstances[deed.host]; }
};

std::string AwsCsv(const Writer& w) {
  return fmt::format("DOS,{},{}{},{},TCP,*,{},us-east-1\n", w.instance(),
                     w.Time("%Y-%m-%d %H:%M:%S"), w.zone, w.remote(), w.deed.remote_port);
}
std::string CsvByReporter(const Writer& w) {
  std::string out = "src_ip,src_port,dst_ip,dst_port,proto,time\n";
  for (const std::string& remote : w.deed.remotes) {
    out += fmt::format("{},{},{},{},tcp,{}{}\n", w.ours(), w.deed.local_port, remote,
                       w.deed.remote_port, w.Time("%Y-%m-%dT%H:%M:%S"), w.zone);
  }
  return out;
}
// The victim calls himself the source.
std::string SwappedCsv(const Writer& w) {
  std::string out = "time;source;source port;destination;destination port\n";
  for (const std::string& remote : w.deed.remotes) {
    out += fmt::format("{}{};{};{};{};{}\n", w.Time("%d.%m.%Y %H:%M:%S"), w.zone, remote,
                       w.deed.remote_port, w.ours(), w.deed.local_port);
  }
  return out;
}
std::string Syslog(const Writer& w) {
  return fmt::format(
      "Our server {} is under attack. Log:\n\n{} web sshd[31826]: Failed password for root from {} "
      "port {} ssh2\n",
      w.remote(), w.Time("%b %e %H:%M:%S"), w.ours(), w.deed.local_port);
}
std::string SyslogOfOursAlone(const Writer& w) {
  return fmt::format(
      "{} web sshd[31826]: Failed password for invalid user admin from {} port {} ssh2\n",
      w.Time("%b %e %H:%M:%S"), w.ours(), w.deed.local_port);
}
std::string Firewall(const Writer& w) {
  std::string out =
      "All times in this log are" + (w.zone.empty() ? std::string(" ours") : w.zone) + ".\n\n";
  for (const std::string& remote : w.deed.remotes) {
    out += fmt::format(
        "{} fw kernel: [UFW BLOCK] IN=eth0 OUT= SRC={} DST={} LEN=60 TTL=48 PROTO=TCP SPT={} "
        "DPT={} SYN\n",
        w.Time("%b %e %H:%M:%S"), w.ours(), remote, w.deed.local_port, w.deed.remote_port);
  }
  return out;
}
std::string FreeText(const Writer& w) {
  std::string out = fmt::format(
      "We've received a report that your AWS resource(s)\n\nAWS ID: 123456789012 Region: us-east-1 "
      "EC2 Instance Id: {} [{}]\n\nhas been "
      "implicated in activity that resembles attempts to access remote hosts on the internet "
      "without authorization.\n\nIt happened on {}{} "
      "against port {}.\n\nTargets:\n",
      w.instance(), w.ours(), w.Time("%B %d, %Y at %I:%M %p"), w.zone, w.deed.remote_port);
  for (const std::string& remote : w.deed.remotes) out += "  " + remote + "\n";
  return out;
}
std::string KeyValue(const Writer& w) {
  return fmt::format(
      "Source IP: {}\nDestination IP: {}\nDestination port: {}\nProtocol: TCP\nTimestamp: {}{}\n",
      w.ours(), w.remote(), w.deed.remote_port, w.Time("%Y/%m/%d %H:%M:%S"), w.zone);
}
std::string UsDate(const Writer& w) {
  return fmt::format("At {}{} host {} tried {}:{}.\n", w.Time("%m/%d/%Y %H:%M:%S"), w.zone,
                     w.ours(), w.remote(), w.deed.remote_port);
}
std::string AccessLog(const Writer& w) {
  return fmt::format(
      "{} is our web server.\n\n{} - - [{}{}] \"GET /wp-login.php HTTP/1.1\" 404 162\n", w.remote(),
      w.ours(), w.Time("%d/%b/%Y:%H:%M:%S"), w.zone);
}
std::string JsonLines(const Writer& w) {
  std::string out;
  for (const std::string& remote : w.deed.remotes) {
    out += fmt::format(
        R"({{"timestamp":"{}{}","src_ip":"{}","dst_ip":"{}","dst_port":{},"proto":"TCP"}})"
        "\n",
        w.Time("%Y-%m-%dT%H:%M:%S"), w.zone, w.ours(), remote, w.deed.remote_port);
  }
  return out;
}
std::string Defanged(const Writer& w) {
  std::string remote = w.remote();
  for (std::size_t at = 0; (at = remote.find('.', at)) != std::string::npos; at += 3)
    remote.replace(at, 1, "[.]");
  return fmt::format("honeypot {} port {} was hit at {}{}\n", remote, w.deed.remote_port,
                     w.Time("%Y-%m-%d %H:%M"), w.zone);
}
std::string HealthEvent(const Writer& w) {
  return fmt::format(
      R"({{"detail-type":"AWS Health Abuse Event","account":"123456789012","time":"{}Z","region":"us-east-1",)"
      R"("resources":["{}"],"detail":{{"service":"ABUSE","eventTypeCode":"AWS_ABUSE_DOS_REPORT"}}}})",
      w.Time("%Y-%m-%dT%H:%M:%S", 4 * 3600), w.instance());
}

struct Case {
  const char* name;
  std::string (*write)(const Writer&);
  int zone_minutes;
  const char* zone;
  int targets = 1;
  double late = 0;
};

constexpr Case kCases[] = {
    {"AWS CSV, PDT", AwsCsv, -420, " PDT"},
    {"AWS CSV, PST", AwsCsv, -480, " PST"},
    {"AWS CSV, UTC", AwsCsv, 0, " UTC"},
    {"AWS CSV, Pacific without zone", AwsCsv, -480, ""},
    {"AWS CSV, UTC without zone", AwsCsv, 0, ""},
    {"AWS CSV, PST in summer time", AwsCsv, -420, " PST"},
    {"CSV, Z", CsvByReporter, 0, "Z"},
    {"CSV, +05:30", CsvByReporter, 330, "+05:30", kTargets},
    {"CSV, -0300", CsvByReporter, -180, "-0300"},
    {"CSV, no zone, UTC+9", CsvByReporter, 540, "", kTargets},
    {"swapped CSV, CET", SwappedCsv, 60, " CET"},
    {"swapped CSV, UTC, several", SwappedCsv, 0, " UTC", kTargets},
    {"swapped CSV, no zone, UTC+1", SwappedCsv, 60, ""},
    {"syslog, UTC", Syslog, 0, ""},
    {"syslog, UTC+2", Syslog, 120, ""},
    {"syslog, UTC-5", Syslog, -300, ""},
    {"syslog, UTC+5:30, 40 s ahead", Syslog, 330, "", 1, 40},
    {"syslog, UTC+14", Syslog, 840, ""},
    {"syslog without the victim, UTC", SyslogOfOursAlone, 0, ""},
    {"syslog without the victim, UTC-8", SyslogOfOursAlone, -480, ""},
    {"syslog without the victim, UTC+8", SyslogOfOursAlone, 480, ""},
    {"firewall, zone said once (CEST)", Firewall, 120, " CEST", kTargets},
    {"firewall, zone said once (UTC)", Firewall, 0, " UTC"},
    {"firewall, no zone, UTC-3", Firewall, -180, "", kTargets},
    {"free text, PST", FreeText, -480, " PST"},
    {"free text, UTC, several", FreeText, 0, " UTC", kTargets},
    {"free text, GMT+2", FreeText, 120, " GMT+2"},
    {"free text, no zone, Pacific", FreeText, -480, "", kTargets},
    {"key: value, UTC-7", KeyValue, -420, " UTC-7"},
    {"key: value, IST", KeyValue, 330, " IST"},
    {"key: value, no zone, UTC+3", KeyValue, 180, ""},
    {"US date, EST", UsDate, -300, " EST"},
    {"US date, no zone, UTC", UsDate, 0, "", 1, 25},
    {"access log, +0100", AccessLog, 60, " +0100"},
    {"JSON lines, Z", JsonLines, 0, "Z", kTargets},
    {"JSON lines, +08:00", JsonLines, 480, "+08:00"},
    {"defanged, minutes only, UTC", Defanged, 0, " UTC"},
    {"defanged, minutes only, JST", Defanged, 540, " JST"},
    {"AWS Health event", HealthEvent, 0, ""},
    {"AWS Health event of the other host", HealthEvent, 0, ""},
};
constexpr std::size_t kCount = std::size(kCases);
static_assert(kCount == 40);

// The parameter seeds what fills the index and whom each report is about.
class AnswerCasesTest : public StoreFixture, public ::testing::WithParamInterface<unsigned> {
 protected:
  void SetUp() override {
    Open();
    for (int host = 0; host < 2; ++host) TakeHost(host);
    for (std::size_t i = 0; i < kCount; ++i) AddDeed(i);
    for (int i = 0; i < kNoise; ++i) Add(Noise(AnyRemote()));
    for (int host = 0; host < 2; ++host) {
      auto& rows = rows_[host];
      std::ranges::sort(rows, {}, &Row::last);
      for (std::size_t at = 0; at < rows.size(); at += 500) {
        const auto end = std::min(at + 500, rows.size());
        const std::vector<Row> part(rows.begin() + static_cast<std::ptrdiff_t>(at),
                                    rows.begin() + static_cast<std::ptrdiff_t>(end));
        TakeRows(part, part.back().last, static_cast<std::uint8_t>(host + 1));
      }
    }
    engine_ = std::make_unique<QueryEngine>(
        QueryEngineDeps{*store_, nullptr, nullptr, [] { return WallTimeFromNs(WallAt(kNow)); }});
  }

  int Any(int from, int to) { return std::uniform_int_distribution<int>(from, to)(random_); }
  std::string AnyRemote() { return fmt::format("198.51.100.{}", Any(1, 254)); }

  void TakeHost(int host) {
    v1::EvidenceBatch batch;
    auto& info = *batch.mutable_host();
    info.set_hostname(host == 0 ? "web-1" : "db-1");
    info.set_instance_id(kInstances[host]);
    const auto ours = IpAddress::Parse(kOurs[host]);
    const auto bytes = ours->bytes();
    info.add_addresses(std::string(bytes.begin(), bytes.end()));
    for (int i = 0; i < kProcesses; ++i) {
      const auto id = kFirstProcess + static_cast<std::uint64_t>(i);
      *batch.add_processes() = MakeProcess(id, 0, static_cast<std::uint32_t>(1000 + i),
                                           fmt::format("/usr/bin/p{}", i), "app");
    }
    Take(MakeStored(++lsn_, batch, 10, static_cast<std::uint8_t>(host + 1)));
  }

  struct Placed {
    int host;
    Row row;
  };
  Placed Noise(const std::string& remote, std::uint32_t port = 0) {
    constexpr std::uint32_t kPorts[] = {22, 25, 53, 80, 443, 8080};
    Row row;
    row.process = kFirstProcess + static_cast<std::uint64_t>(Any(0, kProcesses - 1));
    row.remote = remote;
    row.remote_port = port != 0 ? port : kPorts[Any(0, 5)];
    row.local_port = static_cast<std::uint32_t>(Any(32'768, 60'999));
    row.start = Any(0, kSpan);
    row.last = row.start + Any(1, 20);
    row.tx = static_cast<std::uint64_t>(Any(200, 200'000));
    row.state = v1::FLOW_STATE_CLOSED;
    return {Any(0, 1), row};
  }
  void Add(Placed placed) {
    placed.row.flow = ++flow_;
    placed.row.local = kOurs[placed.host];
    placed.row.emitted = placed.row.last;
    rows_[placed.host].push_back(placed.row);
  }

  void AddDeed(std::size_t i) {
    Deed deed;
    deed.host = static_cast<int>(i % 2);
    deed.process = kFirstProcess + i % kProcesses;
    deed.at = Any(kDay, kSpan);
    deed.local_port = static_cast<std::uint32_t>(Any(32'768, 60'999));
    deed.remote_port = kCases[i].write == AccessLog ? 80 : 22;
    for (int target = 0; target < kCases[i].targets; ++target) {
      deed.remotes.push_back(AnyRemote());
      auto placed = Noise(deed.remotes.back(), deed.remote_port);
      placed.host = deed.host;
      placed.row.process = deed.process;
      placed.row.local_port = deed.local_port;
      placed.row.start = deed.at - 1;
      placed.row.last = deed.at + 4;
      if (kCases[i].write == HealthEvent) placed.row.tx = 4'000'000'000;
      Add(placed);
      // Others talk to the same service at other times.
      for (int decoy = 0; decoy < kDecoys; ++decoy)
        Add(Noise(deed.remotes.back(), deed.remote_port));
    }
    deeds_.push_back(deed);
  }

  Answer Ask(const std::string& text) {
    const AbuseReport report = ParseAbuseReport(text);
    const auto hosts = engine_->ListHosts({});
    std::vector<v1::FlowRow> flows;
    const WallTime now = WallTimeFromNs(WallAt(kNow));
    for (const Search& search : SearchesOf(report, *hosts, now)) {
      v1::ListFlowsRequest request;
      if (search.remote) request.mutable_filter()->set_remote(search.remote->ToString());
      request.mutable_filter()->set_host(search.host);
      request.mutable_filter()->mutable_time()->set_from_ns(
          std::max<std::int64_t>(ToNs(search.from), 0));
      request.mutable_filter()->mutable_time()->set_to_ns(
          std::max<std::int64_t>(ToNs(search.to), 0));
      request.set_limit(10'000);
      const auto answer = engine_->ListFlows(request, nullptr);
      EXPECT_TRUE(answer) << answer.error().message;
      if (answer) flows.insert(flows.end(), answer->flows().begin(), answer->flows().end());
    }
    return RankMatches(report, *hosts, flows, now);
  }

  std::mt19937 random_{GetParam()};
  std::vector<Row> rows_[2];
  std::vector<Deed> deeds_;
  std::uint64_t flow_ = 0;
  std::unique_ptr<QueryEngine> engine_;
};

TEST_P(AnswerCasesTest, AtLeast95PercentNameTheRightProcessFirst) {
  std::size_t right = 0;
  for (std::size_t i = 0; i < kCount; ++i) {
    const Case& tested = kCases[i];
    const Deed& deed = deeds_[i];
    const std::string text = tested.write({deed, tested.zone_minutes, tested.zone, tested.late});
    const Answer answer = Ask(text);
    const std::string expected =
        fmt::format("{}/{:016x}", deed.host == 0 ? "web-1" : "db-1", deed.process);
    const std::string got = answer.matches.empty()
                                ? "nothing"
                                : answer.matches[0].host + "/" + answer.matches[0].process_id;
    right += got == expected ? 1U : 0U;
    std::printf("%-36s %-7s %s\n", tested.name,
                answer.matches.empty() ? "-" : answer.matches[0].confidence.c_str(),
                got == expected
                    ? "right"
                    : fmt::format("WRONG: {}, not {}\n{}", got, expected, text).c_str());
  }
  std::printf("right: %zu of %zu\n", right, kCount);
  EXPECT_GE(right * 100, kCount * 95);
}

INSTANTIATE_TEST_SUITE_P(Worlds, AnswerCasesTest, ::testing::Range(1U, 6U));

}  // namespace
}  // namespace culprit::testing
