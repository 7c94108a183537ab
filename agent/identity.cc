// SPDX-License-Identifier: Apache-2.0
#include "agent/identity.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "agent/imds/imds.h"
#include "common/ascii.h"
#include "common/file.h"
#include "common/hex.h"
#include "common/sha256.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxFileBytes = 64U << 10;
constexpr std::size_t kMaxFieldBytes = 256;
constexpr std::size_t kMaxAddresses = 64;

std::string ReadTrimmed(const std::string& path) {
  const auto text = ReadWholeFile(path, kMaxFileBytes);
  return text ? std::string(TrimBack(*text, " \n")) : std::string();
}

std::vector<IpAddress> InterfaceAddresses() {
  std::vector<IpAddress> addresses;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return addresses;
  for (const ifaddrs* entry = list; entry != nullptr && addresses.size() < kMaxAddresses;
       entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    std::string_view bytes;
    if (entry->ifa_addr->sa_family == AF_INET) {
      const auto* in = reinterpret_cast<const sockaddr_in*>(entry->ifa_addr);
      bytes = {reinterpret_cast<const char*>(&in->sin_addr), 4};
    } else if (entry->ifa_addr->sa_family == AF_INET6) {
      const auto* in6 = reinterpret_cast<const sockaddr_in6*>(entry->ifa_addr);
      bytes = {reinterpret_cast<const char*>(&in6->sin6_addr), 16};
    }
    const auto address = IpAddress::FromBytes(bytes);
    if (address && !address->IsLoopback()) addresses.push_back(*address);
  }
  freeifaddrs(list);
  std::sort(addresses.begin(), addresses.end());
  return addresses;
}

// The value of "name": "text" in a flat JSON object; empty for anything else. Escapes do not occur
// in these fields, so a value with one is refused.
std::string JsonText(std::string_view json, const std::string& name) {
  const std::string key = "\"" + name + "\"";
  const std::size_t at = json.find(key);
  if (at == std::string_view::npos) return {};
  constexpr std::string_view kBlank = " \t\r\n";
  json = TrimFront(json.substr(at + key.size()), kBlank);
  if (!json.starts_with(':')) return {};
  json = TrimFront(json.substr(1), kBlank);
  if (!json.starts_with('"')) return {};
  json.remove_prefix(1);
  const std::size_t end = json.find('"');
  if (end == std::string_view::npos || end > kMaxFieldBytes) return {};
  const std::string_view value = json.substr(0, end);
  const bool plain = std::all_of(value.begin(), value.end(),
                                 [](char c) { return c > ' ' && c < 127 && c != '\\'; });
  return plain ? std::string(value) : std::string();
}

}  // namespace

std::string OsReleaseField(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    std::string_view line = NextLine(&text);
    if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != '=') continue;
    line.remove_prefix(name.size() + 1);
    if (line.size() >= 2 && (line.front() == '"' || line.front() == '\'') &&
        line.back() == line.front()) {
      line = line.substr(1, line.size() - 2);
    }
    return std::string(line.substr(0, kMaxFieldBytes));
  }
  return {};
}

HostFacts LocalHostFacts(const IdentityOptions& options) {
  HostFacts facts;
  utsname uts{};
  if (uname(&uts) == 0) {
    facts.hostname = uts.nodename;
    facts.kernel = uts.release;
    facts.architecture = uts.machine;
  }
  facts.os = OsReleaseField(ReadTrimmed(options.root + "/etc/os-release"), "PRETTY_NAME");
  facts.agent_version = options.agent_version;
  facts.identity_source = "machine";
  // Never the machine id itself: machine-id(5) asks for a hash. Without one, the host name has to
  // do.
  std::string seed = ReadTrimmed(options.root + "/etc/machine-id");
  if (!seed.empty()) facts.machine_id_hash = HexEncode(AsBytes(Sha256Of(seed)));
  if (seed.empty()) seed = facts.hostname;
  facts.instance_id =
      "machine-" + HexEncode(AsBytes(Sha256Of("culprit machine " + seed))).substr(0, 16);
  facts.addresses = InterfaceAddresses();
  return facts;
}

