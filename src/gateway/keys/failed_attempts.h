// How often an address may show a wrong key: 20 at once, then ten a minute; past it the answer is 429. A right key is
// not counted and never refused for it: clients behind one proxy share an address. Against noise and load, not against
// guessing: 256 bits do that.
// Threads: the loop's.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/clock.h"

namespace dormouse::gateway {

inline constexpr std::int64_t kFailureBurst = 20;
inline constexpr Nanoseconds kFailurePeriod = std::chrono::seconds(6);  // gives one back
inline constexpr std::size_t kMaxFailureAddresses = 4'096;              // the one seen longest ago goes

class FailedAttempts {
 public:
  explicit FailedAttempts(const Clock& clock) : clock_(clock) {}

  // Counts one. nullopt: within the bound; else how long until it would be again, at least a second.
  [[nodiscard]] std::optional<std::chrono::seconds> count(std::string_view address);
  [[nodiscard]] std::size_t addresses() const { return by_address_.size(); }

 private:
  struct Address {
    std::string name;
    MonoTime paid_until;  // when all it has used is given back
  };
  const Clock& clock_;
  std::list<Address> order_;  // last seen first
  std::unordered_map<std::string, std::list<Address>::iterator> by_address_;
};

// What counts as one address: an IPv4 address, or the /64 of an IPv6 one, which is the least a provider gives a
// customer. `client`: Call::client, an address without its port.
[[nodiscard]] std::string address_of(std::string_view client);

}  // namespace dormouse::gateway
