// What the admin API says of a download, as a value and as JSON. No I/O.
#pragma once

#include <boost/json/fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/error_table.h"
#include "catalog/pull.h"

namespace dormouse::gateway {

struct PullFailure {
  api::ApiError error;  // for a person: of the error table, or more exact
  std::string detail;   // what pull() said, in English
};

struct PullView {
  enum class State { kQueued, kRunning, kFailed, kCancelled };
  std::string reference;
  State state = State::kQueued;
  catalog::PullProgress progress;  // the last there was; what came is kept when it failed or was cancelled
  std::optional<PullFailure> failure;
};
[[nodiscard]] std::string_view to_string(PullView::State state);
[[nodiscard]] const PullView* find_pull(const std::vector<PullView>& pulls, std::string_view reference);  // null: none

[[nodiscard]] boost::json::object object_of(const PullView& pull);
// {"reference","is_present","pull"}: the answer to starting and to cancelling one. Null: none is under way.
[[nodiscard]] std::string pull_answer_json(std::string_view reference, bool is_present, const PullView* pull);

}  // namespace dormouse::gateway
