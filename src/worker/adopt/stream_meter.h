// A streamed answer on its way through: the upstream's chunks in, the caller's chunks out, with cumulative usage where
// the caller wants it. Pure; one a request. Threads: any, one at a time.
//
// What is counted, in this order of trust:
//   1. the upstream's own usage, on any chunk; the last one says what the answer came to, also when it is less than was
//      counted before;
//   2. what came since then (or, without usage, from the start): one delta with content, reasoning or a tool call is
//   one
//      token. Servers of this dialect send a delta a token; one that gathers several in a delta and tells no usage is
//      undercounted.
// The prompt is known only from the upstream's usage; until then it is 0.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "api/generation.h"
#include "worker/adopt/call_rewrite.h"

namespace dormouse::worker::adopt {

class StreamMeter {
 public:
  StreamMeter(ModelNames names, const OutgoingCall& call);

  // The data of one server-sent event; returns SSE bytes for the caller, perhaps none. After [DONE] nothing is passed
  // on. Errors: what the upstream says is wrong, or internal_error (no JSON object).
  [[nodiscard]] api::ApiResult<std::string> on_event(std::string_view data);
  // The upstream's body ended. Empty after [DONE]; the closing bytes for a server that ends without one after every
  // choice has ended. Errors: worker_crashed (it ended in the middle).
  [[nodiscard]] api::ApiResult<std::string> on_end();

  [[nodiscard]] bool done() const { return done_; }
  [[nodiscard]] const api::Usage& usage() const { return usage_; }
  // False: the numbers are ours, counted by deltas.
  [[nodiscard]] bool usage_reported() const { return reported_; }

 private:
  [[nodiscard]] std::string closing();

  ModelNames names_;
  bool include_usage_;
  bool continuous_usage_;
  api::Usage usage_;
  api::ResponseHead head_;                                                   // of the first chunk, for the last one
  api::GenerationRequest::Kind kind_ = api::GenerationRequest::Kind::kChat;  // as the first chunk says
  std::set<std::int64_t> open_;                                              // choices without a finish_reason
  bool any_choice_ = false;
  bool reported_ = false;
  bool done_ = false;
};

}  // namespace dormouse::worker::adopt
