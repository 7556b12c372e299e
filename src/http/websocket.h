// One WebSocket connection, either side. Messages are whole texts. Threads: the io_context's.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/result.h"
#include "http/asio.h"
#include "http/message.h"

namespace dormouse::http {

class WebSocket {
 public:
  virtual ~WebSocket() = default;
  // Up to 1 MiB. Errors: kCancelled (closed by either side), kUnavailable (broken), kTooLarge, kDeadlineExceeded.
  virtual Task<Result<std::string>> read() = 0;
  // Concurrent writers are queued in order.
  virtual Task<Status> write(std::string text) = 0;
  virtual void close() = 0;
};

// Errors: kUnavailable (no connection, or not upgraded: the status in the message), kDeadlineExceeded.
Task<Result<std::unique_ptr<WebSocket>>> connect_websocket(asio::io_context& io, Address address, std::string path,
                                                           Headers headers, std::chrono::milliseconds deadline);

}  // namespace dormouse::http
