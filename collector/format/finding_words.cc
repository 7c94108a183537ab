// SPDX-License-Identifier: Apache-2.0
#include "collector/format/finding_words.h"

#include "common/net_address.h"

namespace culprit {

void SetText(Json* object, const char* name, const std::string& value) {
  if (!value.empty()) (*object)[name] = value;
}

void SetIp(Json* object, const std::string& text) {
  if (IpAddress::Parse(text)) (*object)["ip"] = text;
}

std::string Dump(const Json& document) {
  return document.dump(-1, ' ', true, Json::error_handler_t::replace);
}

std::string FileNameOf(const std::string& path) { return path.substr(path.rfind('/') + 1); }

Json MeasuresOf(const v1::Finding& finding) {
  Json measures = Json::object();
  for (const v1::Measure& measure : finding.measures()) {
    Json& one = measures[measure.name()];
    one["value"] = measure.value();
    if (measure.threshold() != 0) one["threshold"] = measure.threshold();
    SetText(&one, "unit", measure.unit());
  }
  return measures;
}

Json TargetDetails(const v1::Target& target) {
  Json details;
  if (target.tx_bytes() != 0) details["tx_bytes"] = target.tx_bytes();
  if (target.rx_bytes() != 0) details["rx_bytes"] = target.rx_bytes();
  if (!target.region().empty()) {
    details["aws_region"] = target.region();
    details["aws_service"] = target.service();
  }
  return details;
}

Json ListOf(const google::protobuf::RepeatedPtrField<std::string>& words) {
  Json list = Json::array();
  for (const std::string& word : words) list.push_back(word);
  return list;
}

std::string TechniqueOf(const std::string& attack_id) {
  return attack_id.substr(0, attack_id.find('.'));
}

}  // namespace culprit
