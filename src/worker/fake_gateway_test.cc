#include "worker/fake_gateway_test.h"

#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "base/check.h"

namespace dormouse::worker {
namespace {

constexpr std::chrono::seconds kPatience{10};

std::string no_body(int, std::string_view) {
  return "{}";
}

}  // namespace

std::string make_directory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "dormouse-XXXXXX").string();
  CHECK(::mkdtemp(pattern.data()) != nullptr);
  return pattern;
}

http::Address unix_address(const std::string& path) {
  return {.kind = http::Address::Kind::kUnix, .path = path, .host = {}, .port = 0};
}

FakeGateway::FakeGateway() : directory_(make_directory()) {
  http::Handler handler = [this](http::Exchange& exchange) { return serve(exchange); };
  server_ = std::make_unique<http::Server>(io_, http::ServerLimits{}, std::move(handler), no_body);
  address_ = *server_->listen(unix_address(directory_ + "/control.sock"), "control");
  thread_ = std::thread([this] {
    const auto guard = asio::make_work_guard(io_);
    io_.run();
  });
}

FakeGateway::~FakeGateway() {
  vanish();
  io_.stop();
  thread_.join();
  socket_.reset();
  server_.reset();
  std::filesystem::remove_all(directory_);
}

Task<void> FakeGateway::serve(http::Exchange& exchange) {
  Result<std::unique_ptr<http::WebSocket>> opened = co_await exchange.upgrade();
  if (!opened.has_value()) co_return;
  socket_ = *std::move(opened);
  while (socket_ != nullptr) {
    Result<std::string> text = co_await socket_->read();
    if (!text.has_value()) break;
    Result<control::Message> message = control::decode(*text);
    if (!message.has_value()) continue;
    const std::lock_guard lock(mutex_);
    messages_.push_back(*std::move(message));
    arrived_.notify_all();
  }
}

std::optional<control::Message> FakeGateway::next() {
  std::unique_lock lock(mutex_);
  if (!arrived_.wait_for(lock, kPatience, [this] { return !messages_.empty(); })) return std::nullopt;
  control::Message out = std::move(messages_.front());
  messages_.pop_front();
  return out;
}

namespace {
Task<void> write_text(http::WebSocket& socket, std::string text) {
  const Status written = co_await socket.write(std::move(text));
  CHECK(written.has_value());
}
}  // namespace

void FakeGateway::send(control::Message message) {
  asio::post(io_, [this, text = control::encode(message)]() mutable {
    if (socket_ != nullptr) asio::co_spawn(io_, write_text(*socket_, std::move(text)), asio::detached);
  });
}

void FakeGateway::vanish() {
  asio::post(io_, [this] {
    server_->close_listeners();
    if (socket_ != nullptr) socket_->close();
  });
}

}  // namespace dormouse::worker
