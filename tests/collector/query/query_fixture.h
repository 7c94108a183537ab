// SPDX-License-Identifier: Apache-2.0
// A query engine over an index of two hosts: web-1 (agent 1) with a shell, curl and ssh, db-1 (agent 2) with a server.
#ifndef CULPRIT_TESTS_COLLECTOR_QUERY_QUERY_FIXTURE_H_
#define CULPRIT_TESTS_COLLECTOR_QUERY_QUERY_FIXTURE_H_

#include "collector/query/engine.h"
#include "tests/collector/store/store_fixture.h"

namespace culprit::testing {

class FakeActivity final : public HostActivity {
 public:
  IngestStats Read() const override { return stats; }
  IngestStats stats;
};

class QueryFixture : public StoreFixture {
 protected:
  void SetUp() override {
    Open();
    TakeWeb();
    TakeDb();
    engine_ = std::make_unique<QueryEngine>(QueryEngineDeps{
        *store_, &activity_, nullptr, [this] { return WallTimeFromNs(WallAt(now_)); }});
  }
  void TakeWeb() {
    v1::EvidenceBatch batch;
    batch.mutable_host()->set_hostname("web-1");
    batch.mutable_host()->set_instance_id("i-0web");
    batch.mutable_fidelity()->set_owner_mode("last_sender");
    auto* hook = batch.mutable_fidelity()->add_hooks();
    hook->set_name("sock_release");
    *batch.add_processes() = MakeProcess(1, 0, 1, "/sbin/init", "root");
    *batch.add_processes() = MakeProcess(50, 1, 500, "/bin/bash", "alice");
    *batch.add_processes() = MakeProcess(100, 50, 1000, "/usr/bin/curl", "alice");
    *batch.add_processes() = MakeProcess(101, 50, 1001, "/usr/bin/ssh", "bob");
    for (std::uint64_t flow = 1; flow <= 10; ++flow) {
      Row row;
      row.flow = flow;
      row.process = flow <= 6 ? 100 : 101;
      row.remote = flow <= 6 ? "198.51.100.7" : "203.0.113.9";
      row.remote_port = flow <= 6 ? 443 : 22;
      row.tx = flow * 1000;
      row.last = static_cast<double>(flow);
      row.state = flow == 10 ? v1::FLOW_STATE_FAILED : v1::FLOW_STATE_CLOSED;
      row.error = flow == 10 ? 111 : 0;
      AppendRow(row, batch.mutable_flows());
    }
    auto* counters = batch.add_counters();
    counters->set_process_id(100);
    counters->set_at_boot_ns(BootAt(9));
    counters->set_tcp_attempts(6);
    Take(MakeStored(++lsn_, batch, 10, 1));
  }
  void TakeDb() {
    v1::EvidenceBatch batch;
    batch.mutable_host()->set_hostname("db-1");
    *batch.add_processes() = MakeProcess(200, 0, 1000, "/usr/sbin/server", "db");
    Row row;
    row.flow = 77;
    row.process = 200;
    row.remote = "2001:db8::5";
    row.direction = v1::FLOW_DIRECTION_INBOUND;
    row.local_port = 5432;
    row.rx = 5;
    AppendRow(row, batch.mutable_flows());
    Row listener = row;
    listener.flow = 78;
    listener.direction = v1::FLOW_DIRECTION_LISTEN;
    listener.state = v1::FLOW_STATE_LISTENING;
    AppendRow(listener, batch.mutable_flows());
    Row own = row;
    own.flow = 79;
    own.process = 201;
    own.flags = v1::FLOW_FLAG_AGENT;
    AppendRow(own, batch.mutable_flows());
    Take(MakeStored(++lsn_, batch, 10, 2));
  }

  double now_ = 20;
  FakeActivity activity_;
  std::unique_ptr<QueryEngine> engine_;
};

}  // namespace culprit::testing

#endif  // CULPRIT_TESTS_COLLECTOR_QUERY_QUERY_FIXTURE_H_
