// Answers to requests that carried an Idempotency-Key, for a client that lost one and asks again. In memory only, so
// that no text of a prompt's answer reaches a disk; bounded, oldest out first; gone after a day or a restart, when the
// same key is answered 409 instead of being billed twice. Threads: the loop's.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <unordered_map>

#include "base/clock.h"

namespace dormouse::gateway {

struct KeptAnswer {
  std::string content_type;
  std::string body;  // an event stream's whole text, or the JSON
  MonoTime at;
};

class AnswerCache {
 public:
  // Larger ones are not kept.
  static constexpr std::size_t kMaxBytes = 256 * 1024;
  static constexpr std::size_t kMaxTotalBytes = 4 * 1024 * 1024;

  void put(const std::string& request_id, KeptAnswer answer);
  // Null: not kept, or no longer. Valid until the next call.
  [[nodiscard]] const KeptAnswer* find(const std::string& request_id, MonoTime now);

 private:
  void drop_oldest();

  std::unordered_map<std::string, KeptAnswer> answers_;
  std::deque<std::string> order_;
  std::size_t bytes_ = 0;
};

}  // namespace dormouse::gateway
