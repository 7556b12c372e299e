// One line on a terminal that says what is waited for, from the second second on; gone when the waiting is over.
// Without a terminal: nothing. Threads: one.
#pragma once

#include <string_view>

#include "cli/context.h"

namespace dormouse::cli {

class WaitLine {
 public:
  explicit WaitLine(const Context& context);
  ~WaitLine();
  WaitLine(const WaitLine&) = delete;
  WaitLine& operator=(const WaitLine&) = delete;

  void show(std::string_view what, double seconds);

 private:
  const Context& context_;
  bool is_terminal_ = false;
  bool is_shown_ = false;
};

}  // namespace dormouse::cli
