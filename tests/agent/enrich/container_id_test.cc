// SPDX-License-Identifier: Apache-2.0
#include "agent/enrich/container_id.h"

#include <gtest/gtest.h>

namespace culprit {
namespace {

const std::string kId = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const std::string kOuter(64, 'e');

struct Case {
  std::string_view name;
  std::string cgroup;
  std::string expected;
};

class ContainerIdTest : public ::testing::TestWithParam<Case> {};

TEST_P(ContainerIdTest, IsTheDeepestIdOnThePathOrEmpty) {
  EXPECT_EQ(ContainerIdFromCgroup(GetParam().cgroup), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(Cgroups, ContainerIdTest,
                         ::testing::ValuesIn(std::vector<Case>{
                             {"DockerSystemd", "system.slice/docker-" + kId + ".scope", kId},
                             {"DockerCgroupfs", "/docker/" + kId, kId},
                             {"DockerInDocker", "/docker/" + kOuter + "/docker/" + kId, kId},
                             {"InitScopeInAContainer", "docker-" + kId + ".scope/init.scope", kId},
                             {"ContainerdCri",
                              "kubepods-besteffort.slice/cri-containerd-" + kId + ".scope", kId},
                             {"ContainerdColons", "kubepods-pod1.slice:cri-containerd:" + kId, kId},
                             {"Crio", "kubepods.slice/crio-" + kId + ".scope", kId},
                             {"Podman", "user.slice/libpod-" + kId + ".scope/container", kId},
                             {"PodmanService", "user.slice/libpod-" + kId + ".service", kId},
                             {"Kubepods", "kubepods/burstable/pod12/" + kId, kId},
                             {"PlainLeaf", "parent/" + kId, kId},
                             {"AlonePlain", kId, kId},
                             {"Service", "system.slice/sshd.service", ""},
                             {"Empty", "", ""},
                             {"OnlySlashes", "///", ""},
                             {"TooShort", "docker-" + kId.substr(1) + ".scope", ""},
                             {"TooLong", "docker-" + kId + "0.scope", ""},
                             {"UpperCase", "docker-" + std::string(64, 'A') + ".scope", ""},
                             {"PrefixUnknown", "other-" + kId + ".scope", ""},
                             {"ConmonBesideTheContainer", "libpod-conmon-" + kId + ".scope", ""},
                         }),
                         [](const auto& p) { return std::string(p.param.name); });

}  // namespace
}  // namespace culprit
