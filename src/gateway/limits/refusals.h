// Requests that were turned away before anything was reserved for them: counters per minute, key, deployment and reason
// instead of rows, so that an attack cannot fill the disk. Threads: one.
// Limit: 1,000 different ones a minute; further ones count together, under their reason alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "ledger/records.h"

namespace dormouse::gateway {

using ledger::RefusalCount;
using RefusalSink = std::function<void(std::vector<RefusalCount>)>;

class RefusalCounts {
 public:
  static constexpr std::size_t kMostRows = 1'000;
  static constexpr std::string_view kOther = "other";  // the key id and deployment of what did not fit

  // Is an error code one of a request that never began?
  [[nodiscard]] static bool is_refusal(std::string_view code);

  void count(WallTime now, std::string_view key_id, std::string_view deployment, std::string_view reason);
  // What there is of minutes that are over. A clock set back ends a minute, too: it may then come in two pieces.
  [[nodiscard]] std::vector<RefusalCount> take_ended(WallTime now);
  [[nodiscard]] std::vector<RefusalCount> take_all();

 private:
  struct Label {
    std::string_view key_id;
    std::string_view deployment;
    std::string_view reason;
    friend auto operator<=>(const Label&, const Label&) = default;
  };
  struct Row {
    std::string key_id;
    std::string deployment;
    std::string reason;
    [[nodiscard]] Label label() const { return {key_id, deployment, reason}; }
  };
  struct Less {
    using is_transparent = void;
    bool operator()(const Row& a, const Row& b) const { return a.label() < b.label(); }
    bool operator()(const Row& a, const Label& b) const { return a.label() < b; }
    bool operator()(const Label& a, const Row& b) const { return a < b.label(); }
  };
  void add(const Label& label);
  void close_minute();

  std::int64_t minute_ = 0;
  std::map<Row, std::int64_t, Less> counts_;  // of minute_
  std::vector<RefusalCount> ended_;           // not taken yet; three minutes' worth at most, the oldest are dropped
};

}  // namespace dormouse::gateway
