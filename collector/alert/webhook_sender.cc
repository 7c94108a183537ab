// SPDX-License-Identifier: Apache-2.0
#include <curl/curl.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <mutex>

#include "collector/alert/alert_body.h"
#include "collector/alert/alert_sender.h"
#include "collector/alert/signature.h"
#include "collector/alert/target_files.h"
#include "collector/format/message_json.h"
#include "common/text.h"
#include "common/time.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxAnswer = 300;  // what of an answer is told; the rest is read and left
constexpr long kConnectMs = 5000;
constexpr std::chrono::seconds kMaxRetryAfter{3600};

struct FreeHandle {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Headers = std::unique_ptr<curl_slist, FreeList>;

std::size_t TakeAnswer(char* data, std::size_t size, std::size_t count, void* out) {
  auto& answer = *static_cast<std::string*>(out);
  const std::size_t bytes = size * count;
  if (answer.size() < kMaxAnswer) answer.append(data, std::min(bytes, kMaxAnswer - answer.size()));
  return bytes;
}

// Not 0 ends the transfer.
int AskedToStop(void* stop, curl_off_t /*unused*/, curl_off_t /*unused*/, curl_off_t /*unused*/,
                curl_off_t /*unused*/) {
  return static_cast<const std::stop_token*>(stop)->stop_requested() ? 1 : 0;
}

SendOutcome Failed(std::string error) { return {SendResult::kFailed, std::move(error), {}}; }

void Add(Headers* headers, const std::string& line) {
  if (curl_slist* longer = curl_slist_append(headers->get(), line.c_str())) {
    static_cast<void>(headers->release());
    headers->reset(longer);
  }
}

class WebhookSender final : public AlertSender {
 public:
  WebhookSender(const AlertTarget& target, const std::string& version)
      : target_(target), agent_("culprit-collector/" + version) {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    handle_.reset(curl_easy_init());
  }

  SendOutcome Send(const SendRequest& request) override {
    if (!handle_) return Failed("libcurl cannot be used");
    auto url = UrlOf(target_);
    if (!url) return Failed(url.error().message);
    const std::string body = AlertBody(target_.format, request.alert);
    Headers headers;
    if (const Status made = MakeHeaders(request, body, &headers); !made)
      return Failed(made.error().message);
    std::string answer;
    std::array<char, CURL_ERROR_SIZE> error{};
    curl_easy_reset(handle_.get());  // keeps the connection
    Limit(&request.stop);
    CURL* h = handle_.get();
    curl_easy_setopt(h, CURLOPT_URL, url->c_str());
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(h, CURLOPT_POSTFIELDS, body.c_str());
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, &TakeAnswer);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, &answer);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, error.data());
    const CURLcode code = curl_easy_perform(h);
    if (code != CURLE_OK) {
      return Failed(EscapeText(error[0] == '\0' ? curl_easy_strerror(code) : error.data()));
    }
    return Judge(answer);
  }

 private:
  Status MakeHeaders(const SendRequest& request, const std::string& body, Headers* headers) const {
    Add(headers, "Content-Type: application/json");
    Add(headers, "Expect:");
    Add(headers, "Idempotency-Key: " + request.alert.key());
    Add(headers, "X-Culprit-Event: " + WordOf(request.alert.event()));
    Add(headers, fmt::format("X-Culprit-Attempt: {}", request.attempt));
    if (target_.secret_file.empty()) return Ok();
    TRY(const std::string secret, ReadSecretFile(target_.secret_file));
    const std::int64_t seconds = ToNs(ReadWallClock()) / 1'000'000'000;
    Add(headers, fmt::format("X-Culprit-Timestamp: {}", seconds));
    Add(headers, "X-Culprit-Signature: " + SignBody(secret, seconds, body));
    return Ok();
  }

  // What bounds the attempt, and whom it may talk to.
  void Limit(const std::stop_token* stop) {
    CURL* h = handle_.get();
    const auto timeout = static_cast<long>(target_.timeout.count());
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, timeout);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, std::min(timeout, kConnectMs));
    curl_easy_setopt(h, CURLOPT_PROXY, target_.proxy.c_str());
    curl_easy_setopt(h, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    if (!target_.ca_file.empty()) {
      curl_easy_setopt(h, CURLOPT_CAINFO, target_.ca_file.c_str());
      curl_easy_setopt(h, CURLOPT_CAPATH, nullptr);
    }
    curl_easy_setopt(h, CURLOPT_USERAGENT, agent_.c_str());
    curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, &AskedToStop);
    curl_easy_setopt(h, CURLOPT_XFERINFODATA, stop);
  }

  SendOutcome Judge(const std::string& answer) {
    long status = 0;
    curl_off_t wait = 0;
    curl_easy_getinfo(handle_.get(), CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(handle_.get(), CURLINFO_RETRY_AFTER, &wait);
    if (status >= 200 && status < 300) return {SendResult::kDelivered, "", {}};
    SendOutcome outcome = Failed(fmt::format("HTTP status {}", status));
    if (status >= 300 && status < 400) outcome.error += ", a redirection, which is not followed";
    if (!answer.empty()) outcome.error += ": " + EscapeText(answer);
    if (status == 400 || status == 413 || status == 415 || status == 422)
      outcome.result = SendResult::kRefused;
    outcome.retry_after = std::min<std::chrono::milliseconds>(
        std::chrono::seconds(std::max<curl_off_t>(wait, 0)), kMaxRetryAfter);
    return outcome;
  }

  const AlertTarget target_;
  const std::string agent_;
  std::unique_ptr<CURL, FreeHandle> handle_;
};

}  // namespace

std::unique_ptr<AlertSender> MakeWebhookSender(const AlertTarget& target,
                                               const std::string& version) {
  return std::make_unique<WebhookSender>(target, version);
}

std::unique_ptr<AlertSender> MakeAlertSender(const AlertTarget& target,
                                             const std::string& version) {
  if (target.kind == "syslog") return MakeSyslogSender(target);
  if (target.kind == "command") return MakeCommandSender(target);
  return MakeWebhookSender(target, version);
}

}  // namespace culprit
