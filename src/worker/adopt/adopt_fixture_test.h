// Test equipment: an adopter with tests/fake_upstream (or any command) as its child, its loop on a thread of its own,
// and a directory for sockets and signs. Tests speak to it through sockets.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "http/server_fixture_test.h"
#include "worker/adopt/adopter.h"
#include "worker/fake_gateway_test.h"

namespace dormouse::worker::adopt {

class AdopterHarness {
 public:
  struct Options {
    std::vector<std::string> command = {};    // empty: fake_upstream with `arguments`
    std::vector<std::string> arguments = {};  // {dir} is the harness's directory
    std::string listen = {};                  // empty: a Unix socket
    std::string control = {};
    std::chrono::milliseconds ready_deadline{60'000};
    std::string ready_path = {};
    ContainerOptions container = {};
  };
  explicit AdopterHarness(Options options);
  ~AdopterHarness();
  AdopterHarness(const AdopterHarness&) = delete;
  AdopterHarness& operator=(const AdopterHarness&) = delete;

  [[nodiscard]] const http::Address& address() const { return address_; }
  // A path in the directory; touch() makes the file.
  [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/" + name; }
  void touch(const std::string& name) const;
  [[nodiscard]] bool wait_ready();
  void drain();
  // The exit code, at most 20 s after the call.
  [[nodiscard]] std::optional<int> wait_exit();
  // What the child wrote until now.
  [[nodiscard]] std::string output();

  [[nodiscard]] http::RawAnswer get(const std::string& path);
  [[nodiscard]] http::RawAnswer post(const std::string& path, const std::string& body);

 private:
  asio::io_context io_;
  std::string directory_;
  bool is_contained_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string output_;
  std::optional<int> exit_code_;
  std::unique_ptr<Adopter> adopter_;
  http::Address address_;
  std::thread thread_;
};

// "POST path HTTP/1.1" with a JSON body, ready to send.
[[nodiscard]] std::string post_bytes(const std::string& path, const std::string& body);
// The data: payloads of an SSE body, [DONE] included.
[[nodiscard]] std::vector<std::string> sse_payloads(const std::string& body);

}  // namespace dormouse::worker::adopt
