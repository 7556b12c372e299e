// Goal: the door for remote workers opens for one route and nothing else. Method: every route of the other doors, and
// some that are near the right one, against the real server over TLS.
#include "gateway/worker_door.h"

#include <gtest/gtest.h>

#include "fleet/fleet_fixture.h"
#include "fleet/drivers/process_driver.h"
#include "http/client.h"
#include "http/tls.h"
#include "http/websocket.h"

namespace dormouse::gateway {
namespace {

class NoDriver final : public fleet::Driver {
 public:
  void attach(fleet::DriverEvents&) override {}
  void start(fleet::StartSpec) override {}
  void stop(const std::string&, fleet::StopMode) override {}
  [[nodiscard]] std::vector<std::string> list() const override { return {}; }
};

class WorkerDoorTest : public fleet::FleetFixture {
 protected:
  void SetUp() override {
    FleetFixture::SetUp();
    make_supervisor(ledger_clock_, "process", driver_);
    const http::TlsIdentity identity = http::make_tls_identity({"localhost"}).value();
    http::Handler handler = [this](http::Exchange& exchange) { return serve_worker_door(*supervisor_, exchange); };
    door_ = std::make_unique<http::Server>(io_, worker_door_limits(), std::move(handler),
                                           [](int, std::string_view code) { return std::string(code); });
    address_ = door_->listen(http::Address::parse("127.0.0.1:0").value(), "workers", &identity).value();
    address_.tls = http::TlsTrust{identity.fingerprint, {}};
  }
  void TearDown() override {
    door_.reset();
    fleet::run_until(
        io_, [] { return false; }, std::chrono::milliseconds(50));
    FleetFixture::TearDown();
  }
  static Task<int> ask(http::Client& client, http::Address address, http::ClientRequest request) {
    const auto response = co_await client.send(address, std::move(request));
    co_return response.has_value() ? (*response)->status() : -1;
  }
  static Task<bool> knock(asio::io_context& io, http::Address address) {
    const auto socket = co_await http::connect_websocket(io, address, "/internal/worker", {}, std::chrono::seconds(5));
    co_return socket.has_value();
  }
  int status_of(const std::string& method, const std::string& path, const std::string& body = {}) {
    http::ClientRequest request;
    request.method = method;
    request.target = path;
    request.body = body;
    return fleet::run_task(io_, ask(client_, address_, std::move(request))).value();
  }

  NoDriver driver_;
  http::Client client_{io_};
  std::unique_ptr<http::Server> door_;
  http::Address address_;
};

TEST_F(WorkerDoorTest, HasOneRouteAndNoOther) {
  EXPECT_TRUE(fleet::run_task(io_, knock(io_, address_)).value());
  for (const char* path : {"/", "/livez", "/readyz", "/health", "/v1/health", "/v1/models", "/v1/models/m", "/metrics",
                           "/console/", "/admin/v1/deployments", "/admin/v1/deployments/m",
                           "/admin/v1/deployments/m/logs", "/admin/v1/usage", "/admin/v1/requests", "/internal",
                           "/internal/", "/internal/worker/", "/internal/workers", "/INTERNAL/worker"}) {
    EXPECT_EQ(status_of("GET", path), 404) << path;
  }
  for (const char* path : {"/generate", "/v1/chat/completions", "/v1/completions", "/admin/v1/deployments",
                           "/admin/v1/deployments/m/wake", "/admin/v1/deployments/m/sleep", "/internal/worker"}) {
    EXPECT_EQ(status_of("POST", path), 404) << path;
    EXPECT_EQ(status_of("POST", path, "{}"), 413) << path << ": no body is read";
  }
  EXPECT_EQ(status_of("GET", "/internal/worker"), 404) << "not a WebSocket";
}

}  // namespace
}  // namespace dormouse::gateway
