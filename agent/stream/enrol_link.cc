// SPDX-License-Identifier: Apache-2.0
#include "agent/stream/enrol_link.h"

#include <poll.h>

#include "agent/process/child_process.h"
#include "agent/stream/link_socket.h"
#include "culprit/internal/v1/link.pb.h"

namespace culprit {
namespace {

namespace link = internal::v1;

constexpr int kLookForStopMs = 200;

link::ToSender TaskOf(const EnrolJob& job) {
  link::ToSender message;
  link::EnrolTask* task = message.mutable_enrol();
  task->set_address(job.address);
  task->set_server_name(job.server_name);
  task->set_ca(job.ca_pem);
  task->set_ca_sha256(job.ca_sha256);
  task->set_user(job.user);
  v1::EnrolRequest* request = task->mutable_request();
  request->set_csr(job.signing_request);
  request->set_host_id(job.host_id);
  request->set_hostname(job.hostname);
  request->set_agent_version(job.agent_version);
  if (!job.token.empty()) request->set_token(job.token);
  if (!job.document.empty()) {
    request->mutable_document()->set_document(job.document);
    request->mutable_document()->set_rsa2048(job.signature);
  }
  return message;
}

Result<EnrolAnswer> ReadAnswer(const link::EnrolResult& result) {
  if (result.code() != 0 || !result.error().empty()) {
    return MakeError(static_cast<Code>(result.code()), result.error());
  }
  return EnrolAnswer{result.response().certificate(), result.response().ca(),
                     result.response().agent_id()};
}

bool WaitReadable(int fd, std::chrono::milliseconds timeout, const std::stop_token& stop) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!stop.stop_requested() && std::chrono::steady_clock::now() < deadline) {
    pollfd wait{fd, POLLIN, 0};
    if (poll(&wait, 1, kLookForStopMs) > 0) return true;
  }
  return false;
}

}  // namespace

Result<EnrolAnswer> EnrolBySender(const EnrolJob& job, std::chrono::milliseconds timeout,
                                  const std::stop_token& stop) {
  TRY(auto pair, MakeLinkPair());
  ChildProcess child;  // ends with this scope
  TRY_VOID(child.Start(job.program, {}, pair.second.get()));
  pair.second.Reset();
  const UniqueFd socket = std::move(pair.first);
  TRY(const bool sent, SendDatagram(socket.get(), TaskOf(job).SerializeAsString(), -1, true));
  if (!sent || !WaitReadable(socket.get(), timeout, stop)) {
    return MakeError(Code::kDeadlineExceeded, "the sender did not answer in time");
  }
  TRY(const Datagram datagram, ReceiveDatagram(socket.get(), false));
  link::FromSender message;
  if (datagram.what != Datagram::What::kMessage || !message.ParseFromString(datagram.bytes)) {
    return Unavailable("the sender ended without an answer: its log says why");
  }
  if (message.has_report()) return Unavailable("sender: " + message.report().last_error());
  if (!message.has_enrolled()) return Internal("the sender answered something else");
  return ReadAnswer(message.enrolled());
}

}  // namespace culprit
