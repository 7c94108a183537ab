// SPDX-License-Identifier: Apache-2.0
// Who gets in: joins the rules of enrolment, what was revoked, the roles and the audit log, and
// stands guard at the TLS server. Where it is configured it listens for hosts that enrol.
//
// Stage: wiring. Thread: made and stopped by one; the guard's calls come from gRPC's threads.
// Failure: without a working audit log no operator is answered but about the collector's own state,
// and nobody enrols; evidence goes on.
#ifndef CULPRIT_COLLECTOR_ENROLMENT_H_
#define CULPRIT_COLLECTOR_ENROLMENT_H_

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "collector/audit/audit_log.h"
#include "collector/config.h"
#include "collector/enrol/enroller.h"
#include "collector/ingest/access_guard.h"
#include "collector/ingest/ingest.h"
#include "collector/ingest/tls_server.h"

namespace culprit {

class Enrolment final : public AccessGuard {
 public:
  static Result<std::unique_ptr<Enrolment>> Open(
      const CollectorConfig& config, std::string ca_pem,
      std::function<void(const SecondEnrolment&)> on_second);
  ~Enrolment() override;

  // Others are revoked by the configuration, and another CA vouches for clients: at once for new
  // calls. Errors: of the port where hosts enrol, which then shows what it did.
  Status Reload(std::vector<std::string> revoked, const Credentials& credentials);
  // The port where hosts enrol, if there is one. Errors: those of StartTlsServer().
  Status Listen(const Credentials& credentials);
  void Stop();

  Status CheckCertificate(std::string_view certificate_pem) override;
  Status CheckCall(std::string_view certificate_pem, std::string_view method) override;
  Status Asked(std::string_view certificate_pem, std::string_view method, std::string_view peer,
               const std::string& request_json) override;
  void HandshakeFailed(std::string_view what) override;

  // Takes in what commands did meanwhile; then who is connected is to be looked at again.
  Status Refresh();
  // Also for an agent whose certificate has run out meanwhile; empty = it is welcome.
  std::string WhyNotWelcome(const ConnectedAgent& agent) const;

  grpc::Service* renewal_service() { return renewal_.get(); }
  // One line each, with the remedy.
  std::vector<std::string> problems() const;

 private:
  Enrolment(const CollectorConfig& config, std::string ca_pem);

  // The newest of what Reload() may change.
  struct Rules {
    std::string ca_pem;
    std::vector<std::string> revoked;
  };
  std::shared_ptr<const Rules> rules() const;
  void SetRules(Rules rules);

  const CollectorConfig config_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Rules> rules_;  // guarded by mutex_
  std::unique_ptr<AuditLog> audit_;
  std::unique_ptr<EnrolStore> store_;
  std::unique_ptr<Enroller> enroller_;
  std::unique_ptr<grpc::Service> renewal_, enrolment_;
  std::unique_ptr<TlsServer> server_;
};

// Of all files of enrol.aws_certificates; one that is not there is left out. Errors: one that is
// wrong, with its name and line.
Result<RegionCertificates> LoadRegionCertificates(const std::vector<std::string>& paths);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ENROLMENT_H_
