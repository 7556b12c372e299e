// What became of a test alert at one webhook, as the admin API says it.
#pragma once

#include <string>

namespace dormouse::gateway {

struct AlertTestRow {
  std::string webhook;
  bool is_delivered = false;
  std::string said;
};

}  // namespace dormouse::gateway
