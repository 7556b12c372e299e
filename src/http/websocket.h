// One WebSocket connection, either side. Messages are whole texts. Threads: the io_context's.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/result.h"
#include "http/asio.h"
#include "http/message.h"

namespace dormouse::http {

// A peer that is silent for half of this is pinged, one silent for all of it is gone: both sides notice a network that
// was cut without a word. The longest is the default; whoever has less time says so.
inline constexpr std::chrono::milliseconds kWebSocketSilence{20'000};

class WebSocket {
 public:
  virtual ~WebSocket() = default;
  // Up to 1 MiB. Errors, each the end of the connection: kCancelled (closed by either side), kUnavailable (broken),
  // kTooLarge, kDeadlineExceeded (a silent peer).
  virtual Task<Result<std::string>> read() = 0;
  // Concurrent writers are queued in order.
  virtual Task<Status> write(std::string text) = 0;
  virtual void close() = 0;
};

// Errors: kUnavailable (no connection, or not upgraded: the status in the message), kUnauthenticated (TLS: not the peer
// we trust), kDeadlineExceeded.
Task<Result<std::unique_ptr<WebSocket>>> connect_websocket(asio::io_context& io, Address address, std::string path,
                                                           Headers headers, std::chrono::milliseconds deadline,
                                                           std::chrono::milliseconds silence = kWebSocketSilence);

}  // namespace dormouse::http
