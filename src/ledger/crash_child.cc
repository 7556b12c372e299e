// The victim of crash_test.cc: opens the ledger named by argv[1], runs argv[2] requests through it, and says on stdout
// what it was promised, one line a promise, written before the next step: "R <id>" (reserve durable), "C <id>"
// (checkpoint of 10 in, 5 out durable), "S <id>" (settle of 10 in, 7 out durable). Every third request is left open.
#include <unistd.h>

#include <charconv>
#include <future>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/ids.h"
#include "base/log.h"
#include "ledger/ledger.h"

namespace {

using dormouse::Status;
namespace ledger = dormouse::ledger;

void say(char kind, const std::string& id) {
  const std::string line = std::string(1, kind) + " " + id + "\n";
  if (::write(STDOUT_FILENO, line.data(), line.size()) != static_cast<ssize_t>(line.size())) ::_exit(3);
}

template <typename Start>
bool wait(Start start) {
  std::promise<bool> promise;
  start([&promise](const Status& status) { promise.set_value(status.has_value()); });
  return promise.get_future().get();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  dormouse::set_log_level(dormouse::LogLevel::kError);  // stderr is the same file as stdout here
  const dormouse::SystemClock clock;
  ledger::Options options;
  options.path = argv[1];
  options.clock = &clock;
  options.ballast_bytes = 0;
  auto opened = ledger::Ledger::open(options);
  if (!opened.has_value()) return 4;
  ledger::Ledger& book = **opened;
  ledger::Deployment deployment;
  deployment.name = "m";
  if (!wait([&](auto done) { book.put_deployment(deployment, done); })) return 5;
  const std::string_view text(argv[2]);
  int count = 0;
  std::from_chars(text.data(), text.data() + text.size(), count);
  for (int i = 0; i < count; ++i) {
    const std::string id = dormouse::make_uuid_v7(clock.wall());
    ledger::Reservation reservation;
    reservation.request_id = id;
    reservation.deployment = "m";
    reservation.input_tokens = 10;
    reservation.output_tokens = 100;
    if (!wait([&](auto done) { book.reserve(reservation, done); })) return 6;
    say('R', id);
    ledger::Checkpoint checkpoint;
    checkpoint.request_id = id;
    checkpoint.input_tokens = 10;
    checkpoint.output_tokens = 5;
    if (!wait([&](auto done) { book.checkpoint(checkpoint, done); })) return 7;
    say('C', id);
    if (i % 3 == 2) continue;
    ledger::Settlement settlement;
    settlement.request_id = id;
    settlement.input_tokens = 10;
    settlement.output_tokens = 7;
    if (!wait([&](auto done) { book.settle(settlement, done); })) return 8;
    say('S', id);
  }
  return 0;
}
