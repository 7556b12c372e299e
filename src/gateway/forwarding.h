// The way of a request whose answer comes whole and is no text (embeddings): reserve, place, send, settle, answer. The
// small sibling of Generation, with the same promises: no byte leaves before the reservation is durable; exactly one
// settlement, durable before the answer, and a refund should that not be written; the lease is given back; a worker
// lost on the way costs one more attempt.
// Threads: the loop's. One Forwarding a request, in the handler's frame.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/embeddings.h"
#include "gateway/booking.h"
#include "gateway/deployments.h"
#include "gateway/placement.h"
#include "gateway/services.h"

namespace dormouse::gateway {

// What the caller gets, and what it is billed by.
struct ForwardedAnswer {
  std::int64_t prompt_tokens = 0;
  std::string body;
};

struct ForwardPlan {
  std::string target;  // at the worker
  std::string body;    // for it, without its model's name
  std::int64_t most_tokens = 0;
  const Deployment* deployment = nullptr;
  std::string dialect;                    // for the ledger
  std::optional<Nanoseconds> keep_alive;  // as fleet::AcquireRequest has it
  // Of a worker's 200. Errors: it is no such answer.
  std::function<Result<ForwardedAnswer>(std::string_view)> read;
};

// All but the dialect and the way back.
[[nodiscard]] ForwardPlan embeddings_plan(const api::EmbeddingsRequest& request, const Deployment& deployment);

class Forwarding {
 public:
  Forwarding(Services services, Call& call, ForwardPlan plan);
  Task<void> run();

 private:
  Task<Attempt> attempt();
  Task<Attempt> exchange(fleet::Lease& lease);
  [[nodiscard]] Attempt take(int status, std::string_view body);
  [[nodiscard]] http::ClientRequest request_for(const fleet::Lease& lease) const;
  Task<void> finish();
  Task<void> fail(Attempt how);
  Task<void> settle(ledger::Settlement entry);
  [[nodiscard]] ledger::Settlement settlement(ledger::Outcome outcome, int status) const;

  Services services_;
  Call& call_;
  ForwardPlan plan_;
  Answering answering_;
  Booking booking_;
  std::shared_ptr<http::Canceller> canceller_;
  ForwardedAnswer answer_;
  Placement place_;
};

}  // namespace dormouse::gateway
