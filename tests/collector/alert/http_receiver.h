// SPDX-License-Identifier: Apache-2.0
// A receiver of webhooks on a loopback port, that answers as a test says: with any bytes, with
// none, or by closing.
#ifndef CULPRIT_TESTS_COLLECTOR_ALERT_HTTP_RECEIVER_H_
#define CULPRIT_TESTS_COLLECTOR_ALERT_HTTP_RECEIVER_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cctype>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/unique_fd.h"

namespace culprit::testing {

struct Received {
  std::map<std::string, std::string> headers;  // names in lower case
  std::string path, body;
};

inline std::string Answer(int status, const std::string& headers = "",
                          const std::string& body = "") {
  return "HTTP/1.1 " + std::to_string(status) +
         " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n" +
         headers + "\r\n" + body;
}

class HttpReceiver {
 public:
  HttpReceiver() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size);
    listen(listener_.get(), 16);
    getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/hook"; }
  // The next answers, one a request; after them 200. "" closes without one, kHang keeps silent
  // until the client goes.
  void Script(std::deque<std::string> answers) {
    const std::lock_guard lock(mutex_);
    script_ = std::move(answers);
  }
  static constexpr const char* kHang = "hang";

  // Waits for so many requests in all.
  std::vector<Received> Await(std::size_t count) {
    std::unique_lock lock(mutex_);
    came_.wait_for(lock, std::chrono::seconds(30), [&] { return requests_.size() >= count; });
    return requests_;
  }

 private:
  void Run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      pollfd waiting{listener_.get(), POLLIN, 0};
      if (poll(&waiting, 1, 50) <= 0) continue;
      const UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      Received request;
      if (!Read(client.get(), &request)) continue;
      std::string answer = Answer(200);
      {
        const std::lock_guard lock(mutex_);
        if (!script_.empty()) {
          answer = script_.front();
          script_.pop_front();
        }
        requests_.push_back(std::move(request));
        came_.notify_all();
      }
      if (answer == kHang) {
        char byte = 0;
        while (!stop.stop_requested() && recv(client.get(), &byte, 1, 0) > 0) {
        }
      } else {
        send(client.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
      }
    }
  }

  static bool Read(int fd, Received* out) {
    std::string text;
    std::size_t head = std::string::npos, length = 0;
    char chunk[4096];
    while (head == std::string::npos || text.size() < head + 4 + length) {
      const ssize_t n = recv(fd, chunk, sizeof(chunk), 0);
      if (n <= 0) return false;
      text.append(chunk, static_cast<std::size_t>(n));
      if (head != std::string::npos || (head = text.find("\r\n\r\n")) == std::string::npos)
        continue;
      ReadHead(text.substr(0, head), out);
      length = std::stoul("0" + out->headers["content-length"]);
    }
    out->body = text.substr(head + 4);
    return true;
  }

  static void ReadHead(const std::string& head, Received* out) {
    out->path = head.substr(head.find(' ') + 1);
    out->path.resize(out->path.find(' '));
    for (std::size_t at = head.find("\r\n"); at != std::string::npos;
         at = head.find("\r\n", at + 2)) {
      const std::string line = head.substr(at + 2, head.find("\r\n", at + 2) - at - 2);
      const std::size_t colon = line.find(": ");
      if (colon == std::string::npos) continue;
      std::string name = line.substr(0, colon);
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      out->headers[name] = line.substr(colon + 2);
    }
  }

  UniqueFd listener_;
  std::uint16_t port_ = 0;
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<std::string> script_;
  std::vector<Received> requests_;
  std::jthread thread_;
};

}  // namespace culprit::testing

#endif  // CULPRIT_TESTS_COLLECTOR_ALERT_HTTP_RECEIVER_H_
