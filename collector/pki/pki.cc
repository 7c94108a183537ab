// SPDX-License-Identifier: Apache-2.0
#include "collector/pki/pki.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "common/file.h"
#include "common/unique_fd.h"

namespace culprit {
namespace {

constexpr mode_t kKeyMode = 0600;
constexpr mode_t kPublicMode = 0644;

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return Ok();
  return ErrnoError("can not create directory " + path);
}

// Complete or not there at all, also across a power cut: a temporary file is linked to its name
// once it is on disk. link(2) refuses to replace an existing file.
Status WriteNewFile(const std::string& path, std::string_view bytes, mode_t mode) {
  const std::string temporary = path + ".new";
  unlink(temporary.c_str());
  const UniqueFd fd(
      open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!fd) return ErrnoError("can not create " + temporary);
  Status status = WriteAll(fd.get(), bytes);
  if (status && fsync(fd.get()) != 0) status = ErrnoError("fsync");
  if (status && link(temporary.c_str(), path.c_str()) != 0) {
    status = errno == EEXIST
                 ? MakeError(Code::kAlreadyExists,
                             path +
                                 " exists already and is never overwritten: choose another "
                                 "directory, or move it away")
                 : ErrnoError("link");
  }
  unlink(temporary.c_str());
  if (!status) return std::move(status).error().Context("can not write " + path);
  return Ok();
}

// Either both are there or neither; a half pair is somebody's accident that must not be papered
// over.
Result<bool> PairExists(const std::string& certificate, const std::string& key) {
  const bool have_certificate = Exists(certificate), have_key = Exists(key);
  if (have_certificate == have_key) return have_key;
  return FailedPrecondition((have_key ? key : certificate) + " is there without " +
                            (have_key ? certificate : key) +
                            ": restore the missing file, or move the lone one away");
}

std::string Hostname() {
  char name[HOST_NAME_MAX + 1] = {};
  if (gethostname(name, HOST_NAME_MAX) != 0) return {};
  return name;
}

Status CheckName(const std::string& name) {
  if (IsCertificateName(name)) return Ok();
  return InvalidArgument("\"" + name +
                         "\" is not a usable name: 1-64 letters, digits, '.', '_' or '-'");
}

CertificateRequest LeafRequest(const PkiOptions& options, const std::string& common_name) {
  CertificateRequest request;
  request.common_name = common_name;
  request.not_before = options.now - options.backdate;
  request.not_after = options.now + options.leaf_validity;
  return request;
}

Status WritePair(const std::string& certificate_path, const std::string& key_path,
                 const KeyAndCertificate& pair) {
  TRY_VOID(WriteNewFile(key_path, pair.key_pem, kKeyMode));
  return WriteNewFile(certificate_path, pair.certificate_pem, kPublicMode);
}

Status MakeCa(const PkiPaths& paths, const PkiOptions& options) {
  CertificateRequest request = LeafRequest(options, "Culprit CA");
  request.usage = CertificateUsage::kCa;
  request.not_after = options.now + options.ca_validity;
  TRY(const KeyAndCertificate ca, MakeCertificate(request, nullptr));
  return WritePair(paths.server.ca, paths.ca_key, ca);
}

std::vector<std::string> ServerNames(const PkiOptions& options) {
  std::vector<std::string> names{"localhost", "127.0.0.1", "::1"};
  const auto add = [&names](const std::string& name) {
    if (!name.empty() && std::ranges::find(names, name) == names.end()) names.push_back(name);
  };
  add(Hostname());
  for (const std::string& name : options.server_names) add(name);
  return names;
}

Status MakeServer(const PkiPaths& paths, const PkiOptions& options, const Issuer& issuer) {
  CertificateRequest request = LeafRequest(options, "culprit-collector");
  request.usage = CertificateUsage::kServer;
  request.host_names = ServerNames(options);
  TRY(const KeyAndCertificate pair, MakeCertificate(request, &issuer));
  return WritePair(paths.server.certificate, paths.server.key, pair);
}

Status MakeOperator(const CredentialPaths& out, const std::string& name, OperatorRole role,
                    const PkiOptions& options, const Issuer& issuer) {
  CertificateRequest request = LeafRequest(options, name);
  request.usage = CertificateUsage::kClient;
  request.uri = "spiffe://culprit/operator/" + name;
  request.second_uri = RoleUri(role);
  TRY(const KeyAndCertificate pair, MakeCertificate(request, &issuer));
  return WritePair(out.certificate, out.key, pair);
}

Status MakeJournalKey(const PkiPaths& paths) {
  TRY(const SigningKey key, MakeSigningKey());
  TRY_VOID(WriteNewFile(paths.journal_key, key.private_pem, kKeyMode));
  return WriteNewFile(paths.journal_public_key, key.public_pem, kPublicMode);
}

// Paths of a new client's files. Refuses before anything is made if one of them is taken.
Result<CredentialPaths> PrepareOut(const std::string& directory, const std::string& stem,
                                   const std::string& ca_pem) {
  TRY_VOID(MakeDirectory(directory));
  CredentialPaths out{directory + "/ca.pem", directory + "/" + stem + ".pem",
                      directory + "/" + stem + ".key"};
  for (const std::string& path : {out.certificate, out.key}) {
    if (Exists(path)) {
      return MakeError(Code::kAlreadyExists,
                       path + " exists already and is never overwritten: choose another directory");
    }
  }
  if (!Exists(out.ca)) {
    TRY_VOID(WriteNewFile(out.ca, ca_pem, kPublicMode));
    return out;
  }
  TRY(const std::string there, ReadPemFile(out.ca));
  if (there != ca_pem) {
    return MakeError(Code::kAlreadyExists,
                     out.ca + " is there already and is another CA's: choose another directory");
  }
  return out;
}

}  // namespace

