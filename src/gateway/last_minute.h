// What a deployment did in the last minute, for whoever looks now and then: sixty cells of a second, whoever watches.
// Pure. Threads: one.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace dormouse::gateway {

class LastMinute {
 public:
  struct Work {
    std::int64_t requests = 0;  // that ended, well or not
    // Of all its answers together, while any was being made; nullopt: none was.
    std::optional<double> tokens_per_s = std::nullopt;
    friend bool operator==(const Work&, const Work&) = default;
  };

  void add_request(MonoTime now) { ++cell_at(now).requests; }
  // That came just now, of an answer that was sent to its instance at `sent`: the time since then, or since the last
  // token of any answer where that is later, went into making them. One answer alone has the speed it is told itself.
  void add_tokens(std::int64_t tokens, MonoTime sent, MonoTime now);
  [[nodiscard]] Work until(MonoTime now) const;

 private:
  static constexpr std::int64_t kCells = 60;
  struct Cell {
    std::int64_t second = -1;
    std::int64_t requests = 0;
    std::int64_t tokens = 0;
    Nanoseconds making{0};  // how long they took
  };
  Cell& cell_at(MonoTime now);

  std::array<Cell, kCells> cells_{};
  MonoTime last_token_;  // 0: none yet
};

}  // namespace dormouse::gateway
