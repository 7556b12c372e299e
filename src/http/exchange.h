// The Exchange a handler sees, over one Connection. Internal to http.
#pragma once

#include <string>

#include "http/connection.h"

namespace dormouse::http {

class ConnectionExchange final : public Exchange {
 public:
  ConnectionExchange(std::shared_ptr<Connection> connection, Request request, bool http_1_0, bool keep_alive);

  const Request& request() const override { return request_; }
  const std::string& listener() const override { return connection_->listener(); }
  Task<Status> send(Response response) override;
  Task<Status> start_stream(int status, Headers headers) override;
  Task<Status> write(std::string chunk) override;
  Task<Status> finish() override;
  void abort() override;
  Task<Result<std::unique_ptr<WebSocket>>> upgrade(std::chrono::milliseconds silence) override;
  bool started() const override { return state_ != State::kFresh; }
  bool client_gone() const override { return connection_->is_gone(); }
  void on_client_gone(std::function<void()> callback) override;

  // After the handler: may the connection carry another request?
  [[nodiscard]] bool is_reusable() const { return state_ == State::kFinished && keep_alive_ && !client_gone(); }
  [[nodiscard]] bool is_upgraded() const { return state_ == State::kUpgraded; }

 private:
  enum class State { kFresh, kStreaming, kFinished, kUpgraded, kAborted };

  [[nodiscard]] AfterAnswer after();
  [[nodiscard]] bool is_head() const { return request_.method == "HEAD"; }

  std::shared_ptr<Connection> connection_;
  Request request_;
  State state_ = State::kFresh;
  bool http_1_0_;
  bool keep_alive_;
};

}  // namespace dormouse::http
