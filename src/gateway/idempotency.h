// The Idempotency-Key header: one request for each key of a caller and route, however often it is sent. Threads: any.
#pragma once

#include <optional>

#include "api/generation.h"
#include "gateway/call.h"
#include "ledger/records.h"

namespace dormouse::gateway {

// nullopt inside: the request carries none. Errors: kInvalidValue (empty, over 255 bytes, not printable ASCII).
[[nodiscard]] api::ApiResult<std::optional<ledger::IdempotencyClaim>> idempotency_of(const Call& call);

}  // namespace dormouse::gateway
