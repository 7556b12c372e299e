// Goal: the worker's end of a remote channel: it calls again after a loss, and its lease runs out unless somebody says
// welcome (the dead-man switch). Method: the link against a gateway of the test's own over TLS, one loop, times to live
// of a few hundred milliseconds.
#include "worker/control_link.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "http/server.h"
#include "http/tls.h"
#include "http/websocket.h"

namespace dormouse::worker {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ControlLinkTest : public ::testing::Test {
 protected:
  ControlLinkTest() {
    set_log_level(LogLevel::kError);
    const http::TlsIdentity identity = http::make_tls_identity({"localhost"}).value();
    http::Handler handler = [this](http::Exchange& exchange) { return serve(exchange); };
    server_ = std::make_unique<http::Server>(io_, http::ServerLimits{}, std::move(handler),
                                             [](int, std::string_view) { return std::string("{}"); });
    options_.address = server_->listen(http::Address::parse("127.0.0.1:0").value(), "workers", &identity).value();
    options_.address.tls = http::TlsTrust{identity.fingerprint, {}};
    options_.hello.lease = "lease";
    options_.hello.epoch = 7;
    options_.lease_time_to_live = milliseconds(600);
  }
  Task<void> serve(http::Exchange& exchange) {
    auto opened = co_await exchange.upgrade();
    if (!opened.has_value()) co_return;
    const std::shared_ptr<http::WebSocket> socket = *std::move(opened);
    socket_ = socket;
    Result<std::string> hello = co_await socket->read();
    if (!hello.has_value()) co_return;
    heard_.push_back(*hello);
    if (!welcomes_) {
      socket->close();
      co_return;
    }
    std::string welcome = control::encode(control::Welcome{});
    const Status written = co_await socket->write(std::move(welcome));
    while (written.has_value()) {
      Result<std::string> text = co_await socket->read();
      if (!text.has_value()) co_return;
      heard_.push_back(*text);
    }
  }
  void start() {
    started_ = clock_.now();
    ControlEvents events;
    events.on_lost = [this] { lost_after_ = clock_.now() - started_; };
    link_.emplace(io_, options_, std::move(events));
    link_->start();
  }
  bool run_until(const std::function<bool()>& condition, seconds limit = seconds(20)) {
    const MonoTime end = clock_.now() + limit;
    while (!condition() && clock_.now() < end) io_.run_one_for(milliseconds(10));
    return condition();
  }
  std::size_t count(std::string_view type) const {
    const std::string mark = "\"type\":\"" + std::string(type) + "\"";
    return static_cast<std::size_t>(std::count_if(
        heard_.begin(), heard_.end(), [&](const std::string& text) { return text.find(mark) != std::string::npos; }));
  }

  SystemClock clock_;
  asio::io_context io_;
  std::unique_ptr<http::Server> server_;
  ControlLinkOptions options_;
  std::optional<ControlLink> link_;
  std::weak_ptr<http::WebSocket> socket_;
  std::vector<std::string> heard_;
  bool welcomes_ = true;
  MonoTime started_;
  std::optional<Nanoseconds> lost_after_;
};

TEST_F(ControlLinkTest, CallsAgainAfterALossWithTheSameHelloAndReady) {
  start();
  control::Ready ready;
  ready.model = "m";
  link_->send(std::move(ready));
  ASSERT_TRUE(run_until([&] { return count("ready") == 1; }));
  for (std::size_t round = 2; round <= 4; ++round) {
    if (const auto socket = socket_.lock()) socket->close();
    ASSERT_TRUE(run_until([&] { return count("ready") == round; }));
    EXPECT_EQ(count("hello"), round);
  }
  EXPECT_EQ(heard_[0], heard_[2]) << "the same lease and epoch";
  EXPECT_FALSE(lost_after_.has_value()) << "each welcome is a new lease";
}

TEST_F(ControlLinkTest, AGatewayThatRefusesTheHelloDoesNotProlongTheLease) {
  welcomes_ = false;
  start();
  ASSERT_TRUE(run_until([&] { return lost_after_.has_value(); }));
  EXPECT_GE(*lost_after_, options_.lease_time_to_live - milliseconds(5));
  EXPECT_GT(heard_.size(), 2U) << "it has tried";
}

TEST_F(ControlLinkTest, TheLeaseOfAFencedWorkerRunsFromTheLoss) {
  start();
  ASSERT_TRUE(run_until([&] { return count("hello") == 1; }));
  run_until([] { return false; }, seconds(1));  // longer than the lease: connected, it does not run
  EXPECT_FALSE(lost_after_.has_value());
  welcomes_ = false;
  if (const auto socket = socket_.lock()) socket->close();
  ASSERT_TRUE(run_until([&] { return lost_after_.has_value(); }));
  EXPECT_GE(*lost_after_, seconds(1) + options_.lease_time_to_live - milliseconds(5));
}

TEST_F(ControlLinkTest, NobodyThereAtAll) {
  server_.reset();
  start();
  ASSERT_TRUE(run_until([&] { return lost_after_.has_value(); }));
  EXPECT_GE(*lost_after_, options_.lease_time_to_live - milliseconds(5));
}

TEST_F(ControlLinkTest, TheLeaseIsNotShownToAStranger) {
  options_.address.tls->fingerprint = http::make_tls_identity({"localhost"}).value().fingerprint;
  start();
  ASSERT_TRUE(run_until([&] { return lost_after_.has_value(); }));
  EXPECT_TRUE(heard_.empty());
}

}  // namespace
}  // namespace dormouse::worker
