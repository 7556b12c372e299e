// Test equipment: a gateway's end of the control channel on a Unix socket, its loop on a thread of its own.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "control/messages.h"
#include "http/server.h"

namespace dormouse::worker {

// A new folder for sockets: its path is short.
[[nodiscard]] std::string make_directory();
[[nodiscard]] http::Address unix_address(const std::string& path);

// Listens on a Unix socket and keeps what workers say.
class FakeGateway {
 public:
  FakeGateway();
  ~FakeGateway();
  [[nodiscard]] std::string address() const { return address_.to_string(); }
  // The next message, at most 10 s.
  [[nodiscard]] std::optional<control::Message> next();
  void send(control::Message message);
  // As if the process had died.
  void vanish();

 private:
  Task<void> serve(http::Exchange& exchange);
  asio::io_context io_;
  std::string directory_;
  std::unique_ptr<http::Server> server_;
  http::Address address_;
  std::unique_ptr<http::WebSocket> socket_;  // the loop's
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<control::Message> messages_;
  std::thread thread_;
};

}  // namespace dormouse::worker
