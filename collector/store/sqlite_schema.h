// SPDX-License-Identifier: Apache-2.0
// Tables of one part file. Any change here is a new kSchemaVersion: older files are then rebuilt, never migrated.
// Stage: store. Thread: constants.
#ifndef CULPRIT_COLLECTOR_STORE_SQLITE_SCHEMA_H_
#define CULPRIT_COLLECTOR_STORE_SQLITE_SCHEMA_H_

#include <cstdint>

namespace culprit {

inline constexpr std::int64_t kSchemaVersion = 5;

// flow: what was added in (t1 - dt, t1]; times in ns, *_before relative to t1; *_skb relative to tx and rx; creator 0 =
//   same as process, of forwarded flows in_ifindex << 32 | out_ifindex; prev = the flow's row before this one in this
//   part, 0 = none, -1 = see base.carried_*.
//   Addresses: IPv4 as integer, IPv6 as 16 bytes. The one index is written in order: transactions are sorted by it.
// crafted: packets sent through raw and packet sockets.
// chunk: zone map over ranges of flow and counter rows.
// flow_name, dns: what payload said, of flow_name the surest of each source; text as the agent escaped it; answers of dns are separated by spaces.
// process.audit: its audit session, NULL = none.
// session, login, login_failure: who came in. links: how many steps of the chain are known; address 0 = none; boot: when the
//   host booted, by its clock; count is cumulative within a run.
// posture, posture_change: what agents said about SSH, as culprit.v1.Posture (the newest of this part) and PostureChange.
// base: last cumulative values of flows that began before this part or no longer fit into memory, as nine counters.
inline constexpr char kSchemaSql[] = R"sql(
CREATE TABLE meta(key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
CREATE TABLE flow(
  id INTEGER PRIMARY KEY, host INT NOT NULL, process INT NOT NULL, flow INT NOT NULL,
  t1 INT NOT NULL, dt INT NOT NULL, last_before INT NOT NULL,
  raddr ANY NOT NULL, rport INT NOT NULL, proto INT NOT NULL, dir INT NOT NULL,
  state INT NOT NULL, flags INT NOT NULL, lport INT NOT NULL, tx INT NOT NULL, rx INT NOT NULL,
  tx_payload INT NOT NULL, rx_payload INT NOT NULL,
  tx_packets INT NOT NULL, rx_packets INT NOT NULL, tx_skb INT NOT NULL, rx_skb INT NOT NULL,
  retransmitted INT NOT NULL,
  start_before INT NOT NULL, creator INT NOT NULL, laddr ANY NOT NULL,
  error INT NOT NULL, cookie INT NOT NULL, netns INT NOT NULL, n_senders INT NOT NULL,
  emitted INT NOT NULL, prev INT NOT NULL, rebased INT NOT NULL) STRICT;
CREATE INDEX flow_remote ON flow(raddr, rport, t1);
CREATE TABLE counter(
  id INTEGER PRIMARY KEY, host INT NOT NULL, process INT NOT NULL, t1 INT NOT NULL,
  dt INT NOT NULL, attempts INT NOT NULL, failed INT NOT NULL, crafted INT NOT NULL) STRICT;
CREATE TABLE chunk(
  first_row INT NOT NULL, last_row INT NOT NULL, first_counter INT NOT NULL,
  last_counter INT NOT NULL, min_t0 INT NOT NULL, max_t1 INT NOT NULL, max_last INT NOT NULL,
  max_dt INT NOT NULL, processes BLOB NOT NULL, PRIMARY KEY(first_row, first_counter)) STRICT, WITHOUT ROWID;
CREATE TABLE minute(
  host INT NOT NULL, minute INT NOT NULL, process INT NOT NULL, started INT NOT NULL,
  active INT NOT NULL, tx INT NOT NULL, rx INT NOT NULL, attempts INT NOT NULL,
  failed INT NOT NULL, is_agent INT NOT NULL, busiest ANY NOT NULL, busiest_bytes INT NOT NULL,
  destinations BLOB NOT NULL, crafted INT NOT NULL, PRIMARY KEY(host, minute, process)) STRICT, WITHOUT ROWID;
CREATE TABLE process(
  host INT NOT NULL, process INT NOT NULL, tgid INT NOT NULL, parent INT NOT NULL,
  start INT NOT NULL, exec INT NOT NULL, exit INT NOT NULL, wait_status INT NOT NULL,
  definition BLOB NOT NULL, counters BLOB NOT NULL, audit INT) STRICT;
CREATE UNIQUE INDEX process_id ON process(process, host);
CREATE INDEX process_tgid ON process(tgid);
CREATE INDEX process_parent ON process(parent);
CREATE INDEX process_audit ON process(audit) WHERE audit IS NOT NULL;
CREATE TABLE base(
  host INT NOT NULL, flow INT NOT NULL, process INT NOT NULL, counters BLOB NOT NULL,
  emitted INT NOT NULL, final INT NOT NULL, newest_part INT NOT NULL, newest_row INT NOT NULL,
  carried_part INT NOT NULL, carried_row INT NOT NULL,
  PRIMARY KEY(host, flow, process)) STRICT, WITHOUT ROWID;
CREATE TABLE flow_name(
  host INT NOT NULL, flow INT NOT NULL, source INT NOT NULL, t INT NOT NULL, process INT NOT NULL,
  confidence INT NOT NULL, port INT NOT NULL, command INT NOT NULL, name TEXT NOT NULL,
  alpn TEXT NOT NULL, PRIMARY KEY(host, flow, source)) STRICT, WITHOUT ROWID;
CREATE INDEX flow_name_name ON flow_name(name);
CREATE TABLE dns(
  id INTEGER PRIMARY KEY, host INT NOT NULL, process INT NOT NULL, flow INT NOT NULL, t INT NOT NULL,
  server ANY NOT NULL, server_port INT NOT NULL, name TEXT NOT NULL, type INT NOT NULL,
  rcode INT NOT NULL, answers TEXT NOT NULL, questions INT NOT NULL, query_bytes INT NOT NULL,
  answer_bytes INT NOT NULL, suppressed INT NOT NULL) STRICT;
CREATE INDEX dns_t ON dns(t);
CREATE TABLE session(
  host INT NOT NULL, session INT NOT NULL, audit INT, boot INT NOT NULL, began INT NOT NULL, ended INT NOT NULL,
  links INT NOT NULL, definition BLOB NOT NULL, PRIMARY KEY(host, session)) STRICT, WITHOUT ROWID;
CREATE INDEX session_audit ON session(audit, host) WHERE audit IS NOT NULL;
CREATE INDEX session_began ON session(began);
CREATE TABLE login(
  host INT NOT NULL, session INT NOT NULL, t INT NOT NULL, fingerprint TEXT NOT NULL,
  definition BLOB NOT NULL, PRIMARY KEY(host, session)) STRICT, WITHOUT ROWID;
CREATE INDEX login_fingerprint ON login(fingerprint) WHERE fingerprint != '';
CREATE TABLE login_failure(
  host INT NOT NULL, run BLOB NOT NULL, minute INT NOT NULL, address ANY NOT NULL, user TEXT NOT NULL,
  invalid INT NOT NULL, method TEXT NOT NULL, count INT NOT NULL,
  PRIMARY KEY(minute, host, run, address, user, invalid, method)) STRICT, WITHOUT ROWID;
CREATE TABLE posture(host INTEGER PRIMARY KEY, t INT NOT NULL, definition BLOB NOT NULL) STRICT;
CREATE TABLE posture_change(
  id INTEGER PRIMARY KEY, host INT NOT NULL, t INT NOT NULL, path TEXT NOT NULL,
  definition BLOB NOT NULL) STRICT;
CREATE INDEX posture_change_t ON posture_change(host, t);
CREATE TABLE host(
  ref INTEGER PRIMARY KEY, agent_id BLOB NOT NULL, agent_name BLOB NOT NULL, info BLOB NOT NULL,
  fidelity BLOB NOT NULL, heartbeat BLOB NOT NULL, first_received INT NOT NULL,
  last_received INT NOT NULL, skew INT NOT NULL, frames INT NOT NULL, records INT NOT NULL,
  gaps INT NOT NULL, forks INT NOT NULL, rollbacks INT NOT NULL, rejected INT NOT NULL,
  heartbeat_at INT NOT NULL, coverage_at INT NOT NULL, coverage BLOB NOT NULL) STRICT;
CREATE TABLE loss(
  host INT NOT NULL, run BLOB NOT NULL, cause INT NOT NULL, lane INT NOT NULL,
  first_seq INT NOT NULL, count INT NOT NULL, bytes INT NOT NULL, last_seq INT NOT NULL,
  detail BLOB NOT NULL, PRIMARY KEY(host, run, cause, lane, first_seq)) STRICT, WITHOUT ROWID;
)sql";

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_STORE_SQLITE_SCHEMA_H_
