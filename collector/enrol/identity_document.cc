// SPDX-License-Identifier: Apache-2.0
#include "collector/enrol/identity_document.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/ascii.h"
#include "common/credentials.h"
#include "common/openssl_ptr.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit {
namespace {

using Json = nlohmann::json;

constexpr auto kMaxAhead = std::chrono::minutes(5);  // a clock that is behind AWS's

tl::unexpected<EnrolRefusal> Refuse(std::string reason, std::string message,
                                    Code code = Code::kPermissionDenied) {
  return tl::unexpected(EnrolRefusal{std::move(reason), MakeError(code, std::move(message))});
}

tl::unexpected<EnrolRefusal> NoDocument(const std::string& why) {
  return Refuse("document_format", "not an instance identity document: " + why,
                Code::kInvalidArgument);
}

bool IsPlain(std::string_view text, std::string_view more) {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || more.find(c) != more.npos;
  });
}

std::string TextOf(const Json& json, const char* name) {
  const auto at = json.find(name);
  if (at == json.end() || !at->is_string()) return {};
  std::string text = at->get<std::string>();
  return text.size() <= 64 ? text : std::string();
}

// "2026-03-01T02:03:04Z", and nothing else.
bool ReadTime(const std::string& text, WallTime* out) {
  constexpr std::string_view kForm = "0000-00-00T00:00:00Z";
  if (text.size() != kForm.size()) return false;
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kForm[i] == '0' ? !digit : text[i] != kForm[i]) return false;
  }
  const auto number = [&text](std::size_t at, std::size_t digits) {
    int value = 0;
    for (std::size_t i = at; i < at + digits; ++i) value = value * 10 + (text[i] - '0');
    return value;
  };
  using namespace std::chrono;  // NOLINT(google-build-using-namespace): calendar literals
  const year_month_day date{year(number(0, 4)), month(static_cast<unsigned>(number(5, 2))),
                            day(static_cast<unsigned>(number(8, 2)))};
  const int h = number(11, 2), m = number(14, 2), s = number(17, 2);
  if (!date.ok() || number(0, 4) < 2000 || number(0, 4) > 2200 || h > 23 || m > 59 || s > 60) {
    return false;
  }
  *out = WallTime(sys_days(date) + hours(h) + minutes(m) + seconds(s));
  return true;
}

// PEM lines and white space are left out: IMDS gives base64 in lines of 64 without any.
Result<std::string> DecodeBase64(std::string_view text) {
  std::string digits;
  while (!text.empty()) {
    const std::string_view line = TrimBack(NextLine(&text), "\r ");
    if (!line.starts_with("-----")) digits += line;
  }
  if (digits.empty() || digits.size() % 4 != 0) return InvalidArgument("not base64");
  std::string bytes(digits.size() / 4 * 3, '\0');
  const int n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                reinterpret_cast<const unsigned char*>(digits.data()),
                                static_cast<int>(digits.size()));
  if (n < 0) return InvalidArgument("not base64");
  const auto padding = static_cast<std::size_t>(std::ranges::count(digits.substr(digits.size() - 2), '='));
  bytes.resize(bytes.size() - padding);
  return bytes;
}

OpensslPtr<CMS_ContentInfo> ReadCms(const std::string& der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const auto* end = at + der.size();
  OpensslPtr<CMS_ContentInfo> cms(d2i_CMS_ContentInfo(nullptr, &at, static_cast<long>(der.size())));
  if (at != end) cms.reset();
  return cms;
}

// Only the certificate that is given may have signed: those inside the message count for nothing,
// and the given one is trusted because the operator's file says so.
bool SignedBy(CMS_ContentInfo* cms, X509* certificate, std::string* content) {
  const OpensslPtr<STACK_OF(X509)> signers(sk_X509_new_null());
  const OpensslPtr<BIO> out(BIO_new(BIO_s_mem()));
  if (!signers || !out || sk_X509_push(signers.get(), certificate) == 0) return false;
  constexpr unsigned kFlags = CMS_NOINTERN | CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY;
  if (CMS_verify(cms, signers.get(), nullptr, nullptr, out.get(), kFlags) != 1) return false;
  *content = ContentOf(out.get());
  return true;
}

