// A gateway with everything real behind it but instances: their lives and a month of requests are written into the
// ledger's file before it is opened, each at its own time; then the clock stands where the test sets it. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/log.h"
#include "catalog/catalog.h"
#include "fleet/supervisor_fixture.h"
#include "gateway/advice_task.h"
#include "gateway/gateway.h"
#include "gateway/plan_service.h"
#include "gateway/still_exchange.h"
#include "ledger/store.h"

namespace dormouse::gateway {

// Stands still until told; the ledger's threads read it meanwhile.
class ToldClock final : public Clock {
 public:
  [[nodiscard]] MonoTime now() const override { return {wall_us_.load() * 1'000}; }
  [[nodiscard]] WallTime wall() const override { return {wall_us_.load()}; }
  void set(std::int64_t wall_us) { wall_us_ = wall_us; }

 private:
  std::atomic<std::int64_t> wall_us_{0};
};

inline constexpr std::int64_t kTestSecondUs = 1'000'000;
inline constexpr std::int64_t kTestDayUs = 86'400 * kTestSecondUs;

class PlanFixture : public ::testing::Test {
 protected:
  // November 2026 begins on a Sunday.
  [[nodiscard]] std::int64_t moment(int month, int day, int hour = 0, int minute = 0) const {
    return zone_.first({.year = 2026, .month = month, .day = day, .hour = hour, .minute = minute}).us;
  }

  void SetUp() override {
    set_log_level(LogLevel::kError);
    directory_ = std::filesystem::temp_directory_path() / ("dormouse-plan-" + random_hex(6));
    std::filesystem::create_directories(directory_);
    store_.emplace(ledger::Store::open(ledger_path(), {moment(11, 1)}, 0).value());
    ASSERT_TRUE(store_->begin().has_value());
    write_deployment("chat", moment(11, 1));
  }
  // The end of writing: the house as it is at this time, with "chat" on a T4 that sleeps after ten minutes.
  void open(std::int64_t now_us) {
    ASSERT_TRUE(store_->commit({now_us}, 0).has_value());
    store_.reset();
    clock_.set(now_us);
    ledger::Options options;
    options.path = ledger_path();
    options.clock = &clock_;
    options.ballast_bytes = 0;
    options.post = [this](std::function<void()> f) { asio::post(io_, std::move(f)); };
    ledger_ = ledger::Ledger::open(options).value();
    ring_.emplace(KeyRing::open(clock_, (directory_ / "keys.pepper").string(), {}).value());
    fleet::SupervisorOptions fleet_options;
    fleet_options.io = &io_;
    fleet_options.clock = &clock_;
    fleet_options.ledger = ledger_.get();
    fleet_options.drivers = {{"process", &driver_}};
    supervisor_ = std::make_unique<fleet::Supervisor>(std::move(fleet_options));
    const Services services{io_, clock_, *supervisor_, *ledger_, client_, metrics_, book_};
    DeployerOptions deployer_options;
    deployer_options.drivers = {"process"};
    deployer_options.instances = &instances_;
    deployer_options.model_directories = model_directories_;
    plans_ = std::make_unique<PlanService>(io_, *ledger_, instances_);
    catalog_.emplace(catalog::Catalog::built_in().value());
    deployer_ = std::make_unique<Deployer>(services, book_, *catalog_, std::move(deployer_options));
    ExposureOptions exposed;
    exposed.listen = {"127.0.0.1:8080"};
    exposure_ = Exposure::plan(exposed).value();
    GatewayOptions gateway_options;
    gateway_options.exposure = &exposure_;
    gateway_options.time_zone = zone_;
    gateway_ = std::make_unique<Gateway>(services, *deployer_, *ring_, std::move(gateway_options));
    gateway_->set_plans(plans_.get());
    deploy("chat", "t4");
  }
  void TearDown() override {
    gateway_.reset();
    plans_.reset();
    deployer_.reset();
    supervisor_.reset();
    ledger_.reset();
    io_.restart();
    io_.poll();
    std::filesystem::remove_all(directory_);
  }

  template <typename T>
  T run(Task<T> task) {
    return std::move(fleet::run_task(io_, std::move(task)).value());
  }
  void deploy(const std::string& name, const std::string& type) {
    Deployment deployment;
    deployment.name = name;
    deployment.image = "file:m.gguf";
    deployment.rules.instance_type = type;
    deployment.rules.idle_timeout = std::chrono::minutes(10);
    const Status done = run(deployer_->commit(deployment));
    ASSERT_TRUE(done.has_value()) << done.error().message;
  }

  void write(const ledger::Body& body, std::int64_t at_us) {
    const Status written = store_->apply(body, {at_us});
    ASSERT_TRUE(written.has_value()) << written.error().message;
  }
  void write_deployment(const std::string& name, std::int64_t at_us) {
    ledger::Deployment deployment;
    deployment.name = name;
    write(deployment, at_us);
  }
  // One session: an instance is asked for, ready after 10 s, and gone ten minutes after the last of ten requests of two
  // seconds, 20 s apart. 782 s of it are paid, if at all: 0.391 CNY.
  enum class Priced { kYes, kNo };
  void write_session(const std::string& name, std::int64_t at_us, Priced priced) {
    ledger::StartIntent intent;
    intent.instance_id = make_uuid_v7({at_us});
    intent.deployment = name;
    intent.driver = "process";
    intent.epoch = ++epoch_;
    intent.cause = "request";
    if (priced == Priced::kYes) intent.price_version = price_version(at_us);
    write(intent, at_us);
    const auto span = [&](ledger::SpanPhase phase, std::int64_t seconds) {
      const std::int64_t since_us = seconds * kTestSecondUs;
      write(ledger::SpanEvent{intent.instance_id, phase, since_us, ""}, at_us + since_us);
    };
    span(ledger::SpanPhase::kRequested, 0);
    for (int i = 0; i < 10; ++i) {
      const std::int64_t wake_wait_us = i == 0 ? 10 * kTestSecondUs : 0;
      ledger::Settlement settlement;
      settlement.instance_id = intent.instance_id;
      settlement.wake_wait_us = wake_wait_us;
      settlement.duration_us = wake_wait_us + 2 * kTestSecondUs;
      settlement.price_version = intent.price_version;
      if (priced == Priced::kYes) settlement.cost_micros = settlement.micros = 1'000;  // two seconds of a T4
      if (priced == Priced::kYes) settlement.currency = "CNY";
      write_request(name, std::move(settlement), at_us + i * 20 * kTestSecondUs);
      // In the order of time: what comes later is never written earlier.
      if (i == 0) span(ledger::SpanPhase::kReady, 10);
    }
    span(ledger::SpanPhase::kDown, 782);
  }
  // Four sessions a day, at 9, 11, 14 and 16 o'clock, of these days of November.
  void write_days(const std::string& name, int first, int last, Priced priced = Priced::kYes) {
    for (int day = first; day <= last; ++day) {
      for (const int hour : {9, 11, 14, 16}) write_session(name, moment(11, day, hour), priced);
    }
  }

  http::Response ask(const std::string& method, const std::string& path, const std::string& query = "",
                     const std::string& body = "") {
    http::Request request;
    request.method = method;
    request.path = path;
    request.query = query;
    request.body = body;
    request.peer = "unix";
    request.headers.set("host", "localhost");
    AnsweredExchange exchange(std::move(request), kSocketDoor);
    run(answer(exchange));
    return exchange.response;
  }

  const TimeZone zone_ = TimeZone::load("Asia/Shanghai").value();
  ToldClock clock_;
  asio::io_context io_{1};
  std::filesystem::path directory_;
  std::vector<std::string> model_directories_;  // none, unless set before open()
  fleet::FakeDriver driver_;
  std::unique_ptr<ledger::Ledger> ledger_;
  std::optional<KeyRing> ring_;
  std::unique_ptr<fleet::Supervisor> supervisor_;
  http::Client client_{io_};
  Metrics metrics_;
  Deployments book_;
  std::optional<catalog::Catalog> catalog_;
  Exposure exposure_;
  std::unique_ptr<PlanService> plans_;
  const catalog::InstanceTypes instances_ = catalog::InstanceTypes::built_in().value();
  std::unique_ptr<Deployer> deployer_;
  std::unique_ptr<Gateway> gateway_;

 private:
  [[nodiscard]] std::string ledger_path() const { return (directory_ / "ledger.db").string(); }
  std::int64_t price_version(std::int64_t at_us) {
    ledger::PutPrice put;
    put.price.instance_type = "t4";
    put.price.currency = "CNY";
    put.price.period_micros = 1'800'000;
    put.version = std::make_shared<std::int64_t>(0);
    write(put, at_us);
    return *put.version;
  }
  void write_request(const std::string& name, ledger::Settlement settlement, std::int64_t at_us) {
    ledger::Reservation reservation;
    reservation.request_id = make_uuid_v7({at_us});
    reservation.deployment = name;
    reservation.dialect = "openai";
    settlement.request_id = reservation.request_id;
    settlement.input_tokens = 30;
    settlement.output_tokens = 40;
    write(reservation, at_us);
    write(settlement, at_us + settlement.duration_us);
  }
  Task<bool> answer(AnsweredExchange& exchange) {
    co_await gateway_->handle(exchange);
    co_return true;
  }
  std::optional<ledger::Store> store_;  // until open()
  std::uint64_t epoch_ = 0;
};

}  // namespace dormouse::gateway
