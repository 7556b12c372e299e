// Exchanges without a socket. For tests only.
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
  StillExchange(http::Request request, std::string listener)
      : request_(std::move(request)), listener_(std::move(listener)) {}
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

// Keeps the answer that is sent to it, and has no streams.
class AnsweredExchange final : public StillExchange {
 public:
  using StillExchange::StillExchange;
  Task<Status> send(http::Response answer) override {
    response = std::move(answer);
    started_ = true;
    co_return Status();
  }
  Task<Status> start_stream(int, http::Headers) override { co_return make_error(Code::kInternal, "no stream here"); }
  bool started() const override { return started_; }

  http::Response response{.status = 0, .headers = {}, .body = {}};

 private:
  bool started_ = false;
};

}  // namespace dormouse::gateway
