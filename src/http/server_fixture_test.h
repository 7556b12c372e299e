// For the tests of http: a server in a thread of its own with a few known routes, and a blocking client that sends raw
// bytes. The tests speak through sockets only; nothing of the server is touched from their thread.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "base/unique_fd.h"
#include "http/server.h"

namespace dormouse::http {

// Routes: GET /hello; /echo answers the body; /path answers path?query; /stream sends "one","two","three" in chunks;
// /flood streams 64 KiB pieces until the client or the deadline ends it; /wait waits until the client is gone;
// /throw; /silent; /abort breaks off in mid-stream; /ws echoes; /sleep waits 300 ms, then answers.
class TestServer {
 public:
  explicit TestServer(ServerLimits limits = {}, bool tcp = false);
  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  [[nodiscard]] const Address& address() const { return address_; }
  // Number of requests that reached the handler; times a handler saw its client go; the last end of /flood.
  std::atomic<int> handled{0};
  std::atomic<int> gone{0};
  std::atomic<int> flood_end{-1};  // Code
  // Runs drain() and returns when it is over.
  void drain(std::chrono::milliseconds deadline);
  [[nodiscard]] std::size_t connections();
  // Waits until `what` is true, at most 10 s. Returns whether it became true.
  static bool eventually(const std::function<bool()>& condition);

 private:
  Task<void> handle(Exchange& exchange);

  asio::io_context io_;
  std::unique_ptr<Server> server_;
  Address address_;
  std::string directory_;
  std::thread thread_;
};

struct RawAnswer {
  int status = 0;    // 0: the connection ended without an answer
  std::string head;  // lower case
  std::string body;  // framing taken off
  bool complete = false;
};

class RawClient {
 public:
  explicit RawClient(const Address& address, int receive_buffer_bytes = 0);
  // False: the peer closed.
  bool send(std::string_view bytes);
  void shutdown_send();
  void close() { fd_.reset(); }
  // One answer by its framing. Waits at most 10 s for each piece.
  RawAnswer read_answer();
  // Everything until the end of the connection, at most 10 s without a byte; nullopt: it did not end.
  std::optional<std::string> read_to_end();
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  bool fill();

  UniqueFd fd_;
  std::string buffer_;
};

// How many status lines are in the bytes.
[[nodiscard]] int count_answers(const std::string& bytes);

}  // namespace dormouse::http
