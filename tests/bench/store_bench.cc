// SPDX-License-Identifier: Apache-2.0
// The index: flow rows a second of CPU time, bytes a row, and how long queries take at 1 M and 10 M rows; as baseline in
// the same run the same rows into a plain SQLite table without an index.
// Queries: median of several runs, CPU time beside wall time.
// Usage: store_bench [--rows N[,N...]] [--dir DIR] [--json FILE] [--keep yes] [--open DIR]
// --keep leaves the directory, --open asks the queries again over one that was kept.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "collector/query/engine.h"
#include "collector/query/filter.h"
#include "collector/model/batch_decoder.h"
#include "collector/sqlite/sqlite_db.h"
#include "tests/support/record_builder.h"

namespace culprit::testing {
namespace {

constexpr int kHosts = 20, kProcesses = 50, kOpenFlows = 400, kRowsPerFrame = 500;
constexpr int kRepeats = 5;
constexpr double kRowsPerSecond = 1000;  // of the simulated fleet
// Flows to the most popular address: one in 27.
constexpr char kRare[] = "198.51.60.77", kPopular[] = "198.51.0.0";

void Must(bool ok, const std::string& what) {
  if (ok) return;
  std::fprintf(stderr, "store_bench: %s\n", what.c_str());
  std::exit(1);
}

double CpuSeconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

double Milliseconds(std::chrono::steady_clock::duration d) {
  return std::chrono::duration<double, std::milli>(d).count();
}

// Half of the rows are flows that begin and end in one; the others go on with flows that are open.
class Fleet {
 public:
  DecodedFrame Next() {
    DecodedFrame frame;
    const int host = static_cast<int>(++lsn_ % kHosts);
    const double now = static_cast<double>(lsn_) * kRowsPerFrame / kRowsPerSecond;
    frame.lsn = lsn_;
    frame.stamp.received = WallTimeFromNs(WallAt(now));
    frame.stamp.agent_id.bytes.fill(static_cast<std::uint8_t>(host + 1));
    frame.stamp.agent_name = "host";
    frame.clock = {BootTimeFromNs(BootAt(now)), WallTimeFromNs(WallAt(now)), ClockSync::kSynced};
    if (lsn_ <= kHosts) AddProcesses(host, &frame);
    for (int i = 0; i < kRowsPerFrame; ++i) frame.flows.push_back(NextRow(host, now));
    return frame;
  }

