// Whether the adopted server can serve, asked of itself: nothing tells us. Threads: the io_context's.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "http/asio.h"
#include "http/client.h"

namespace dormouse::worker::adopt {

struct ReadinessOptions {
  http::Address upstream;
  std::string path;         // empty: /health, and `models_path` where that is answered by 404, 405 or 501
  std::string models_path;  // "/v1/models", with what stands before it
  std::chrono::milliseconds deadline{600'000};
};

// Asks until 200 comes. Refused connections, 503 and every other status mean: not yet. `*abandoned` set from the loop
// ends it with kCancelled within a moment.
// Errors: kDeadlineExceeded, saying what the last answer was; kCancelled.
[[nodiscard]] Task<Status> wait_until_ready(asio::io_context& io, http::Client& client, const Clock& clock,
                                            ReadinessOptions options, std::shared_ptr<bool> abandoned);
// What the server calls its model: the first of GET /v1/models. "" where it does not say.
[[nodiscard]] Task<std::string> ask_model_name(http::Client& client, http::Address upstream, std::string models_path);

}  // namespace dormouse::worker::adopt
