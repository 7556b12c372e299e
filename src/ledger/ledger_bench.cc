// What a durable promise costs: reserve + settle pairs a second by how many callers wait at once, and how long opening
// a ledger of N requests takes (argument: requests). The limit is the disk's fsync; group commit is what lifts it.
#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/ids.h"
#include "base/log.h"
#include "ledger/ledger.h"

namespace dormouse::ledger {
namespace {

struct TemporaryLedger {
  TemporaryLedger() {
    set_log_level(LogLevel::kError);
    std::string name = "./ledger_bench_XXXXXX";  // the current directory: /tmp may be memory
    directory = ::mkdtemp(name.data()) != nullptr ? name : ".";
    open();
    Deployment deployment;
    deployment.name = "m";
    book->put_deployment(deployment, {});
  }
  ~TemporaryLedger() {
    book.reset();
    std::filesystem::remove_all(directory);
  }
  void open() {
    Options options;
    options.path = directory + "/ledger.db";
    options.clock = &clock;
    book = Ledger::open(options).value();
  }
  // `count` requests, each settled as soon as its reservation is durable; returns when all are.
  void run(int count) {
    std::promise<void> all;
    std::atomic<int> left = count;
    for (int i = 0; i < count; ++i) {
      Reservation reservation;
      reservation.request_id = make_uuid_v7(clock.wall());
      reservation.deployment = "m";
      Settlement settlement;
      settlement.request_id = reservation.request_id;
      settlement.output_tokens = 100;
      book->reserve(reservation, [&, settlement](const Status&) {
        book->settle(settlement, [&](const Status&) {
          if (--left == 0) all.set_value();
        });
      });
    }
    all.get_future().get();
  }
  SystemClock clock;
  std::string directory;
  std::unique_ptr<Ledger> book;
};

void ReserveAndSettle(benchmark::State& state) {
  TemporaryLedger ledger;
  const int at_once = static_cast<int>(state.range(0));
  for (auto _ : state) ledger.run(at_once);
  state.SetItemsProcessed(state.iterations() * at_once);
  const Health health = ledger.book->health();
  state.counters["group"] = static_cast<double>(health.commands) / static_cast<double>(health.commits);
}
BENCHMARK(ReserveAndSettle)->Arg(1)->Arg(16)->Arg(256)->UseRealTime();

void Open(benchmark::State& state) {
  TemporaryLedger ledger;
  for (std::int64_t done = 0; done < state.range(0); done += 1'000) ledger.run(1'000);
  for (auto _ : state) {
    state.PauseTiming();
    ledger.book.reset();
    state.ResumeTiming();
    ledger.open();
  }
}
BENCHMARK(Open)->Arg(1'000)->Arg(100'000)->Arg(1'000'000)->Iterations(2)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace dormouse::ledger

BENCHMARK_MAIN();
