// SPDX-License-Identifier: Apache-2.0
#include "common/credentials.h"

#include <fcntl.h>

#include <algorithm>
#include <ctime>

#include "common/file.h"
#include "common/net_address.h"
#include "common/openssl_ptr.h"
#include "common/unique_fd.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxPemBytes = 262'144;

using Cert = OpensslPtr<X509>;

Cert ParseCertificate(std::string_view pem) {
  if (pem.empty() || pem.size() > kMaxPemBytes) return nullptr;
  return CertificateOfPem(pem);
}

WallTime ToWall(const ASN1_TIME* time) {
  std::tm tm{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &tm) != 1) return {};
  constexpr std::int64_t kMaxSeconds = 9'000'000'000;  // 2255: nanoseconds fit 64 bits
  const std::int64_t seconds = std::min<std::int64_t>(timegm(&tm), kMaxSeconds);
  return WallTime(std::chrono::seconds(seconds));
}

std::string TextOf(const ASN1_STRING* s) {
  if (s == nullptr) return {};
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(s)),
          static_cast<std::size_t>(ASN1_STRING_length(s))};
}

void AddNames(X509* cert, CertificateInfo* info) {
  const OpensslPtr<GENERAL_NAMES> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(cert, NID_subject_alt_name, nullptr, nullptr)));
  const int count = names ? sk_GENERAL_NAME_num(names.get()) : 0;
  for (int i = 0; i < count; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_URI) info->uri_names.push_back(TextOf(name->d.uniformResourceIdentifier));
    if (name->type == GEN_DNS) info->host_names.push_back(TextOf(name->d.dNSName));
    if (name->type == GEN_IPADD) {
      const auto address = IpAddress::FromBytes(TextOf(name->d.iPAddress));
      if (address) info->host_names.push_back(address->ToString());
    }
  }
}

CertificateInfo Describe(X509* cert) {
  CertificateInfo info;
  const X509_NAME* subject = X509_get_subject_name(cert);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at >= 0) {
    info.common_name = TextOf(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  }
  AddNames(cert, &info);
  info.not_before = ToWall(X509_get0_notBefore(cert));
  info.not_after = ToWall(X509_get0_notAfter(cert));
  unsigned int length = 0;
  X509_digest(cert, EVP_sha256(), info.sha256.data(), &length);
  return info;
}

Status CheckTime(std::string_view what, const CertificateInfo& info, WallTime now) {
  if (now < info.not_before) {
    return FailedPrecondition(std::string(what) + " is not valid before " +
                              FormatUtc(info.not_before) + ", and the clock says " +
                              FormatUtc(now) + ": check this machine's clock");
  }
  if (now > info.not_after) {
    return FailedPrecondition(std::string(what) + " expired at " + FormatUtc(info.not_after) +
                              " (the clock says " + FormatUtc(now) + "): issue a new one");
  }
  return Ok();
}

Status CheckSignature(X509* certificate, X509* ca) {
  const OpensslPtr<X509_STORE> store(X509_STORE_new());
  const OpensslPtr<X509_STORE_CTX> context(X509_STORE_CTX_new());
  if (!store || !context || X509_STORE_add_cert(store.get(), ca) != 1 ||
      X509_STORE_CTX_init(context.get(), store.get(), certificate, nullptr) != 1) {
    return Internal("OpenSSL could not set up a verification");
  }
  // Validity in time was checked before, with the caller's clock.
  X509_STORE_CTX_set_flags(context.get(), X509_V_FLAG_NO_CHECK_TIME);
  if (X509_verify_cert(context.get()) == 1) return Ok();
  const int why = X509_STORE_CTX_get_error(context.get());
  return InvalidArgument(std::string("the certificate is not signed by this CA (") +
                         X509_verify_cert_error_string(why) +
                         "): use the ca.pem that was written beside it");
}

}  // namespace

Result<std::string> ReadPemFile(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoError("can not read " + path);
  TRY(std::string text, ReadUpTo(fd.get(), kMaxPemBytes + 1, "can not read " + path));
  if (text.size() > kMaxPemBytes) return InvalidArgument(path + " is too large for a PEM file");
  return text;
}

Result<CertificateInfo> ReadCertificate(std::string_view pem) {
  const Cert cert = ParseCertificate(pem);
  if (!cert) return InvalidArgument("not a PEM certificate");
  return Describe(cert.get());
}

Result<Credentials> LoadCredentials(const CredentialPaths& paths) {
  Credentials out;
  TRY(out.ca_pem, ReadPemFile(paths.ca));
  TRY(out.certificate_pem, ReadPemFile(paths.certificate));
  TRY(out.key_pem, ReadPemFile(paths.key));
  if (!ParseCertificate(out.ca_pem))
    return InvalidArgument(paths.ca + ": no PEM certificate in it");
  const Cert cert = ParseCertificate(out.certificate_pem);
  if (!cert) return InvalidArgument(paths.certificate + ": no PEM certificate in it");
  const OpensslPtr<EVP_PKEY> key = PrivateKeyOfPem(out.key_pem);
  if (!key) return InvalidArgument(paths.key + ": no unencrypted PEM private key in it");
  if (X509_check_private_key(cert.get(), key.get()) != 1) {
    return InvalidArgument(paths.key + " is not the key of " + paths.certificate);
  }
  out.certificate = Describe(cert.get());
  return out;
}

Status CheckCredentials(const Credentials& credentials, WallTime now) {
  const Cert ca = ParseCertificate(credentials.ca_pem);
  const Cert cert = ParseCertificate(credentials.certificate_pem);
  if (!ca || !cert) return InvalidArgument("not a PEM certificate");
  TRY_VOID(CheckTime("the CA's certificate", Describe(ca.get()), now));
  TRY_VOID(CheckTime("the certificate", Describe(cert.get()), now));
  return CheckSignature(cert.get(), ca.get());
}

Result<Credentials> CheckCredentials(const CredentialPaths& paths, WallTime now) {
  TRY(Credentials credentials, LoadCredentials(paths));
  if (Status status = CheckCredentials(credentials, now); !status) {
    return std::move(status).error().Context(paths.certificate);
  }
  return credentials;
}

}  // namespace culprit
