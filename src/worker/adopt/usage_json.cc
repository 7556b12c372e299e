#include "worker/adopt/usage_json.h"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <limits>

#include "api/fields.h"

namespace dormouse::worker::adopt {
namespace {

namespace json = boost::json;

// More than any context; keeps sums of peers' numbers far from overflow.
constexpr std::int64_t kMaxCount = std::int64_t{1} << 40;

std::int64_t count_at(const json::object& from, std::string_view key) {
  const json::value* value = api::find_member(from, key);
  const std::int64_t count = value == nullptr ? 0 : api::as_integer(*value).value_or(0);
  return std::clamp<std::int64_t>(count, 0, kMaxCount);
}

std::int64_t detail_at(const json::object& usage, std::string_view group, std::string_view key) {
  const json::value* details = api::find_member(usage, group);
  return details != nullptr && details->is_object() ? count_at(details->get_object(), key) : 0;
}

}  // namespace

std::optional<json::value> parse_peer_json(std::string_view text) {
  json::parse_options options;
  options.max_depth = api::kMaxJsonDepth;
  boost::system::error_code ec;
  json::value value = json::parse(json::string_view(text.data(), text.size()), ec, json::storage_ptr(), options);
  if (ec) return std::nullopt;
  return value;
}

std::optional<api::Usage> read_usage(const json::object& from) {
  const json::value* member = api::find_member(from, "usage");
  const json::object* usage = member == nullptr ? nullptr : member->if_object();
  if (usage == nullptr) return std::nullopt;
  api::Usage out;
  out.prompt_tokens = count_at(*usage, "prompt_tokens");
  out.completion_tokens = count_at(*usage, "completion_tokens");
  out.cached_tokens = detail_at(*usage, "prompt_tokens_details", "cached_tokens");
  out.reasoning_tokens = detail_at(*usage, "completion_tokens_details", "reasoning_tokens");
  if (out.prompt_tokens == 0 && out.completion_tokens == 0) return std::nullopt;
  return out;
}

json::object usage_json(const api::Usage& usage) {
  json::object out;
  out["prompt_tokens"] = usage.prompt_tokens;
  out["completion_tokens"] = usage.completion_tokens;
  out["total_tokens"] = usage.prompt_tokens + usage.completion_tokens;
  out["prompt_tokens_details"] = json::object{{"cached_tokens", usage.cached_tokens}};
  out["completion_tokens_details"] = json::object{{"reasoning_tokens", usage.reasoning_tokens}};
  return out;
}

}  // namespace dormouse::worker::adopt
