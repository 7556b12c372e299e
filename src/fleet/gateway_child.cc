// The victim of process_test.cc: a gateway in miniature. Wakes the deployment "m" (model argv[3]) with the worker
// binary argv[2] in the directory argv[1], prints the worker's pid and waits to be killed.
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "fleet/drivers/process_driver.h"
#include "fleet/supervisor.h"
#include "http/server.h"

namespace dormouse::fleet {
namespace {

Task<void> wake_and_tell(Supervisor& supervisor) {
  const Status woken = co_await supervisor.wake("m", std::chrono::seconds(20));
  const std::int64_t pid = woken.has_value() ? supervisor.status().at(0).instances.at(0).pid : 0;
  std::printf("%lld\n", static_cast<long long>(pid));
  std::fflush(stdout);
}

int run(const std::string& directory, const std::string& worker, const std::string& model) {
  set_log_level(LogLevel::kError);
  asio::io_context io;
  const SystemClock clock;
  ledger::Options ledger_options;
  ledger_options.path = directory + "/ledger.db";
  ledger_options.clock = &clock;
  ledger_options.ballast_bytes = 0;
  auto book = ledger::Ledger::open(ledger_options);
  if (!book.has_value()) return 2;
  ledger::Deployment deployment;
  deployment.name = "m";
  (*book)->put_deployment(deployment, {});
  ProcessDriverOptions driver_options;
  driver_options.io = &io;
  driver_options.worker_path = worker;
  driver_options.run_directory = directory + "/run";
  driver_options.log_directory = directory + "/logs";
  driver_options.control_address = "unix:" + directory + "/run/admin.sock";
  auto driver = ProcessDriver::create(driver_options);
  if (!driver.has_value()) return 3;
  SupervisorOptions options;
  options.io = &io;
  options.clock = &clock;
  options.ledger = book->get();
  options.drivers = {{"process", driver->get()}};
  Supervisor supervisor(options);
  http::Handler handler = [&supervisor](http::Exchange& exchange) { return supervisor.serve_control(exchange); };
  http::Server server(io, {}, std::move(handler), [](int, std::string_view) { return std::string("{}"); });
  if (!server.listen(http::Address::parse(driver_options.control_address).value(), "control").has_value()) return 4;
  DeploymentSpec spec;
  spec.name = "m";
  spec.model_path = model;
  if (!supervisor.put(spec).has_value()) return 5;
  asio::co_spawn(io, wake_and_tell(supervisor), asio::detached);
  io.run();
  return 0;
}

}  // namespace
}  // namespace dormouse::fleet

int main(int argc, char** argv) { return argc == 4 ? dormouse::fleet::run(argv[1], argv[2], argv[3]) : 1; }
