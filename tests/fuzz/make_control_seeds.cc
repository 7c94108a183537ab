// SPDX-License-Identifier: Apache-2.0
// Writes the seed corpus of fuzz_control: make_control_seeds DIR
#include <filesystem>
#include <fstream>
#include <string>

#include "agent/stream/control_wire.h"
#include "common/crc32c.h"

namespace {

std::string Piece(const std::string& bytes) {
  return std::string(1, static_cast<char>(bytes.size())) + bytes;
}

culprit::v1::PacketRequest Request() {
  culprit::v1::PacketRequest request;
  request.set_fetch_id(std::string(16, 'f'));
  request.set_window_bytes(20);
  request.set_offset(100);
  culprit::v1::PacketSelection* selection = request.mutable_selection();
  selection->set_from_ns(1);
  selection->set_to_ns(2);
  selection->add_process_ids(7);
  selection->add_flow_ids(8);
  selection->set_address(std::string(16, 'a'));
  selection->set_port(443);
  selection->set_max_bytes(1000);
  return request;
}

std::string Part(std::uint64_t offset, std::size_t size, bool end) {
  culprit::ControlAnswer answer;
  answer.request_id = 1;
  answer.offset = offset;
  answer.window_end = end;
  if (end) answer.totals.emplace().packets = 2;
  culprit::v1::ControlReply reply = culprit::WriteControl(answer);
  reply.mutable_packets()->set_data(std::string(size, 'x'));
  reply.mutable_packets()->set_crc32c(culprit::Crc32c(reply.packets().data()));
  return reply.SerializeAsString();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::filesystem::path directory(argv[1]);
  std::filesystem::create_directories(directory);
  const auto write = [&](const char* name, const std::string& bytes) {
    std::ofstream(directory / name, std::ios::binary) << bytes;
  };
  culprit::v1::ControlRequest question;
  question.set_request_id(1);
  *question.mutable_packets() = Request();
  write("question", '\0' + question.SerializeAsString());
  question.mutable_packets()->set_release(true);
  write("release", '\0' + question.SerializeAsString());
  const std::string request = Piece(Request().SerializeAsString());
  write("answer", '\1' + request + Piece(Part(100, 10, false)) + Piece(Part(110, 5, true)));
  write("hole", '\1' + request + Piece(Part(100, 10, false)) + Piece(Part(111, 5, true)));
  culprit::v1::SnapshotRequest snapshot;
  snapshot.set_snapshot_id(std::string(16, 's'));
  snapshot.set_window_bytes(20);
  question.Clear();
  question.set_request_id(1);
  *question.mutable_snapshot() = snapshot;
  question.mutable_snapshot()->mutable_order()->set_trigger("operator");
  write("snapshot-question", '\0' + question.SerializeAsString());
  culprit::ControlAnswer end;
  end.subject = culprit::ControlSubject::kSnapshot;
  end.window_end = true;
  end.step = culprit::SnapshotStep{5, "processes", 1};
  end.snapshot_totals.emplace().bundle_bytes = 5;
  culprit::v1::ControlReply last = culprit::WriteControl(end);
  last.mutable_snapshot()->set_data("bytes");
  last.mutable_snapshot()->set_crc32c(culprit::Crc32c("bytes"));
  write("snapshot-answer",
        '\2' + Piece(snapshot.SerializeAsString()) + Piece(last.SerializeAsString()));
  culprit::ControlAnswer fault;
  fault.request_id = 1;
  fault.fault = culprit::ControlFault::kBusy;
  fault.detail = "busy";
  write("fault", '\1' + request + Piece(culprit::WriteControl(fault).SerializeAsString()));
  return 0;
}
