// This machine's own IP addresses, as they are now. Threads: any. Blocking for microseconds.
#pragma once

#include <vector>

#include "gateway/exposure/ip_network.h"

namespace dormouse::gateway {

// Empty where the system does not tell.
[[nodiscard]] std::vector<IpAddress> interface_addresses();

}  // namespace dormouse::gateway
