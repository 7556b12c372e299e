// A request that no socket brought: a batch's line on its way through the gateway's own handlers. What a socket does
// with an answer `deliver` does: the request is paid once it says that it has it. Lives in the frame of whoever runs
// it. Threads: the loop's.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "http/server.h"

namespace dormouse::gateway {

class InnerExchange final : public http::Exchange {
 public:
  using Deliver = std::function<Task<Status>(const http::Response&)>;

  InnerExchange(std::string path, std::string body, Deliver deliver) : deliver_(std::move(deliver)) {
    request_.method = "POST";
    request_.path = std::move(path);
    request_.body = std::move(body);
    request_.headers.set("content-type", "application/json");
    request_.peer = "batch";
  }

  [[nodiscard]] const http::Request& request() const override { return request_; }
  [[nodiscard]] const std::string& listener() const override { return listener_; }
  Task<Status> send(http::Response response) override {
    started_ = true;
    co_return co_await deliver_(response);
  }
  // Lines with a stream are refused long before.
  Task<Status> start_stream(int, http::Headers) override { return refuse(); }
  Task<Status> write(std::string) override { return refuse(); }
  Task<Status> finish() override { return refuse(); }
  void abort() override {}
  Task<Result<std::unique_ptr<http::WebSocket>>> upgrade(std::chrono::milliseconds) override {
    co_return make_error(Code::kInternal, "batch: no socket");
  }
  [[nodiscard]] bool started() const override { return started_; }
  [[nodiscard]] bool client_gone() const override { return false; }
  void on_client_gone(std::function<void()>) override {}

 private:
  static Task<Status> refuse() { co_return make_error(Code::kInternal, "batch: no stream"); }

  http::Request request_;
  const Deliver deliver_;
  const std::string listener_ = "batch";
  bool started_ = false;
};

}  // namespace dormouse::gateway
