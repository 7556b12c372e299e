#include "gateway/pipeline.h"

namespace dormouse::gateway {

Task<void> Pipeline::run(Call& call) const {
  const Next first(this, 0);
  co_await first(call);
}

Task<void> Next::operator()(Call& call) const {
  if (index_ < pipeline_->middleware_.size()) {
    co_await pipeline_->middleware_[index_]->handle(call, Next(pipeline_, index_ + 1));
    co_return;
  }
  if (call.route == nullptr) {
    co_await reply_error(call, call.path_known ? api::ErrorCode::kMethodNotAllowed : api::ErrorCode::kNotFound);
    co_return;
  }
  co_await call.route->handler(call);
}

}  // namespace dormouse::gateway
