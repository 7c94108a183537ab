// SPDX-License-Identifier: Apache-2.0
// Durable ingest over mutual TLS: flow records a second of CPU time of the collector process (the
// client is a process of its own), bytes a flow in the journal, and as baseline in the same run the
// same messages over the same TLS to a service that only reads them. Usage: ingest_bench [--agents
// N] [--frames N] [--rows N] [--dir DIR] [--json FILE]
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "collector/ingest/ingest.h"
#include "collector/ingest/tls_server.h"
#include "collector/journal/journal.h"
#include "collector/pki/pki.h"
#include "culprit/v1/evidence.pb.h"
#include "culprit/v1/ingest.grpc.pb.h"

namespace culprit {
namespace {

struct Options {
  int agents = 2, frames = 4000, rows = 500;
  std::string directory, json;
  std::string client_address, client_directory;  // set: this is the client process
};

struct Measured {
  double wall_s = 0, cpu_s = 0;
  std::uint64_t rows = 0, wire_bytes = 0;
  double PerCpuSecond() const { return static_cast<double>(rows) / cpu_s; }
  double PerSecond() const { return static_cast<double>(rows) / wall_s; }
};

double CpuSeconds() {
  rusage u{};
  getrusage(RUSAGE_SELF, &u);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(u.ru_utime) + seconds(u.ru_stime);
}

void Must(bool ok, const std::string& what) {
  if (ok) return;
  std::fprintf(stderr, "ingest_bench: %s\n", what.c_str());
  std::_Exit(1);
}

// Interval updates of a busy host: most rows are flows that moved some kilobytes since they were
// last seen.
std::string MakeBatch(int rows, std::mt19937_64* random) {
  v1::EvidenceBatch batch;
  batch.set_boot_id(std::string(16, 'b'));
  v1::FlowBatch* f = batch.mutable_flows();
  f->set_rows(static_cast<std::uint32_t>(rows));
  for (int i = 0; i < 40; ++i) f->add_process_ids((*random)());
  for (int i = 0; i < 120; ++i) {
    const auto a = (*random)();
    f->add_addresses(std::string(reinterpret_cast<const char*>(&a), 4));
  }
  std::lognormal_distribution<double> size(8, 2);
  const auto pick = [random](std::uint64_t n) {
    return static_cast<std::uint32_t>((*random)() % n);
  };
  for (int i = 0; i < rows; ++i) {
    // A quarter are DNS questions, the others TCP from one request to large transfers.
    const bool dns = pick(4) == 0;
    const std::uint64_t tx = dns ? 30 + pick(30) : static_cast<std::uint64_t>(size(*random));
    const std::uint64_t rx = dns ? 46 + pick(200) : static_cast<std::uint64_t>(size(*random));
    const std::uint64_t more = dns ? 1 : 3, headers = dns ? 28 : 52;
    const std::uint64_t tx_packets = tx / 1400 + more, rx_packets = rx / 1400 + more;
    const std::uint32_t process = pick(8) == 0 ? pick(40) : pick(6);
    f->add_flow_id((*random)() | 1U);
    f->add_cookie(static_cast<std::int64_t>(pick(20)));
    f->add_process(process);
    f->add_creator(process);
    f->add_local(pick(2));
    f->add_remote(pick(120));
    f->add_local_port(32'768 + pick(28'000));
    f->add_remote_port(dns ? 53 : 443);
    f->add_protocol(dns ? 17 : 6);
    f->add_direction(v1::FLOW_DIRECTION_OUTBOUND);
    f->add_state(pick(3) == 0 ? v1::FLOW_STATE_CLOSED : v1::FLOW_STATE_OPEN);
    f->add_error(0);
    f->add_flags(0);
    f->add_start_boot_ns(static_cast<std::int64_t>(pick(50'000'000)));
    f->add_last_after_start_ns(pick(1'000'000'000));
    f->add_emitted_boot_ns(i == 0 ? 1'000'000'000 : 0);  // one sweep
    f->add_tx_wire_bytes(tx + headers * tx_packets);
    f->add_rx_wire_bytes(rx + headers * rx_packets);
    f->add_tx_packets(tx_packets);
    f->add_rx_packets(rx_packets);
    f->add_tx_payload_bytes(tx);
    f->add_rx_payload_bytes(rx);
    f->add_tx_skb_bytes(tx + headers * (tx / 60'000 + more));  // super-packets
    f->add_rx_skb_bytes(rx + headers * (rx / 60'000 + more));
    f->add_generation(1);
    f->add_netns(4'026'531'840U);
    f->add_n_senders(1);
    f->add_retransmitted_bytes(0);
  }
  return batch.SerializeAsString();
}

// --- client process

std::string Slurp(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

void RunAgent(const Options& o, int number, const std::vector<Frame>& batches) {
  const std::string base = o.client_directory + "/agent" + std::to_string(number);
  grpc::SslCredentialsOptions tls{Slurp(base + "/ca.pem"), Slurp(base + "/agent.key"),
                                  Slurp(base + "/agent.pem")};
  grpc::ChannelArguments args;
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto stub = v1::Ingest::NewStub(
      grpc::CreateCustomChannel(o.client_address, grpc::SslCredentials(tls), args));
  grpc::ClientContext context;
  const auto stream = stub->Stream(&context);
  const Uuid stream_id = Uuid::Random();
  v1::AgentMessage hello;
  hello.mutable_hello()->set_protocol_version(1);
  hello.mutable_hello()->set_agent_version("bench");
  hello.mutable_hello()->set_stream_id(std::string(stream_id.AsBytes()));
  stream->Write(hello);
  std::thread acks([&] {
    v1::CollectorMessage m;
    while (stream->Read(&m)) {
      if (m.has_ack() && m.ack().seq() == static_cast<std::uint64_t>(o.frames)) break;
    }
  });
  Sha256Digest prev{};
  v1::AgentMessage message;
  for (int i = 0; i < o.frames; ++i) {
    const Frame& batch = batches[static_cast<std::size_t>(i) % batches.size()];
    FrameHeader header = batch.header;
    header.stream_id = stream_id;
    header.lane = Lane::kBulk;
    header.seq = static_cast<std::uint64_t>(i) + 1;
    header.clock = ReadClockPair();
    header.prev_hash = prev;
    v1::FrameData* data = message.mutable_frame();
    data->set_header(EncodeFrameHeader(header));
    data->set_payload(batch.payload);
    prev = FrameHash(data->header(), data->payload());
    data->set_hash(std::string(AsBytes(prev)));
    Must(stream->Write(message), "the collector closed the stream");
  }
  acks.join();
  stream->WritesDone();
  const grpc::Status status = stream->Finish();
  Must(status.ok(), status.error_message());
}

int RunClient(const Options& o) {
  std::mt19937_64 random(42);
  std::vector<Frame> batches;
  for (int i = 0; i < 64; ++i) {
    FrameHeader header;
    header.record_count = static_cast<std::uint32_t>(o.rows);
    auto frame = MakeFrame(header, MakeBatch(o.rows, &random));
    Must(frame.has_value(), "batch too large");
    batches.push_back(std::move(*frame));
  }
  std::vector<std::thread> agents;
  for (int i = 0; i < o.agents; ++i) agents.emplace_back([&, i] { RunAgent(o, i, batches); });
  for (std::thread& t : agents) t.join();
  return 0;
}

// --- collector process

// The baseline: reads the same messages, answers the last one.
class ReadOnlyService final : public v1::Ingest::Service {
 public:
  explicit ReadOnlyService(std::uint64_t frames) : frames_(frames) {}
  grpc::Status Stream(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<v1::CollectorMessage, v1::AgentMessage>* s) override {
    v1::AgentMessage message;
    for (std::uint64_t n = 0; s->Read(&message);) {
      if (!message.has_frame() || (++n % 64 != 0 && n != frames_)) continue;
      v1::CollectorMessage ack;
      ack.mutable_ack()->set_seq(n);
      s->Write(ack);
    }
    return grpc::Status::OK;
  }

 private:
  std::uint64_t frames_;
};

Measured RunAgainst(const Options& o, const Credentials& credentials, grpc::Service* service) {
  auto server = StartTlsServer({"127.0.0.1:0"}, credentials, {service});
  Must(server.has_value(), server ? "" : server.error().message);
  const std::string address = "127.0.0.1:" + std::to_string((*server)->port());
  const double cpu = CpuSeconds();
  const auto start = std::chrono::steady_clock::now();
  const std::string command = "/proc/self/exe";
  const pid_t pid = fork();
  if (pid == 0) {
    const std::string agents = std::to_string(o.agents), frames = std::to_string(o.frames),
                      rows = std::to_string(o.rows);
    execl(command.c_str(), "ingest_bench", "--agents", agents.c_str(), "--frames", frames.c_str(),
          "--rows", rows.c_str(), "--client", address.c_str(), o.directory.c_str(), nullptr);
    _exit(127);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  Must(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the client failed");
  Measured m;
  m.wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  m.cpu_s = CpuSeconds() - cpu;
  m.rows = static_cast<std::uint64_t>(o.agents) * static_cast<std::uint64_t>(o.frames) *
           static_cast<std::uint64_t>(o.rows);
  (*server)->Stop(std::chrono::milliseconds(1000));
  return m;
}

Options ParseOptions(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    Must(i + 1 < argc,
         "usage: ingest_bench [--agents N] [--frames N] [--rows N] [--dir DIR] [--json FILE]");
    const std::string value = argv[++i];
    if (arg == "--agents") {
      o.agents = std::atoi(value.c_str());
    } else if (arg == "--frames") {
      o.frames = std::atoi(value.c_str());
    } else if (arg == "--rows") {
      o.rows = std::atoi(value.c_str());
    } else if (arg == "--dir") {
      o.directory = value;
    } else if (arg == "--json") {
      o.json = value;
    } else if (arg == "--client" && i + 1 < argc) {
      o.client_address = value;
      o.client_directory = argv[++i];
    } else {
      Must(false, "unknown option " + arg);
    }
  }
  return o;
}

void WriteJson(const std::string& path, const Options& o, const Measured& durable,
               const Measured& baseline, double bytes_per_flow) {
  std::ofstream(path) << "{\"agents\":" << o.agents << ",\"rows_per_frame\":" << o.rows
                      << ",\"rows\":" << durable.rows
                      << ",\"durable_rows_per_cpu_second\":" << durable.PerCpuSecond()
                      << ",\"durable_rows_per_second\":" << durable.PerSecond()
                      << ",\"baseline_rows_per_cpu_second\":" << baseline.PerCpuSecond()
                      << ",\"baseline_rows_per_second\":" << baseline.PerSecond()
                      << ",\"journal_bytes_per_flow\":" << bytes_per_flow << "}\n";
}

int RunBench(Options o) {
  const bool own_directory = o.directory.empty();
  if (own_directory) {
    o.directory = (std::filesystem::temp_directory_path() / "culprit-bench-XXXXXX").string();
    Must(mkdtemp(o.directory.data()) != nullptr, "no temporary directory");
  }
  const auto pki = InitPki(o.directory + "/pki", {});
  Must(pki.has_value(), pki ? "" : pki.error().message);
  for (int i = 0; i < o.agents; ++i) {
    const std::string name = "agent" + std::to_string(i);
    Must(IssueAgent(pki->paths.directory, name, o.directory + "/" + name, {}).has_value(), "issue");
  }
  const auto credentials = CheckCredentials(pki->paths.server, ReadWallClock());
  Must(credentials.has_value(), "credentials");

  ReadOnlyService read_only(static_cast<std::uint64_t>(o.frames));
  const Measured baseline = RunAgainst(o, *credentials, &read_only);
  JournalOptions options;
  options.directory = o.directory + "/journal";
  options.signing_key_path = pki->paths.journal_key;
  auto journal = Journal::Open(options);
  Must(journal.has_value(), journal ? "" : journal.error().message);
  const auto ingest = Ingest::Create({}, journal->get());
  const Measured durable = RunAgainst(o, *credentials, ingest->service());
  const IngestStats stats = ingest->stats();
  Must(stats.records_accepted == durable.rows, "not every row was accepted");
  const JournalStats disk = (*journal)->stats();
  (*journal)->Stop();
  const double bytes_per_flow = static_cast<double>(disk.bytes) / static_cast<double>(durable.rows);

  std::printf(
      "%d agents, %d frames each of %d flow rows; collector process only, client in its own\n",
      o.agents, o.frames, o.rows);
  std::printf("%-34s %16s %16s %10s\n", "", "rows/CPU-second", "rows/second", "CPU s");
  const auto print = [](const char* what, const Measured& m) {
    std::printf("%-34s %16.0f %16.0f %10.2f\n", what, m.PerCpuSecond(), m.PerSecond(), m.cpu_s);
  };
  print("durable ingest (mTLS, fdatasync)", durable);
  print("baseline: gRPC over mTLS, read only", baseline);
  std::printf("journal: %.1f bytes a flow, %llu group commits\n", bytes_per_flow,
              static_cast<unsigned long long>(disk.commits));
  if (!o.json.empty()) WriteJson(o.json, o, durable, baseline, bytes_per_flow);
  if (own_directory) std::filesystem::remove_all(o.directory);
  return 0;
}

}  // namespace
}  // namespace culprit

int main(int argc, char** argv) {
  const culprit::Options options = culprit::ParseOptions(argc, argv);
  return options.client_address.empty() ? culprit::RunBench(options) : culprit::RunClient(options);
}
