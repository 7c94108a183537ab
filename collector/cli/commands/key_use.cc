// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/commands/key_use.h"

#include <spdlog/fmt/fmt.h>

#include <vector>

#include "collector/cli/json.h"
#include "collector/cli/views.h"

namespace culprit::cli {

int ShowKeyUse(Session& session, Client& client, const KeyUse& use) {
  v1::ListLoginsRequest request;
  *request.mutable_time() = use.time;
  request.set_host(use.host);
  request.set_key_fingerprint(use.fingerprint);
  request.set_limit(use.limit);
  const auto logins = client.ListLogins(request);
  if (!logins) return session.Fail(logins.error());
  if (logins->logins_size() == 0) {
    session.Note("no login with this key is known here");
    return kExitNoMatch;
  }
  std::vector<v1::GetSessionResponse> sessions;
  for (const v1::LoginRow& login : logins->logins()) {
    if (session.interrupted()) return kExitInterrupted;
    v1::GetSessionRequest one;
    one.set_session(login.session_id());
    one.set_host(login.agent_id());
    auto answer = client.GetSession(one);
    if (!answer) return session.Fail(answer.error());
    if (session.json()) session.Print(ToJson(*answer) + "\n");
    sessions.push_back(std::move(*answer));
  }
  if (!session.json()) session.Print(RenderKeyUse(sessions, session.view()));
  if (sessions.size() == use.limit) {
    session.Note(fmt::format("these are the newest {} sessions; --limit shows more", use.limit));
  }
  return kExitOk;
}

}  // namespace culprit::cli
