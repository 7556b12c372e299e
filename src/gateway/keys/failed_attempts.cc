#include "gateway/keys/failed_attempts.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>

#include "http/asio.h"

namespace dormouse::gateway {

std::optional<std::chrono::seconds> FailedAttempts::count(std::string_view address) {
  const MonoTime now = clock_.now();
  const std::string name(address);
  const auto found = by_address_.find(name);
  if (found != by_address_.end()) {
    order_.splice(order_.begin(), order_, found->second);
  } else {
    if (by_address_.size() >= kMaxFailureAddresses) {
      by_address_.erase(order_.back().name);
      order_.pop_back();
    }
    order_.push_front({name, now});
    by_address_[name] = order_.begin();
  }
  // The generic cell rate algorithm: one number instead of a count and a time.
  MonoTime& paid_until = order_.front().paid_until;
  const MonoTime next = std::max(paid_until, now) + kFailurePeriod;
  const Nanoseconds over = (next - now) - kFailureBurst * kFailurePeriod;
  if (over.count() <= 0) {
    paid_until = next;
    return std::nullopt;
  }
  return std::max(std::chrono::ceil<std::chrono::seconds>(over), std::chrono::seconds(1));
}

std::string address_of(std::string_view client) {
  boost::system::error_code ec;
  const asio::ip::address address = asio::ip::make_address(std::string(client), ec);
  if (ec || address.is_v4()) return std::string(client);
  const asio::ip::address_v6::bytes_type bytes = address.to_v6().to_bytes();
  constexpr std::size_t kNetworkBytes = 8;
  std::string out;
  for (std::size_t i = 0; i < kNetworkBytes; ++i) out += fmt::format("{:02x}", bytes[i]);
  return out + "/64";
}

}  // namespace dormouse::gateway