Checked<void> VerifySignature(std::string_view json, const std::string& der,
                              const std::vector<std::string>& certificates,
                              const std::string& region, WallTime now) {
  if (!ReadCms(der)) {
    return Refuse("document_format", "the signature is not a PKCS#7 message",
                  Code::kInvalidArgument);
  }
  bool expired = false;
  for (const std::string& pem : certificates) {
    const auto info = ReadCertificate(pem);
    const OpensslPtr<X509> certificate = CertificateOfPem(pem);
    if (!info || !certificate) continue;
    const OpensslPtr<CMS_ContentInfo> cms = ReadCms(der);  // anew: a check leaves its signer in it
    std::string content;
    if (!SignedBy(cms.get(), certificate.get(), &content)) continue;
    if (now < info->not_before || now > info->not_after) {
      expired = true;
      continue;
    }
    if (content == json) return {};
    return Refuse("document_content", "the signature is of another document than the one given");
  }
  if (expired) {
    return Refuse("region_certificate_expired",
                  "the certificate of region " + region +
                      " has expired: put AWS's newer one into enrol.aws_certificates");
  }
  return Refuse("document_signature", "the document is not signed by AWS's certificate for " +
                                          region + " (forged, or of another region)");
}

}  // namespace

Checked<IdentityDocument> ReadIdentityDocument(std::string_view text) {
  if (text.empty() || text.size() > kMaxDocumentBytes) return NoDocument("its size");
  // Depth is bounded by hand: the real one is flat but for lists of codes.
  const Json json = Json::parse(
      text, [](int depth, Json::parse_event_t, const Json&) { return depth <= 4; }, false);
  if (!json.is_object()) return NoDocument("no JSON object");
  IdentityDocument out;
  out.account = TextOf(json, "accountId");
  out.region = TextOf(json, "region");
  out.instance_id = TextOf(json, "instanceId");
  out.private_address = TextOf(json, "privateIp");
  out.image_id = TextOf(json, "imageId");
  if (out.account.size() != 12 || !IsPlain(out.account, "") ||
      !std::ranges::all_of(out.account, [](char c) { return c >= '0' && c <= '9'; })) {
    return NoDocument("no accountId");
  }
  if (!IsPlain(out.region, "-")) return NoDocument("no region");
  if (!out.instance_id.starts_with("i-") || !IsPlain(out.instance_id, "-")) {
    return NoDocument("no instanceId");
  }
  if (!ReadTime(TextOf(json, "pendingTime"), &out.pending)) return NoDocument("no pendingTime");
  return out;
}

Checked<IdentityDocument> VerifyIdentityDocument(std::string_view json, std::string_view signature,
                                                 const RegionCertificates& certificates,
                                                 WallTime now) {
  auto document = ReadIdentityDocument(json);
  if (!document) return document;
  const auto known = certificates.find(document->region);
  if (known == certificates.end()) {
    return Refuse("unknown_region", "there is no certificate of AWS for region " +
                                        document->region + " in enrol.aws_certificates");
  }
  if (signature.size() > kMaxSignatureBytes) return NoDocument("the size of its signature");
  const auto der = DecodeBase64(signature);
  if (!der) return NoDocument("its signature is " + der.error().message);
  ERR_clear_error();
  const auto verified = VerifySignature(json, *der, known->second, document->region, now);
  ERR_clear_error();
  if (!verified) return tl::unexpected(verified.error());
  return document;
}

Checked<void> CheckDocumentPolicy(const IdentityDocument& document, const DocumentPolicy& policy,
                                  WallTime now) {
  const auto among = [](const std::vector<std::string>& list, const std::string& text) {
    return std::ranges::find(list, text) != list.end();
  };
  if (!among(policy.accounts, document.account)) {
    return Refuse("account", "account " + document.account + " is not in enrol.aws_accounts");
  }
  if (!policy.regions.empty() && !among(policy.regions, document.region)) {
    return Refuse("region", "region " + document.region + " is not in enrol.aws_regions");
  }
  if (document.pending > now + kMaxAhead) {
    return Refuse("document_age", "instance " + document.instance_id + " starts only at " +
                                      FormatUtc(document.pending) + ": check the collector's clock");
  }
  if (policy.max_age.count() != 0 && now - document.pending > policy.max_age) {
    return Refuse("document_age",
                  "instance " + document.instance_id + " was started at " +
                      FormatUtc(document.pending) + ", longer ago than enrol.aws_max_age (" +
                      FormatDuration(policy.max_age) +
                      "): raise that, restart the instance, or enrol by a token");
  }
  return {};
}

}  // namespace culprit
