// The least http::Exchange there is. For tests only.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "http/server.h"

namespace dormouse::gateway {

// An exchange that only has a request, for tests: what is sent to it is forgotten.
class StillExchange : public http::Exchange {
 public:
  explicit StillExchange(std::string method = "", std::string path = "") {
    request_.method = std::move(method);
    request_.path = std::move(path);
  }
  const http::Request& request() const override { return request_; }
  const std::string& listener() const override { return listener_; }
  Task<Status> send(http::Response) override { co_return Status(); }
  Task<Status> start_stream(int, http::Headers) override { co_return Status(); }
  Task<Status> write(std::string) override { co_return Status(); }
  Task<Status> finish() override { co_return Status(); }
  void abort() override {}
  Task<Result<std::unique_ptr<http::WebSocket>>> upgrade(std::chrono::milliseconds /*silence*/) override {
    co_return make_error(Code::kInternal, "no");
  }
  bool started() const override { return false; }
  bool client_gone() const override { return false; }
  void on_client_gone(std::function<void()>) override {}

 private:
  http::Request request_;
  std::string listener_ = "api";
};

}  // namespace dormouse::gateway
