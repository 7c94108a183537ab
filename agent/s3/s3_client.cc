// SPDX-License-Identifier: Apache-2.0
#include "agent/s3/s3_client.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "agent/s3/curl_library.h"
#include "common/ascii.h"
#include "common/hex.h"
#include "common/sha256.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxAnswerBytes = 16U << 10;
constexpr long kConnectSeconds = 10, kWholeSeconds = 120;
constexpr long kSlowBytes = 1024, kSlowSeconds = 20;  // slower than that for so long: given up

struct Taken {
  S3Answer answer;
};

std::size_t TakeBody(char* data, std::size_t one, std::size_t n, void* to) {
  std::string& body = static_cast<Taken*>(to)->answer.body;
  body.append(data, std::min(one * n, kMaxAnswerBytes - std::min(body.size(), kMaxAnswerBytes)));
  return one * n;
}

std::size_t TakeHeader(char* data, std::size_t one, std::size_t n, void* to) {
  constexpr std::string_view kRegion = "x-amz-bucket-region:";
  const std::string_view line(data, one * n);
  if (AsciiLower(line.substr(0, kRegion.size())) != kRegion) return line.size();
  std::string& region = static_cast<Taken*>(to)->answer.bucket_region;
  region.clear();
  for (const char c : line.substr(kRegion.size())) {
    if (region.size() < 63 && (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-'))
      region += c;
  }
  return line.size();
}

int IsCancelled(void* cancel, curl_off_t /*unused*/, curl_off_t /*unused*/, curl_off_t /*unused*/,
                curl_off_t /*unused*/) {
  return static_cast<const std::atomic<bool>*>(cancel)->load() ? 1 : 0;
}

std::string Md5Base64(std::string_view body) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (EVP_Digest(body.data(), body.size(), digest.data(), &size, EVP_md5(), nullptr) != 1)
    return {};
  std::array<unsigned char, std::size_t{2} * EVP_MAX_MD_SIZE> text{};
  const int n = EVP_EncodeBlock(text.data(), digest.data(), static_cast<int>(size));
  return {reinterpret_cast<const char*>(text.data()), static_cast<std::size_t>(n)};
}

std::string SecondsUtc(WallTime at) {
  const std::string text = FormatUtc(at);
  return text.substr(0, text.find('.')) + "Z";
}

class S3ClientImpl final : public S3Client {
 public:
  S3ClientImpl(const SinkOptions& sink, std::string ca_pem, const std::string& agent_version,
               const CurlLibrary* curl)
      : sink_(sink),
        ca_pem_(std::move(ca_pem)),
        user_agent_("culprit-agent/" + agent_version),
        curl_(curl),
        handle_(curl->init()) {}
  ~S3ClientImpl() override {
    if (handle_ != nullptr) curl_->cleanup(handle_);
  }
  S3ClientImpl(const S3ClientImpl&) = delete;
  S3ClientImpl& operator=(const S3ClientImpl&) = delete;

  Result<S3Answer> Put(const std::string& key, const std::string& body, bool once,
                       const AwsKeys& keys, WallTime now,
                       const std::atomic<bool>& cancel) override {
    if (handle_ == nullptr) return Unavailable("libcurl cannot be used");
    curl_slist* headers = Headers(body, once, keys, now);
    auto answer = Send(BucketUrl(sink_) + "/" + key, body, headers, keys, cancel);
    curl_->free_list(headers);
    return answer;
  }

 private:
  curl_slist* Headers(const std::string& body, bool once, const AwsKeys& keys, WallTime now) const {
    curl_slist* list = nullptr;
    const auto add = [&](const std::string& line) {
      if (curl_slist* longer = curl_->append(list, line.c_str())) list = longer;
    };
    add("Content-Type: application/octet-stream");
    // Object Lock asks for one that is not SigV4's own.
    if (const std::string md5 = Md5Base64(body); !md5.empty()) add("Content-MD5: " + md5);
    add("x-amz-content-sha256: " + HexEncode(AsBytes(Sha256Of(body))));
    if (!keys.session_token.empty()) add("x-amz-security-token: " + keys.session_token);
    if (once) add("If-None-Match: *");
    if (sink_.lock == "bucket") return list;
    add(std::string("x-amz-object-lock-mode: ") +
        (sink_.lock == "compliance" ? "COMPLIANCE" : "GOVERNANCE"));
    add("x-amz-object-lock-retain-until-date: " +
        SecondsUtc(now + std::chrono::days(sink_.retention_days)));
    return list;
  }

  Result<S3Answer> Send(const std::string& url, const std::string& body, curl_slist* headers,
                        const AwsKeys& keys, const std::atomic<bool>& cancel) {
    Taken taken;
    std::array<char, CURL_ERROR_SIZE> error{};
    curl_->reset(handle_);  // keeps the connection
    SetFixed(cancel);
    if (curl_->setopt(handle_, CURLOPT_AWS_SIGV4, ("aws:amz:" + sink_.region + ":s3").c_str()) !=
        CURLE_OK) {
      return FailedPrecondition("this host's libcurl was built without SigV4: install another one");
    }
    curl_->setopt(handle_, CURLOPT_USERNAME, keys.access_key_id.c_str());
    curl_->setopt(handle_, CURLOPT_PASSWORD, keys.secret_access_key.c_str());
    curl_->setopt(handle_, CURLOPT_URL, url.c_str());
    curl_->setopt(handle_, CURLOPT_HTTPHEADER, headers);
    curl_->setopt(handle_, CURLOPT_CUSTOMREQUEST, "PUT");
    curl_->setopt(handle_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_->setopt(handle_, CURLOPT_POSTFIELDS, body.c_str());
    curl_->setopt(handle_, CURLOPT_WRITEDATA, &taken);
    curl_->setopt(handle_, CURLOPT_HEADERDATA, &taken);
    curl_->setopt(handle_, CURLOPT_ERRORBUFFER, error.data());
    const CURLcode code = curl_->perform(handle_);
    if (code != CURLE_OK) {
      return Unavailable("no answer from " + BucketUrl(sink_) + ": " +
                         (error[0] == '\0' ? curl_->describe(code) : error.data()));
    }
    curl_->getinfo(handle_, CURLINFO_RESPONSE_CODE, &taken.answer.status);
    return std::move(taken.answer);
  }

  void SetFixed(const std::atomic<bool>& cancel) {
    CURL* h = handle_;
    curl_->setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_->setopt(h, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    curl_->setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
    curl_->setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_->setopt(h, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    curl_->setopt(h, CURLOPT_TIMEOUT, kWholeSeconds);
    curl_->setopt(h, CURLOPT_LOW_SPEED_LIMIT, kSlowBytes);
    curl_->setopt(h, CURLOPT_LOW_SPEED_TIME, kSlowSeconds);
    curl_->setopt(h, CURLOPT_PROXY, "");
    curl_->setopt(h, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    curl_->setopt(h, CURLOPT_USERAGENT, user_agent_.c_str());
    curl_->setopt(h, CURLOPT_WRITEFUNCTION, &TakeBody);
    curl_->setopt(h, CURLOPT_HEADERFUNCTION, &TakeHeader);
    curl_->setopt(h, CURLOPT_NOPROGRESS, 0L);
    curl_->setopt(h, CURLOPT_XFERINFOFUNCTION, &IsCancelled);
    curl_->setopt(h, CURLOPT_XFERINFODATA, &cancel);
    if (ca_pem_.empty()) return;
    curl_blob pem{ca_pem_.data(), ca_pem_.size(), CURL_BLOB_NOCOPY};
    curl_->setopt(h, CURLOPT_CAINFO_BLOB, &pem);
    curl_->setopt(h, CURLOPT_CAPATH, nullptr);
  }

  const SinkOptions sink_;
  std::string ca_pem_;
  const std::string user_agent_;
  const CurlLibrary* curl_;
  CURL* handle_;
};

}  // namespace

Result<std::unique_ptr<S3Client>> S3Client::Create(const SinkOptions& sink, std::string ca_pem,
                                                   const std::string& agent_version) {
  TRY(const CurlLibrary* curl, CurlLibrary::Load());
  return std::unique_ptr<S3Client>(
      std::make_unique<S3ClientImpl>(sink, std::move(ca_pem), agent_version, curl));
}

}  // namespace culprit
