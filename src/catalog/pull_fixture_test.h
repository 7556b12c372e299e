// For the tests of pull: a server on this machine that writes whatever bytes it is told to, true or not, and a proxy.
// Each connection has a thread of its own; what was asked is kept.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/unique_fd.h"

namespace dormouse::catalog {

struct Seen {
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;  // names in lower case
};

struct Reply {
  std::string bytes;  // head and body as they go out
  bool cut = false;   // and then the connection is closed
};

// "HTTP/1.1 STATUS X", the headers, the body; Content-Length is added unless it is among them.
[[nodiscard]] Reply reply(int status, const std::map<std::string, std::string>& headers, std::string_view body);
// What an honest server answers: HEAD, a range (206), or all of it (200).
[[nodiscard]] Reply honest(const Seen& seen, std::string_view content,
                           const std::map<std::string, std::string>& headers = {});

class LyingServer {
 public:
  using Handler = std::function<Reply(const Seen&)>;
  explicit LyingServer(Handler handler);
  ~LyingServer();
  LyingServer(const LyingServer&) = delete;
  LyingServer& operator=(const LyingServer&) = delete;

  [[nodiscard]] std::string authority() const;  // 127.0.0.1:PORT
  [[nodiscard]] std::string url(std::string_view target) const;
  [[nodiscard]] std::vector<Seen> seen() const;
  [[nodiscard]] std::size_t count(std::string_view method) const;
  [[nodiscard]] std::size_t connections() const;  // so far

 private:
  void accept_all();
  void serve(int fd);

  const Handler handler_;
  UniqueFd listener_;
  unsigned short port_ = 0;
  mutable std::mutex mutex_;
  std::vector<Seen> seen_;
  std::vector<std::thread> threads_;
  std::set<int> open_;
  std::atomic<bool> is_over_{false};
  std::thread acceptor_;
};

}  // namespace dormouse::catalog
