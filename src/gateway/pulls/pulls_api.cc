// The part of Gateway that downloads an image of the gallery, and stops doing so. A caller names an image and at most
// one of the two hubs, never an address or a path (requirement S-28).
#include <fmt/format.h>

#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/strict_json.h"
#include "gateway/error_response.h"
#include "gateway/gateway.h"
#include "gateway/pulls/pull_service.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

Error wrong(std::string_view key, std::string_view what) {
  return make_error(Code::kInvalidArgument, fmt::format("{}: {}", key, what));
}

// The hub of {"source": HUB}; empty where the body has none.
Result<std::string> hub_of(std::string_view body) {
  if (body.empty()) return std::string();
  const api::ApiResult<json::value> root = api::parse_strict_json(body);
  if (!root.has_value() || !root->is_object()) return make_error(Code::kInvalidArgument, "not a JSON object");
  std::string out;
  for (const auto& member : root->get_object()) {
    const std::string_view key(member.key().data(), member.key().size());
    if (key != "source") return wrong(key, "there is no such member; there is: source");
    const json::value& value = member.value();
    const bool is_hub =
        value.is_string() && (value.get_string() == "huggingface" || value.get_string() == "modelscope");
    if (!is_hub) return wrong(key, "want huggingface or modelscope");
    out = std::string(value.get_string());
  }
  return out;
}

}  // namespace

const catalog::Image* Gateway::image_of(const Call& call) const {
  return deployer_.catalog().find(call.parameters[0]);
}

Task<void> Gateway::admin_pull(Call& call) {
  const catalog::Image* const image = image_of(call);
  if (pulls_ == nullptr || image == nullptr) {
    co_await reply_no_image(call);
    co_return;
  }
  const Result<std::string> hub = hub_of(call.request().body);
  if (!hub.has_value()) {
    co_await reply_failure(call, hub.error());
    co_return;
  }
  if (draining_) {
    co_await reply_error(call, api::ErrorCode::kDraining);
    co_return;
  }
  const bool is_present = pulls_->is_present(*image);
  const Status started = is_present ? Status() : pulls_->start(*image, *hub);
  if (!started.has_value()) {
    co_await reply_failure(call, started.error());
    co_return;
  }
  co_await reply_pull(call, *image, is_present ? 200 : 202);
}

Task<void> Gateway::admin_cancel_pull(Call& call) {
  const catalog::Image* const image = image_of(call);
  if (pulls_ == nullptr || image == nullptr) {
    co_await reply_no_image(call);
    co_return;
  }
  pulls_->cancel(image->reference());
  co_await reply_pull(call, *image, 200);
}

Task<void> Gateway::reply_no_image(Call& call) const {
  const api::ApiError error{api::ErrorCode::kModelNotFound,
                            "No image of the gallery has that name: GET /admin/v1/images lists them.", "reference"};
  co_await reply_error(call, error);
}

Task<void> Gateway::reply_pull(Call& call, const catalog::Image& image, int status) const {
  const std::string reference = image.reference();
  const std::vector<PullView> views = pulls_->views();
  const PullView* const pull = find_pull(views, reference);
  const std::string body = pull_answer_json(reference, pulls_->is_present(image), pull);
  co_await reply_json(call, status, body);
}

}  // namespace dormouse::gateway
