// The way of one inference request (ARCHITECTURE.md, "The way of one request", hops 4 to 11): reserve, place, cross,
// relay, settle, closing bytes. The same for every dialect; AnswerWriter is the only difference.
// Threads: the loop's. One Generation a request, in the handler's frame.
// Invariants: no byte leaves before the reservation is durable; exactly one settlement, durable before the closing
// bytes, and a refund of what they held should they not be written; the lease is given back; a worker lost before the
// caller got a token costs one more attempt, later it costs the caller an error event and no [DONE].
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "api/generation.h"
#include "fleet/supervisor.h"
#include "gateway/answer_cache.h"
#include "gateway/booking.h"
#include "gateway/call.h"
#include "gateway/deployments.h"
#include "gateway/dialect/answer.h"
#include "gateway/held_stream.h"
#include "gateway/placement.h"
#include "gateway/services.h"
#include "gateway/upstream.h"
#include "ledger/ledger.h"

namespace dormouse::gateway {

struct GenerationPlan {
  api::GenerationRequest request;
  std::unique_ptr<AnswerWriter> answer;
  const Deployment* deployment = nullptr;
  std::string dialect;                    // for the ledger
  std::optional<Nanoseconds> keep_alive;  // as fleet::AcquireRequest has it
  std::optional<ledger::IdempotencyClaim> idempotency;
  AnswerCache* kept_answers = nullptr;  // where one with such a key is kept; may be null without
};

class Generation {
 public:
  Generation(Services services, Call& call, GenerationPlan plan);
  Task<void> run();

 private:
  Task<Attempt> attempt();
  // The client's idempotency key stands for another request, or the ledger cannot be written, and that was answered;
  // false: go on.
  Task<bool> is_answered_at_once();
  Task<void> answer_again(const KeptAnswer& kept);
  void keep_answer(std::string content_type, std::string body);
  Task<void> close_stream();
  Task<void> close_whole();
  Task<Attempt> relay(Upstream& upstream, fleet::Lease& lease);
  Task<void> learn_end();
  // Sends what the dialect made of some chunks; false: the caller has gone.
  Task<bool> forward(std::vector<api::ParsedChunk> chunks);
  Task<void> finish();
  Task<void> fail(Attempt how);
  // What was reserved of the limits and is not on the bill goes back.
  void settle_limits(const ledger::Settlement& entry);
  [[nodiscard]] ledger::Settlement settlement(ledger::Outcome outcome, int status) const;
  [[nodiscard]] ledger::Reservation reservation() const;
  [[nodiscard]] AnswerSummary summary() const;
  [[nodiscard]] std::int64_t prompt_bound() const;
  [[nodiscard]] std::int64_t output_bound() const;
  [[nodiscard]] ledger::Checkpoint checkpoint() const;
  [[nodiscard]] std::optional<std::int64_t> cost_so_far() const;
  void count(const api::ParsedChunk& chunk);

  Services services_;
  Call& call_;
  GenerationPlan plan_;
  Answering answering_;
  Booking booking_;
  HeldStream held_;
  Placement place_;
  api::Usage produced_;                  // what the worker says it made
  bool usage_reported_ = false;          // else a piece counts as a token
  std::int64_t delivered_tokens_ = 0;    // of them, in chunks the socket has taken
  std::string pending_;                  // written for the caller, held until the first token
  bool answer_started_ = false;          // the caller has seen a part of the answer itself
  const fleet::Lease* lease_ = nullptr;  // of the attempt that runs
  std::string finish_reason_;
  std::string written_;  // of a stream, while it may have to be kept
  MonoTime sent_;
  MonoTime first_token_;
  MonoTime last_token_;
};

}  // namespace dormouse::gateway