bool IsCertificateName(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
  });
}

Result<Issuer> LoadIssuer(const std::string& directory) {
  const PkiPaths paths = PkiPathsIn(directory);
  if (!Exists(paths.server.ca) || !Exists(paths.ca_key)) {
    return NotFound(paths.directory + " has no CA: run `culprit-collector init` first");
  }
  CredentialPaths ca{paths.server.ca, paths.server.ca, paths.ca_key};
  TRY(const Credentials credentials, LoadCredentials(ca));
  return Issuer{credentials.certificate_pem, credentials.key_pem};
}

PkiPaths PkiPathsIn(const std::string& directory) {
  const auto in = [&directory](const char* name) { return directory + "/" + name; };
  PkiPaths paths;
  paths.directory = directory;
  paths.server = {in("ca.pem"), in("server.pem"), in("server.key")};
  paths.ca_key = in("ca.key");
  paths.journal_key = in("journal.key");
  paths.journal_public_key = in("journal.pub");
  paths.operator_credentials = {in("ca.pem"), in("operator.pem"), in("operator.key")};
  return paths;
}

Result<InitOutcome> InitPki(const std::string& directory, const PkiOptions& options) {
  InitOutcome outcome;
  outcome.paths = PkiPathsIn(directory);
  const PkiPaths& paths = outcome.paths;
  TRY_VOID(MakeDirectory(directory));
  TRY(const bool have_ca, PairExists(paths.server.ca, paths.ca_key));
  TRY(const bool have_server, PairExists(paths.server.certificate, paths.server.key));
  TRY(const bool have_journal, PairExists(paths.journal_public_key, paths.journal_key));
  const CredentialPaths& op = paths.operator_credentials;
  TRY(const bool have_operator, PairExists(op.certificate, op.key));
  if (!have_ca && (have_server || have_operator)) {
    return FailedPrecondition(directory +
                              " has certificates but not the CA that signed them: "
                              "restore ca.pem and ca.key, or start with an empty directory");
  }
  if (!have_ca) TRY_VOID(MakeCa(paths, options));
  TRY(const Issuer issuer, LoadIssuer(directory));
  if (!have_server) TRY_VOID(MakeServer(paths, options, issuer));
  if (!have_journal) TRY_VOID(MakeJournalKey(paths));
  if (!have_operator) TRY_VOID(MakeOperator(op, "operator", OperatorRole::kAdmin, options, issuer));
  outcome.created = !(have_ca && have_server && have_journal && have_operator);
  TRY_VOID(SyncDirectory(directory));
  TRY(const std::string server_pem, ReadPemFile(paths.server.certificate));
  TRY(const CertificateInfo server, ReadCertificate(server_pem));
  outcome.server_names = server.host_names;
  return outcome;
}

Result<IssuedCredentials> IssueAgent(const std::string& directory, const std::string& name,
                                     const std::string& out_directory, const PkiOptions& options) {
  TRY_VOID(CheckName(name));
  TRY(const Issuer issuer, LoadIssuer(directory));
  IssuedCredentials issued;
  TRY(issued.paths, PrepareOut(out_directory, "agent", issuer.certificate_pem));
  issued.agent_id = Uuid::Random();
  CertificateRequest request = LeafRequest(options, name);
  request.usage = CertificateUsage::kClient;
  request.uri = "spiffe://culprit/agent/" + issued.agent_id.ToString();
  TRY(const KeyAndCertificate pair, MakeCertificate(request, &issuer));
  TRY_VOID(WritePair(issued.paths.certificate, issued.paths.key, pair));
  TRY_VOID(SyncDirectory(out_directory));
  return issued;
}

Result<IssuedCredentials> IssueOperator(const std::string& directory, const std::string& name,
                                        OperatorRole role, const std::string& out_directory,
                                        const PkiOptions& options) {
  TRY_VOID(CheckName(name));
  TRY(const Issuer issuer, LoadIssuer(directory));
  IssuedCredentials issued;
  TRY(issued.paths, PrepareOut(out_directory, "operator", issuer.certificate_pem));
  TRY_VOID(MakeOperator(issued.paths, name, role, options, issuer));
  TRY_VOID(SyncDirectory(out_directory));
  return issued;
}

}  // namespace culprit
