// A request while the gateway answers it. Lives in the handler's frame. Threads: the loop's.
#pragma once

#include "gateway/gateway.h"

namespace dormouse::gateway {

// Keeps the set of running inference requests, for draining.
struct Gateway::ActiveCall {
  ActiveCall(Gateway& gateway, Call& call) : gateway_(gateway), call_(call) {
    call.exchange.on_client_gone([&call] { call.stop.fire(StopReason::kClientGone); });
    if (call.route != nullptr && call.route->access == Access::kInference) gateway.active_.insert(&call);
  }
  ~ActiveCall() {
    call_.exchange.on_client_gone({});
    gateway_.active_.erase(&call_);
    if (gateway_.active_.empty()) gateway_.idle_.cancel();
  }
  ActiveCall(const ActiveCall&) = delete;
  ActiveCall& operator=(const ActiveCall&) = delete;
  Gateway& gateway_;
  Call& call_;
};

}  // namespace dormouse::gateway
