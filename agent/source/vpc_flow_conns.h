// SPDX-License-Identifier: Apache-2.0
// A VPC flow log as connections: rows of both ways and of all windows of one connection become one,
// which ends when no row of it came for kVpcFlowIdle. Who began it is told by the TCP flags where
// the log has them, else taken from the ports. Stage: source. Thread: one owner. Memory: at most
// kMaxVpcFlowsOpen connections; of more, the one that was quiet longest ends early. Failure: as
// common/vpc_flow_log.h. The same file gives the same connections.
#ifndef CULPRIT_AGENT_SOURCE_VPC_FLOW_CONNS_H_
#define CULPRIT_AGENT_SOURCE_VPC_FLOW_CONNS_H_

#include <deque>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "agent/model/zeek.h"
#include "common/vpc_flow_log.h"

namespace culprit {

inline constexpr std::int64_t kVpcFlowIdle = 600;  // s; the longest window of aggregation
inline constexpr std::size_t kMaxVpcFlowsOpen = 65'536;

class VpcFlowConns {
 public:
  // Errors: no such file, or its first rows are none of a flow log.
  static Result<std::unique_ptr<VpcFlowConns>> Open(const std::string& path);
  static Result<std::unique_ptr<VpcFlowConns>> FromStream(std::unique_ptr<ByteStream> stream);

  // In the order of their ends. False: the end.
  bool Next(ZeekConn* out);
  const VpcFlowStats& stats() const { return reader_->stats(); }

 private:
  explicit VpcFlowConns(std::unique_ptr<VpcFlowReader> reader) : reader_(std::move(reader)) {}

  using Key = std::tuple<Endpoint, Endpoint, std::uint8_t>;  // the lesser end first
  struct Pending {
    Key key;
    std::int64_t start_s = 0, end_s = 0;
    std::uint64_t packets[2] = {}, bytes[2] = {};  // sent by the lesser end, by the other
    bool rejected = false;
    int first = 0;        // which end sent the first row
    int originator = -1;  // as the flags tell; -1 = they do not
  };
  void Take(const VpcFlowRow& row);
  // Those that are over at `now_s`, and what is too many.
  void End(std::int64_t now_s);
  void Finish(std::list<Pending>::iterator flow);

  std::unique_ptr<VpcFlowReader> reader_;
  std::list<Pending> open_;  // the one that was quiet longest first
  std::map<Key, std::list<Pending>::iterator> by_key_;
  std::deque<ZeekConn> over_;
  std::int64_t newest_s_ = 0;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_VPC_FLOW_CONNS_H_
