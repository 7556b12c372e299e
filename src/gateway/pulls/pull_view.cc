#include "gateway/pulls/pull_view.h"

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

json::value object_of(const PullFailure& failure) {
  const api::ErrorRow& row = api::row(failure.error.code);
  json::object out;
  out["code"] = row.code;
  out["message"] = failure.error.message.empty() ? row.text : std::string_view(failure.error.message);
  out["detail"] = failure.detail;
  return out;
}

}  // namespace

std::string_view to_string(PullView::State state) {
  switch (state) {
    case PullView::State::kQueued: return "queued";
    case PullView::State::kRunning: return "running";
    case PullView::State::kFailed: return "failed";
    case PullView::State::kCancelled: return "cancelled";
  }
  return "";
}

const PullView* find_pull(const std::vector<PullView>& pulls, std::string_view reference) {
  const auto found = std::find_if(pulls.begin(), pulls.end(),
                                  [reference](const PullView& pull) { return pull.reference == reference; });
  return found == pulls.end() ? nullptr : &*found;
}

json::object object_of(const PullView& pull) {
  const catalog::PullProgress& progress = pull.progress;
  const bool is_running = pull.state == PullView::State::kRunning;
  const std::optional<double> left = is_running ? catalog::seconds_left(progress) : std::nullopt;
  json::object out;
  out["reference"] = pull.reference;
  out["state"] = to_string(pull.state);
  out["stage"] = is_running ? json::value(catalog::to_string(progress.stage)) : json::value(nullptr);
  out["done"] = progress.done;
  out["total"] = progress.total > 0 ? json::value(progress.total) : json::value(nullptr);
  out["bytes_per_second"] = is_running ? static_cast<std::int64_t>(progress.bytes_per_second) : 0;
  out["seconds_left"] = left.has_value() ? json::value(*left) : json::value(nullptr);
  out["source"] = progress.source.empty() ? json::value(nullptr) : json::value(progress.source);
  out["error"] = pull.failure.has_value() ? object_of(*pull.failure) : json::value(nullptr);
  return out;
}

std::string pull_answer_json(std::string_view reference, bool is_present, const PullView* pull) {
  json::object out;
  out["reference"] = reference;
  out["is_present"] = is_present;
  out["pull"] = pull != nullptr ? json::value(object_of(*pull)) : json::value(nullptr);
  return json::serialize(out);
}

}  // namespace dormouse::gateway