 private:
  static std::uint64_t Hash(std::uint64_t n) {
    n = (n ^ (n >> 31)) * 0x9e3779b97f4a7c15ULL;
    return n ^ (n >> 29);
  }
  static std::uint64_t ProcessOf(int host, int n) {
    return Hash(static_cast<std::uint64_t>(host * 1000 + n + 1));
  }
  static void AddProcesses(int host, DecodedFrame* frame) {
    for (int i = 0; i < kProcesses; ++i) {
      frame->processes.push_back(MakeProcess(ProcessOf(host, i), i == 0 ? 0 : ProcessOf(host, 0),
                                             static_cast<std::uint32_t>(100 + i),
                                             "/usr/bin/program-" + std::to_string(i), "www-data"));
    }
    frame->has_host = true;
    frame->host.set_hostname("host-" + std::to_string(host));
  }
  FlowObservation Begin(int host, double now) {
    FlowObservation o;
    FlowFacts& f = o.facts;
    const std::uint64_t n = ++flows_;
    const auto rank = static_cast<std::uint32_t>(20'000.0 * std::pow(uniform_(random_), 3));
    const std::uint8_t remote[4] = {198, 51, static_cast<std::uint8_t>(rank >> 8),
                                    static_cast<std::uint8_t>(rank)};
    const std::uint8_t local[4] = {192, 0, 2, static_cast<std::uint8_t>(host)};
    f.flow = FlowId{Hash(n)};
    f.process = ProcessId{ProcessOf(host, static_cast<int>(n % kProcesses))};
    f.creator = f.process;
    f.cookie = n;
    f.local = IpAddress::FromV4Bytes(local);
    f.remote = IpAddress::FromV4Bytes(remote);
    f.local_port = static_cast<std::uint16_t>(32768 + n % 28'000);
    f.remote_port = n % 3 == 0 ? 80 : 443;
    f.protocol = 6;
    f.direction = v1::FLOW_DIRECTION_OUTBOUND;
    f.state = v1::FLOW_STATE_OPEN;
    f.netns = 4026531840U;
    f.n_senders = 1;
    f.start = WallTimeFromNs(WallAt(now - uniform_(random_)));
    o.start_boot_ns = BootAt(now);
    return o;
  }
  FlowObservation NextRow(int host, double now) {
    std::vector<FlowObservation>& open = open_[static_cast<std::size_t>(host)];
    const bool is_short = uniform_(random_) < 0.5;
    if (is_short || open.size() < kOpenFlows) {
      FlowObservation o = Begin(host, now);
      Grow(&o, now);
      if (is_short) {
        o.facts.state = v1::FLOW_STATE_CLOSED;
      } else {
        open.push_back(o);
      }
      return o;
    }
    FlowObservation& o = open[random_() % open.size()];
    Grow(&o, now);
    if (uniform_(random_) < 0.2) {
      FlowObservation done = o;
      done.facts.state = v1::FLOW_STATE_CLOSED;
      o = Begin(host, now);
      return done;
    }
    return o;
  }
  void Grow(FlowObservation* o, double now) {
    o->emitted_boot_ns = BootAt(now);
    o->facts.last = WallTimeFromNs(WallAt(now));
    const std::uint64_t tx = 200 + random_() % 100'000, rx = 200 + random_() % 1'000'000;
    FlowCounters& c = o->cumulative;
    Add(&c, tx, rx);
  }
  static void Add(FlowCounters* c, std::uint64_t tx, std::uint64_t rx) {
    c->tx_wire_bytes += tx;
    c->rx_wire_bytes += rx;
    c->tx_payload_bytes += tx * 9 / 10;
    c->rx_payload_bytes += rx * 9 / 10;
    c->tx_packets += tx / 1000 + 1;
    c->rx_packets += rx / 1000 + 1;
    c->tx_skb_bytes += tx;
    c->rx_skb_bytes += rx;
  }

  Lsn lsn_ = 0;
  std::uint64_t flows_ = 0;
  std::mt19937_64 random_{42};
  std::uniform_real_distribution<double> uniform_{0, 1};
  std::vector<FlowObservation> open_[kHosts];
};

struct Figure {
  std::string name;
  double value = 0;
  std::string unit;
  double cpu = -1;  // of a query, ms
};

class Bench {
 public:
  explicit Bench(std::string root) : root_(std::move(root)) {
    options_.directory = root_ + "/index";
    auto store = OpenSqliteStore(options_);
    Must(store.has_value(), store ? "" : store.error().message);
    store_ = std::move(*store);
    rows_ = store_->stats().rows;
  }

  void Plain(std::uint64_t rows) {
    auto db = SqliteDb::Open(root_ + "/plain.db", SqliteDb::Mode::kCreate);
    Must(db.has_value(), "plain database");
    Must(db->Exec("PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
                  "CREATE TABLE t(a INT,b INT,c INT,d INT,e INT,f INT,g INT,h INT,i INT,j INT,k INT,"
                  "l INT,m INT,n INT,o INT,p INT,q INT,r INT,s INT,t INT,u INT,v INT,w INT,x INT,"
                  "y INT,z INT,aa INT,ab INT,ac INT,ad INT,ae INT,af INT)")
             .has_value(),
         "plain table");
    auto insert = db->Prepare("INSERT INTO t VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,"
                              "?,?,?,?,?,?,?)");
    Must(insert.has_value(), "plain insert");
    std::vector<DecodedFrame> frames;
    Fleet fleet;
    for (std::uint64_t n = 0; n < rows; n += kRowsPerFrame) frames.push_back(fleet.Next());
    const double before = CpuSeconds();
    std::uint64_t done = 0;
    for (const DecodedFrame& frame : frames) {
      for (const FlowObservation& o : frame.flows) {
        if (done++ % 20'000 == 0) {
          Must(done == 1 || db->Exec("COMMIT"), "commit");
          Must(db->Exec("BEGIN").has_value(), "begin");
        }
        InsertPlain(o, &*insert);
      }
    }
    Must(db->Exec("COMMIT").has_value(), "commit");
    Put("plain SQLite, no index: rows/s of CPU", static_cast<double>(done) / (CpuSeconds() - before),
        "rows/s");
  }

  void Decode() {
    v1::EvidenceBatch batch;
    for (std::uint64_t i = 1; i <= 1000; ++i) {
      Row row;
      row.flow = i * 0x9e3779b97f4a7c15ULL;
      row.process = 100 + i % 20;
      row.remote = "198.51.100." + std::to_string(i % 250);
      row.tx = i * 1001;
      row.rx = i * 977;
      AppendRow(row, batch.mutable_flows());
    }
    const StoredFrame stored = MakeStored(1, batch, 20);
    const double before = CpuSeconds();
    std::size_t rows = 0;
    for (int i = 0; i < 500; ++i) rows += DecodeStoredFrame(stored).flows.size();
    Put("decode of frames: rows/s of CPU", static_cast<double>(rows) / (CpuSeconds() - before), "rows/s");
  }

  void Grow(std::uint64_t rows) {
    double cpu = 0;
    const std::uint64_t from = rows_;
    const auto begin = std::chrono::steady_clock::now();
    double made = 0;
    while (rows_ < rows) {
      std::vector<DecodedFrame> frames;
      const auto t = std::chrono::steady_clock::now();
      for (int i = 0; i < 40; ++i) frames.push_back(fleet_.Next());
      made += Milliseconds(std::chrono::steady_clock::now() - t) / 1000;
      const double before = CpuSeconds();
      Must(store_->Append(frames).has_value(), "append");
      cpu += CpuSeconds() - before;
      rows_ += 40 * kRowsPerFrame;
    }
    Must(store_->Flush().has_value(), "flush");
    const double wall = Milliseconds(std::chrono::steady_clock::now() - begin) / 1000 - made;
    const auto added = static_cast<double>(rows_ - from);
    Put("index: rows/s of CPU", added / cpu, "rows/s");
    Put("index: rows/s of wall time", added / wall, "rows/s");
    const StoreStats stats = store_->stats();
    Put("index: bytes/row", static_cast<double>(stats.bytes) / static_cast<double>(stats.rows), "bytes");
    Put("index: parts", stats.parts, "files");
  }

  void Queries() {
    const double now = static_cast<double>(rows_) / kRowsPerSecond;
    QueryEngine engine({*store_, nullptr, nullptr, [now] { return WallTimeFromNs(WallAt(now)); }});
    const auto flows = [&](const v1::ListFlowsRequest& request) {
      return [&engine, request] { return engine.ListFlows(request, nullptr).has_value(); };
    };
    Who(engine, "rare", kRare, now / 2);
    Who(engine, "most popular", kPopular, now / 2);
    v1::ListFlowsRequest list;
    Time("newest 100 flows", flows(list));
    list.mutable_filter()->set_host("host-7");
    Time("newest 100 flows of a host", flows(list));
    list.set_group_by("process");
    list.mutable_filter()->mutable_time()->set_from_ns(WallAt(now - 600));
    Time("by process, a host, 10 min", flows(list));
    list.mutable_filter()->clear_host();
    list.set_group_by("destination");
    Time("by destination, fleet, 10 min", flows(list));
    Top(engine);
    v1::GetProcessRequest process;
    process.set_process("105");
    process.set_host("host-7");
    process.set_flow_limit(20);
    Time("process with 20 flows and totals", [&] { return engine.GetProcess(process, nullptr).has_value(); });
    list.mutable_filter()->mutable_time()->set_from_ns(WallAt(now - 1800));
    Time("by destination, fleet, 30 min", flows(list));
  }

  void Label(std::uint64_t rows) { label_ = std::to_string(rows / 1'000'000) + " M: "; }
  std::uint64_t rows() const { return rows_; }
  const std::vector<Figure>& figures() const { return figures_; }

 private:
  // What the `who` command asks: the processes that talked to the address, then who each of them is.
  void Who(const QueryEngine& engine, const std::string& kind, const char* address, double at) {
    v1::ListFlowsRequest who;
    who.mutable_filter()->set_remote(address);
    who.set_group_by("process");
    who.set_limit(20);
    const auto ask = [&] {
      const auto found = engine.ListFlows(who, nullptr);
      if (!found || found->groups().empty()) return false;
      for (const v1::FlowGroup& group : found->groups()) {
        v1::GetProcessRequest process;
        process.set_process(group.key());
        process.set_without_flows(true);
        if (!engine.GetProcess(process, nullptr)) return false;
      }
      return true;
    };
    const auto list = [&] {
      v1::ListFlowsRequest request;
      *request.mutable_filter() = who.filter();
      return engine.ListFlows(request, nullptr).has_value();
    };
    who.mutable_filter()->mutable_time()->set_from_ns(WallAt(at - 300));
    who.mutable_filter()->mutable_time()->set_to_ns(WallAt(at + 300));
    Time("who ADDRESS, +-5 min, " + kind, ask);
    who.mutable_filter()->set_remote_port(443);
    Time("who ADDRESS:PORT, +-5 min, " + kind, ask);
    Time("flows of ADDRESS:PORT, +-5 min, newest 100, " + kind, list);
    Time("groups of ADDRESS:PORT, +-5 min, " + kind,
         [&] { return engine.ListFlows(who, nullptr).has_value(); });
    who.mutable_filter()->clear_time();
    Time("groups of ADDRESS:PORT, all times, " + kind,
         [&] { return engine.ListFlows(who, nullptr).has_value(); });
  }
  void Top(const QueryEngine& engine) {
    v1::TopRequest top;
    top.set_host("host-7");
    for (const std::uint32_t window : {60U, 3600U, 86'400U}) {
      top.set_window_s(window);
      Time("top of a host, " + std::to_string(window) + " s",
           [&] { return engine.Top(top, nullptr).has_value(); });
    }
  }
  static void InsertPlain(const FlowObservation& o, SqliteStatement* insert) {
    int i = 0;
    const auto put = [&](std::uint64_t v) { insert->Bind(++i, v); };
    const FlowFacts& f = o.facts;
    const FlowCounters& c = o.cumulative;
    for (const std::uint64_t v :
         {f.flow.value(), f.process.value(), std::uint64_t{1}, o.emitted_boot_ns, o.start_boot_ns,
          std::uint64_t{f.local_port}, std::uint64_t{f.remote_port}, f.cookie, c.tx_wire_bytes,
          c.rx_wire_bytes, c.tx_payload_bytes, c.rx_payload_bytes, c.tx_packets, c.rx_packets}) {
      put(v);
    }
    while (i < 32) put(static_cast<std::uint64_t>(i));
    Must(insert->Run().has_value(), "plain row");
  }
  template <class Query>
  void Time(const std::string& name, const Query& query) {
    std::vector<double> times, cpu;
    for (int i = 0; i < kRepeats; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      const double before = CpuSeconds();
      Must(query(), name);
      cpu.push_back((CpuSeconds() - before) * 1000);
      times.push_back(Milliseconds(std::chrono::steady_clock::now() - begin));
    }
    std::sort(times.begin(), times.end());
    std::sort(cpu.begin(), cpu.end());
    Put(name, times[kRepeats / 2], "ms", cpu[kRepeats / 2]);
  }
  void Put(const std::string& name, double value, const std::string& unit, double cpu = -1) {
    figures_.push_back({label_ + name, value, unit, cpu});
    std::printf("%-62s %12.2f %s", figures_.back().name.c_str(), value, unit.c_str());
    if (cpu >= 0) std::printf(", CPU %.2f ms", cpu);
    std::printf("\n");
    std::fflush(stdout);
  }

  const std::string root_;
  SqliteStoreOptions options_;
  std::unique_ptr<EvidenceStore> store_;
  Fleet fleet_;
  std::uint64_t rows_ = 0;
  std::string label_;
  std::vector<Figure> figures_;
};

void WriteJson(const std::string& path, const std::vector<Figure>& figures) {
  std::ofstream out(path);
  out << "{\"benchmark\": \"store\", \"figures\": [";
  for (std::size_t i = 0; i < figures.size(); ++i) {
    out << (i == 0 ? "\n" : ",\n") << "  {\"name\": \"" << figures[i].name << "\", \"value\": "
        << figures[i].value << ", \"unit\": \"" << figures[i].unit << "\"";
    if (figures[i].cpu >= 0) out << ", \"cpu_ms\": " << figures[i].cpu;
    out << "}";
  }
  out << "\n]}\n";
}

int Main(int argc, char** argv) {
  std::vector<std::uint64_t> sizes{1'000'000, 10'000'000};
  std::string directory = "/tmp", json, open;
  bool keep = false;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    if (option == "--dir") directory = argv[i + 1];
    if (option == "--json") json = argv[i + 1];
    if (option == "--open") open = argv[i + 1];
    if (option == "--keep") keep = true;
    if (option != "--rows") continue;
    sizes.clear();
    for (char* at = argv[i + 1]; *at != '\0'; at += *at == ',' ? 1 : 0) {
      sizes.push_back(std::strtoull(at, &at, 10));
    }
  }
  if (!open.empty()) {
    Bench bench(open);
    bench.Label(bench.rows());
    bench.Queries();
    if (!json.empty()) WriteJson(json, bench.figures());
    return 0;
  }
  std::string root = directory + "/culprit-store-bench-XXXXXX";
  Must(mkdtemp(root.data()) != nullptr, "temporary directory under " + directory);
  {
    Bench bench(root);
    bench.Decode();
    bench.Plain(std::min<std::uint64_t>(sizes.front(), 1'000'000));
    for (const std::uint64_t rows : sizes) {
      bench.Label(rows);
      bench.Grow(rows);
      bench.Queries();
    }
    if (!json.empty()) WriteJson(json, bench.figures());
  }
  if (keep) {
    std::printf("kept: %s\n", root.c_str());
  } else {
    std::filesystem::remove_all(root);
  }
  return 0;
}

}  // namespace
}  // namespace culprit::testing

int main(int argc, char** argv) { return culprit::testing::Main(argc, argv); }
