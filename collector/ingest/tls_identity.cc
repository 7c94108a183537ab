// SPDX-License-Identifier: Apache-2.0
#include "collector/ingest/tls_identity.h"

#include <fcntl.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "common/file.h"

namespace culprit {
namespace {

constexpr unsigned kLookEverySeconds = 1;

// gRPC reads key and certificate one after the other and looks at the file's time, in seconds,
// before and after: each generation has a second of its own, so it never joins halves of two.
Result<UniqueFd> MemoryFile(const std::string& content, std::int64_t generation) {
  UniqueFd fd(memfd_create("culprit-tls", MFD_CLOEXEC));
  if (!fd) return ErrnoError("memfd_create");
  TRY_VOID(WriteAll(fd.get(), content));
  timespec times[2] = {};
  times[0].tv_sec = times[1].tv_sec = generation;
  if (futimens(fd.get(), times) != 0) return ErrnoError("futimens");
  return fd;
}

Status Exchange(const UniqueFd& next, const UniqueFd& place) {
  if (dup3(next.get(), place.get(), O_CLOEXEC) < 0) return ErrnoError("dup3");
  return Ok();
}

}  // namespace

Result<std::unique_ptr<TlsIdentity>> TlsIdentity::Make(const Credentials& credentials,
                                                       bool show_ca) {
  std::unique_ptr<TlsIdentity> out(new TlsIdentity(show_ca));
  TRY(out->pair_, MemoryFile("", 0));
  TRY(out->ca_, MemoryFile("", 0));
  TRY_VOID(out->Set(credentials));
  // One file for both: readers of PEM pass over what they do not look for.
  const std::string pair = DescriptorPath(out->pair_.get());
  out->provider_ = std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
      pair, pair, DescriptorPath(out->ca_.get()), kLookEverySeconds);
  return out;
}

Status TlsIdentity::Set(const Credentials& credentials) {
  ++generation_;
  const std::string chain =
      show_ca_ ? credentials.certificate_pem + credentials.ca_pem : credentials.certificate_pem;
  TRY(const UniqueFd pair, MemoryFile(credentials.key_pem + "\n" + chain, generation_));
  TRY(const UniqueFd ca, MemoryFile(credentials.ca_pem, generation_));
  TRY_VOID(Exchange(ca, ca_));
  return Exchange(pair, pair_);
}

}  // namespace culprit
