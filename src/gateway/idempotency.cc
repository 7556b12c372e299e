#include "gateway/idempotency.h"

#include <algorithm>
#include <string_view>

#include "fleet/lease_token.h"

namespace dormouse::gateway {
namespace {

constexpr std::size_t kMaxBytes = 255;
constexpr std::string_view kHeader = "idempotency-key";

}  // namespace

api::ApiResult<std::optional<ledger::IdempotencyClaim>> idempotency_of(const Call& call) {
  const auto sent = call.request().headers.find(kHeader);
  if (!sent.has_value()) return std::optional<ledger::IdempotencyClaim>();
  const std::string_view key = *sent;
  const bool is_printable = std::all_of(key.begin(), key.end(), [](char c) { return c >= ' ' && c < 0x7f; });
  if (key.empty() || key.size() > kMaxBytes || !is_printable) {
    return tl::unexpected(
        api::ApiError{api::ErrorCode::kInvalidValue, "must have 1 to 255 printable characters", std::string(kHeader)});
  }
  ledger::IdempotencyClaim claim;
  // Two callers' keys never meet, nor do those of two routes.
  claim.scope = (call.caller != nullptr ? call.caller->key_id : std::string("-")) + " " + call.route->pattern;
  claim.client_key = key;
  claim.body_sha256 = fleet::sha256_hex(call.request().body);
  return std::optional(std::move(claim));
}

}  // namespace dormouse::gateway