bool FirmwareSaysEc2(const std::string& root) {
  return ReadTrimmed(root + "/sys/class/dmi/id/sys_vendor").starts_with("Amazon EC2") ||
         ReadTrimmed(root + "/sys/class/dmi/id/board_vendor").starts_with("Amazon EC2") ||
         ReadTrimmed(root + "/sys/hypervisor/uuid").starts_with("ec2");
}

Status ApplyIdentityDocument(std::string_view json, HostFacts* facts) {
  const std::string instance_id = JsonText(json, "instanceId");
  if (!instance_id.starts_with("i-")) {
    return DataLoss("the metadata service's identity document names no instance");
  }
  facts->identity_source = "imds";
  facts->instance_id = instance_id;
  facts->account_id = JsonText(json, "accountId");
  facts->region = JsonText(json, "region");
  facts->availability_zone = JsonText(json, "availabilityZone");
  facts->image_id = JsonText(json, "imageId");
  facts->instance_type = JsonText(json, "instanceType");
  return Ok();
}

namespace {

constexpr const char* kIdentity = "/latest/dynamic/instance-identity/";
constexpr std::chrono::seconds kOneTalk{60};

}  // namespace

Result<InstanceProof> AskImdsDocument(const IdentityOptions& options) {
  TRY(const ImdsSession imds, ImdsSession::Open(options.endpoint, options.timeout, kOneTalk));
  InstanceProof proof;
  TRY(proof.document, imds.Get(std::string(kIdentity) + "document", "the identity document"));
  TRY(proof.rsa2048,
      imds.Get(std::string(kIdentity) + "rsa2048", "the identity document's signature"));
  HostFacts facts;
  TRY_VOID(ApplyIdentityDocument(proof.document, &facts));
  proof.instance_id = facts.instance_id;
  return proof;
}

Result<HostFacts> AskImds(const IdentityOptions& options, HostFacts facts) {
  TRY(const ImdsSession imds, ImdsSession::Open(options.endpoint, options.timeout, kOneTalk));
  TRY(const std::string document,
      imds.Get(std::string(kIdentity) + "document", "the identity document"));
  TRY_VOID(ApplyIdentityDocument(document, &facts));
  // Not found where there is none; it may come and go while the instance runs.
  const auto seen = imds.Get("/latest/meta-data/public-ipv4", "the public address");
  const auto address = seen ? IpAddress::Parse(*seen) : NotFound("none");
  facts.public_address = address ? *address : IpAddress();
  return facts;
}

HostIdentity::HostIdentity(IdentityOptions options)
    : options_(std::move(options)), event_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  facts_ = LocalHostFacts(options_);
  const bool ask =
      options_.source == "imds" || (options_.source == "auto" && FirmwareSaysEc2(options_.root));
  if (ask) thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

HostIdentity::~HostIdentity() = default;

HostFacts HostIdentity::facts() const {
  const std::lock_guard lock(mutex_);
  return facts_;
}

std::string HostIdentity::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

void HostIdentity::ClearEvent() {
  std::uint64_t count = 0;
  if (read(event_fd_.get(), &count, sizeof(count)) < 0) return;  // nothing there
}

void HostIdentity::Run(const std::stop_token& stop) {
  for (std::size_t attempt = 0; !stop.stop_requested(); ++attempt) {
    auto answer = AskImds(options_, facts());
    std::unique_lock lock(mutex_);
    if (answer) {
      problem_.clear();
      const bool changed = !(*answer == facts_);
      facts_ = std::move(*answer);
      const std::uint64_t one = 1;
      if (changed && write(event_fd_.get(), &one, sizeof(one)) < 0) problem_ = "identity: eventfd";
      attempt = 0;
      wait_.wait_for(lock, stop, options_.again, [] { return false; });
      continue;
    }
    problem_ = answer.error().message;
    if (options_.retries.empty()) return;
    // After the last delay it goes on at that pace: the service may be switched on later.
    const auto delay = options_.retries[std::min(attempt, options_.retries.size() - 1)];
    wait_.wait_for(lock, stop, delay, [] { return false; });
  }
}

}  // namespace culprit
