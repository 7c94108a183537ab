// SPDX-License-Identifier: Apache-2.0
#include "common/cloud_facts.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/bundle_rows.h"

namespace culprit {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxBytes = std::size_t{1} << 20, kMaxField = 256;
constexpr std::string_view kTags = "meta-data/tags/instance/";

std::string Field(const Json& answers, const std::string& path) {
  std::string text = RowTextOf(answers, path.c_str());
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  return text.size() <= kMaxField ? text : std::string();
}

// As one word for a shell, whatever is in it.
std::string Quoted(const std::string& text) {
  const bool plain = !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_./").find(c) != std::string_view::npos;
  });
  if (plain && !text.starts_with('-')) return text;
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string IdOf(const CloudFacts& facts) {
  return facts.instance_id.empty() ? "INSTANCE" : Quoted(facts.instance_id);
}

std::string Ask(const CloudFacts& facts) {
  return "`aws autoscaling describe-auto-scaling-instances --instance-ids " + IdOf(facts) + "`";
}

}  // namespace

Result<CloudFacts> ParseCloudFacts(std::string_view text) {
  const Json json = text.size() > kMaxBytes || NestsTooDeep(text)
                        ? Json()
                        : Json::parse(text.begin(), text.end(), nullptr, false);
  const auto found = json.is_object() ? json.find("answers") : json.end();
  if (!json.is_object() || found == json.end() || !found->is_object())
    return DataLoss(std::string(kCloudMember) + " is not readable");
  const Json& answers = *found;
  CloudFacts facts;
  facts.told = !answers.empty();
  facts.instance_id = Field(answers, "meta-data/instance-id");
  facts.image_id = Field(answers, "meta-data/ami-id");
  facts.state = Field(answers, "meta-data/autoscaling/target-lifecycle-state");
  const std::string tags(kTags);
  facts.tags_readable = answers.contains(tags);
  facts.group = Field(answers, tags + "aws:autoscaling:groupName");
  facts.template_id = Field(answers, tags + "aws:ec2launchtemplate:id");
  facts.template_version = Field(answers, tags + "aws:ec2launchtemplate:version");
  return facts;
}

RelaunchAdvice AdviseRelaunch(const CloudFacts& facts) {
  const std::string image = facts.image_id.empty() ? "the same image" : facts.image_id;
  if (facts.group.empty() && facts.state.empty()) {
    if (facts.tags_readable)
      return {Relaunch::kNo, "in no Auto Scaling group, as the metadata service says", ""};
    return {Relaunch::kNotKnown,
            "not known whether an Auto Scaling group would start " + image +
                " again: the metadata service " +
                (facts.told ? "has no tags of the instance" : "did not tell"),
            Ask(facts) + " tells"};
  }
  const std::string again = " starts " + image + " again, with the way in that this host had";
  if (facts.group.empty())
    return {Relaunch::kYes,
            "an Auto Scaling group" + again + "; its name is not in the metadata (target state " +
                facts.state + ")",
            Ask(facts) + " names it; suspend its Launch process before you terminate"};
  std::string text = "the Auto Scaling group " + facts.group + again;
  if (!facts.template_id.empty())
    text += "; its launch template is " + facts.template_id +
            (facts.template_version.empty() ? "" : ", version " + facts.template_version);
  const std::string name = "--auto-scaling-group-name " + Quoted(facts.group);
  return {Relaunch::kYes, std::move(text),
          "before you terminate, one of: `aws autoscaling suspend-processes " + name +
              " --scaling-processes Launch`; a clean image in a new version of its launch "
              "template; `aws autoscaling detach-instances " +
              name + " --instance-ids " + IdOf(facts) + " --should-decrement-desired-capacity`"};
}

}  // namespace culprit
