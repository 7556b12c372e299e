// One request to one worker, in the OpenAI dialect over HTTP, read as parsed chunks. What kind of server answers
// (ours, llama-server, vLLM) is not visible here. Threads: the loop's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/generation.h"
#include "http/client.h"
#include "http/sse.h"

namespace dormouse::gateway {

struct UpstreamRequest {
  api::GenerationRequest request;  // as the caller's; streaming and usage are switched on here
  std::string request_id;
  std::string tenant = "default";  // cache namespace
  std::string token;               // the lease's; empty: the worker wants none
  std::int64_t max_prompt_tokens = 0;
  std::chrono::milliseconds time_left{600'000};
};

class Upstream {
 public:
  // What came of waiting for the next piece of the answer.
  struct Step {
    enum class Kind {
      kChunks,    // some
      kDone,      // [DONE] and the end of the body
      kRefused,   // the worker answered with an error of its own: `error`
      kLost,      // the connection broke, or what came is no answer
      kCancelled  // by cancel()
    };
    Kind kind = Kind::kLost;
    std::vector<api::ParsedChunk> chunks;
    api::ApiError error;
  };

  explicit Upstream(http::Client& client) : client_(client), canceller_(std::make_shared<http::Canceller>()) {}

  // Sends; afterwards next() until it says anything but kChunks.
  Task<void> open(http::Address address, UpstreamRequest request);
  Task<Step> next();
  // Ends a pending open() or next(), the latter with kCancelled; the worker sees the connection close.
  void cancel() { canceller_->cancel(); }

 private:
  Task<Step> read_error();
  Step take_events();

  http::Client& client_;
  std::shared_ptr<http::Canceller> canceller_;
  std::unique_ptr<http::ClientResponse> response_;
  http::SseParser parser_;
  bool done_ = false;  // [DONE] seen
};

}  // namespace dormouse::gateway
