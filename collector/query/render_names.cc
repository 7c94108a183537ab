// SPDX-License-Identifier: Apache-2.0
// Names of flows and questions to the DNS, in the words of the protocols.
#include <fmt/format.h>

#include "collector/query/filter.h"
#include "collector/query/render.h"
#include "common/community_id.h"
#include "common/hex.h"

namespace culprit {
namespace {

std::string SourceWord(v1::NameSource source) {
  return WordOf(v1::NameSource_Name(source), "NAME_SOURCE_");
}

bool IsRequest(v1::NameSource source) {
  return source == v1::NAME_SOURCE_SOCKS || source == v1::NAME_SOURCE_HTTP_CONNECT;
}

struct Code {
  int value;
  const char* name;
};

// IANA, Domain Name System parameters.
constexpr Code kTypes[] = {
    {1, "A"},      {2, "NS"},      {5, "CNAME"}, {6, "SOA"},    {12, "PTR"},   {15, "MX"},
    {16, "TXT"},   {28, "AAAA"},   {33, "SRV"},  {35, "NAPTR"}, {41, "OPT"},   {43, "DS"},
    {46, "RRSIG"}, {48, "DNSKEY"}, {52, "TLSA"}, {64, "SVCB"},  {65, "HTTPS"}, {10, "NULL"},
    {252, "AXFR"}, {255, "ANY"},   {257, "CAA"}};
constexpr Code kResults[] = {{-1, "no answer"}, {0, "NOERROR"}, {1, "FORMERR"}, {2, "SERVFAIL"},
                             {3, "NXDOMAIN"},   {4, "NOTIMP"},  {5, "REFUSED"}};

template <std::size_t N>
std::string CodeName(const Code (&codes)[N], int value, const char* otherwise) {
  for (const Code& code : codes) {
    if (code.value == value) return code.name;
  }
  return fmt::format("{}{}", otherwise, value);
}

}  // namespace

void RenderFlowNames(const FlowTotal& flow, const EvidenceStore& store, v1::FlowRow* row) {
  const FlowFacts& f = flow.facts;
  row->set_community_id(
      CommunityId({f.local, f.local_port}, {f.remote, f.remote_port}, f.protocol));
  auto found = store.FlowNames(flow.host, f.flow, f.start, f.last);
  if (!found) return;                          // the flow is worth more than its name
  for (const FlowNameRecord& name : *found) {  // the surest first
    if (IsRequest(name.source)) {
      if (!row->requested().empty()) continue;
      const bool v6 = name.name.find(':') != std::string::npos;
      row->set_requested(
          fmt::format("{}{}{}:{}", v6 ? "[" : "", name.name, v6 ? "]" : "", name.port));
      row->set_requested_by(SourceWord(name.source));
    } else if (name.source == v1::NAME_SOURCE_STRATUM) {  // says who logs in, not who answers
      if (row->alpn().empty()) row->set_alpn("stratum");
    } else if (row->name().empty() && !name.name.empty()) {
      row->set_name(name.name);
      row->set_name_source(SourceWord(name.source));
      row->set_name_confidence(
          WordOf(v1::NameConfidence_Name(name.confidence), "NAME_CONFIDENCE_"));
    }
    if (row->alpn().empty()) row->set_alpn(name.alpn);
  }
}

v1::DnsRow RenderDns(const DnsRecord& record, Names* names) {
  v1::DnsRow row;
  if (const HostRecord* host = names->Host(record.host)) {
    row.set_agent_id(host->agent_id.ToString());
    row.set_host(HostLabel(host));
  }
  row.set_process_id(HexId(record.process.value()));
  row.set_flow_id(HexId(record.flow.value()));
  if (const ProcessRecord* process = names->Process(record.host, record.process)) {
    const v1::Process& p = process->definition;
    row.set_pid(p.tgid());
    row.set_comm(p.comm());
    row.set_exe(p.exe());
    row.set_command_line(CommandLine(p));
    row.set_user(UserOf(p));
  }
  row.set_at_ns(ToNs(record.at));
  row.set_server(record.server.address.ToString());
  row.set_server_port(record.server.port);
  row.set_name(record.name);
  row.set_type(CodeName(kTypes, record.type, "TYPE"));
  row.set_result(CodeName(kResults, record.rcode, "RCODE"));
  for (std::size_t at = 0; at < record.answers.size();) {
    const std::size_t end = std::min(record.answers.find(' ', at), record.answers.size());
    row.add_answers(record.answers.substr(at, end - at));
    at = end + 1;
  }
  row.set_questions(record.questions);
  row.set_query_bytes(record.query_bytes);
  row.set_answer_bytes(record.answer_bytes);
  row.set_suppressed(record.suppressed);
  return row;
}

}  // namespace culprit
