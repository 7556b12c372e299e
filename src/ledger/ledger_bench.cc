// What a durable promise costs: reserve + settle pairs a second by how many callers wait at once, what a settlement
// adds to the end of an answer under a steady load, and how long opening a ledger of N requests takes (argument:
// requests). The limit is the disk's fsync; group commit is what lifts it.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

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

// Requests arrive as a clock says, whatever became of those before: each is reserved, checkpointed twice, settled with
// its closing bytes to follow, and closed. Measured: from settle() to its answer. Argument: requests a second.
void SettleUnderLoad(benchmark::State& state) {
  TemporaryLedger ledger;
  const Nanoseconds gap(1'000'000'000 / state.range(0));
  const auto count = static_cast<std::size_t>(state.range(0) * 5);
  std::vector<std::int64_t> waits_ns(count);
  std::atomic<std::size_t> left = count;
  std::promise<void> all;
  for (auto _ : state) {
    const MonoTime begin = ledger.clock.now();
    for (std::size_t i = 0; i < count; ++i) {
      const Nanoseconds due = begin + gap * static_cast<std::int64_t>(i) - ledger.clock.now();
      if (due.count() > 0) std::this_thread::sleep_for(due);
      Reservation reservation;
      reservation.request_id = make_uuid_v7(ledger.clock.wall());
      reservation.deployment = "m";
      Checkpoint checkpoint;
      checkpoint.request_id = reservation.request_id;
      checkpoint.output_tokens = 64;
      Settlement settlement;
      settlement.request_id = reservation.request_id;
      settlement.output_tokens = 100;
      settlement.closing_follows = true;
      Ledger& book = *ledger.book;
      book.reserve(reservation, [&, settlement, checkpoint, i](const Status&) {
        book.checkpoint(checkpoint, {});
        book.checkpoint(checkpoint, {});
        const MonoTime asked = ledger.clock.now();
        book.settle(settlement, [&, i, asked, id = settlement.request_id](const Status&) {
          waits_ns[i] = (ledger.clock.now() - asked).count();
          book.close({id, true}, {});
          if (--left == 0) all.set_value();
        });
      });
    }
    all.get_future().get();
  }
  std::sort(waits_ns.begin(), waits_ns.end());
  const auto at = [&waits_ns](double part) {
    return static_cast<double>(waits_ns[static_cast<std::size_t>(part * static_cast<double>(waits_ns.size() - 1))]) /
           1e6;
  };
  state.counters["p50_ms"] = at(0.5);
  state.counters["p99_ms"] = at(0.99);
  state.counters["max_ms"] = at(1);
}
BENCHMARK(SettleUnderLoad)->Arg(200)->Arg(1'000)->Iterations(1)->UseRealTime();

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
