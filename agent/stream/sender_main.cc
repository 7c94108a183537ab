// SPDX-License-Identifier: Apache-2.0
// culprit-agent-sender: the agent's only process that speaks gRPC, TLS and S3. Started by
// culprit-agent with the link on descriptor 3; reads its key, gives up its rights, then sends. Ends
// with its parent.
#include <grpc/support/log.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <thread>

#include "agent/process/child_process.h"
#include "agent/process/privileges.h"
#include "agent/s3/key_source.h"
#include "agent/s3/s3_client.h"
#include "agent/stream/enrol_client.h"
#include "agent/stream/sensor_port.h"
#include "agent/stream/sink_uploader.h"
#include "agent/stream/sink_wire.h"
#include "agent/stream/uploader.h"
#include "common/credentials.h"
#include "common/log.h"

namespace culprit {
namespace {

constexpr int kOk = 0, kUsage = 2, kFailed = 1;

// Says it on the log, and to the sensor, which shows it in the agent's status.
int Fail(SensorPort* port, const Error& error) {
  spdlog::error("{}", error.message);
  internal::v1::FromSender message;
  message.mutable_report()->set_last_error(error.message);
  port->Send(message);
  return kFailed;
}

// One question to the network, without any right to anything here.
int RunEnrol(SensorPort* port, const internal::v1::EnrolTask& task, int parent) {
  internal::v1::FromSender message;
  if (const Status status = DropPrivileges(task.user(), parent); !status) {
    message.mutable_enrolled()->set_code(static_cast<std::uint32_t>(status.error().code));
    message.mutable_enrolled()->set_error(status.error().message);
  } else {
    *message.mutable_enrolled() = RunEnrolTask(task);
  }
  port->Send(message);
  return kOk;
}

// Secrets are read as root, the network is used as nobody.
Result<std::unique_ptr<Uploader>> MakeUploader(const internal::v1::LinkConfig& config, int parent,
                                               SensorPort* port) {
  if (!config.has_sink()) {
    TRY(Credentials credentials,
        LoadCredentials({config.ca_path(), config.certificate_path(), config.key_path()}));
    TRY_VOID(DropPrivileges(config.user(), parent));
    return Uploader::Create(config, std::move(credentials), port);
  }
  const SinkOptions sink = ReadSink(config.sink());
  KeySource keys(sink.imds_endpoint);
  if (!sink.credentials.empty()) {
    TRY(AwsKeys file, ReadKeyFile(sink.credentials));
    keys = KeySource(std::move(file));
  }
  std::string ca_pem;
  if (!sink.ca.empty()) {
    TRY(ca_pem, ReadPemFile(sink.ca));
  }
  TRY_VOID(DropPrivileges(config.user(), parent));
  TRY(auto client, S3Client::Create(sink, std::move(ca_pem), config.agent_version()));
  return MakeSinkUploader(config.sink(), std::move(keys), std::move(client), port);
}

int RunSender() {
  const int parent = getppid();
  if (!HasLink()) {
    std::fputs("culprit-agent-sender is started by culprit-agent; run `culprit-agent run`\n",
               stderr);
    return kUsage;
  }
  if (const Status log = InitLog("culprit-agent-sender", "info"); !log) return kFailed;
  gpr_set_log_function([](gpr_log_func_args*) {});  // the diagnosis says it better
  SensorPort port{UniqueFd(kLinkFd)};
  const auto first = port.ReceiveFirst();
  if (!first) return Fail(&port, first.error());
  if (first->has_enrol()) return RunEnrol(&port, first->enrol(), parent);
  const auto made = MakeUploader(first->config(), parent, &port);
  if (!made) return Fail(&port, made.error());
  Uploader* const uploader = made->get();
  // The link is served from a thread of its own; the end of the sensor ends this process there and
  // then, because nothing that is left to do is of use to anybody.
  std::thread link([&port, uploader] {
    std::jthread timer;
    port.Run([uploader, &timer](SensorPort::Clock::time_point deadline) {
      timer = std::jthread([uploader, deadline](const std::stop_token&) {
        std::this_thread::sleep_until(deadline);
        uploader->Cancel();
      });
    });
    _exit(kOk);
  });
  link.detach();
  uploader->Run();
  // Not return: the link's thread still runs.
  _exit(kOk);
}

}  // namespace
}  // namespace culprit

int main(int argc, char**) {
  if (argc > 1) {
    std::fputs("culprit-agent-sender takes no arguments: culprit-agent starts it\n", stderr);
    return culprit::kUsage;
  }
  // A collector that hangs up in a handshake is an error to tell, not the end.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return culprit::RunSender();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "culprit-agent-sender: %s\n", e.what());
    return culprit::kFailed;
  }
}
