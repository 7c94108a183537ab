// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot_cloud.h"

#include <chrono>
#include <utility>

#include "agent/imds/imds.h"
#include "common/cloud_facts.h"

namespace culprit {
namespace {

using Clock = std::chrono::steady_clock;

// The service answers within milliseconds, or it does not: tier 0 has two seconds.
constexpr std::chrono::milliseconds kTimeout{500}, kAll{1000};
constexpr std::chrono::seconds kToken{60};
constexpr std::size_t kMaxAnswer = 16U << 10;

constexpr const char* kPaths[] = {
    "dynamic/instance-identity/document",
    "dynamic/instance-identity/rsa2048",
    "meta-data/instance-id",
    "meta-data/ami-id",
    "meta-data/autoscaling/target-lifecycle-state",
    "meta-data/tags/instance/",
    "meta-data/tags/instance/aws:autoscaling:groupName",
    "meta-data/tags/instance/aws:ec2launchtemplate:id",
    "meta-data/tags/instance/aws:ec2launchtemplate:version",
    "meta-data/instance-type",
    "meta-data/instance-life-cycle",
    "meta-data/placement/availability-zone",
    "meta-data/local-ipv4",
    "meta-data/public-ipv4",
    "meta-data/mac",
    "meta-data/security-groups",
    "meta-data/iam/info",
};

}  // namespace

void CollectCloud(Evidence& evidence, const std::string& endpoint) {
  constexpr const char* kService = "the metadata service";
  evidence.At(kService);
  const auto imds = ImdsSession::Open(endpoint, kTimeout, kToken);
  if (!imds) return evidence.Skip(kService, imds.error().message);
  const auto deadline = Clock::now() + kAll;
  Row answers = Row::object(), absent = Row::array();
  for (const char* path : kPaths) {
    evidence.At(path);
    if (Clock::now() > deadline) {
      evidence.Skip(path, "the metadata service is too slow");
      break;
    }
    const auto answer = imds->Get(std::string("/latest/") + path, path);
    if (answer) {
      answers[path] = answer->substr(0, kMaxAnswer);  // as it is, for the signature's sake
    } else if (answer.error().code == Code::kNotFound) {
      absent.push_back(path);
    } else {
      evidence.Skip(path, answer.error().message);
      break;
    }
  }
  Row json;
  json["source"] = "IMDSv2 at " + RowText(endpoint);
  json["answers"] = std::move(answers);
  json["absent"] = std::move(absent);
  BundleMember member;
  member.name = kCloudMember;
  member.source = "what the metadata service says of the instance";
  evidence.AddBytes(std::move(member),
                    json.dump(1, ' ', true, Row::error_handler_t::replace) + "\n");
}

std::function<void(Evidence&)> CloudCollector(const std::string& instance_id,
                                              const std::string& endpoint) {
  if (!instance_id.starts_with("i-") || endpoint.empty()) return {};
  return [endpoint](Evidence& evidence) { CollectCloud(evidence, endpoint); };
}

}  // namespace culprit
