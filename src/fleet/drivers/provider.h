// Somebody who rents out or schedules machines, as RemoteDriver sees him: slow, forgetful, reached over a network.
// A provider keeps no state of an instance's life; every method asks or tells once, within its own deadline.
// Arguments outlive the task they are given to: await it at once.
// Threads: the loop's.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fleet/driver.h"
#include "fleet/worker_command.h"
#include "http/asio.h"

namespace dormouse::fleet {

enum class MachineState {
  kStarting,  // asked for, paid for or not
  kRunning,
  kStopped,  // costs nothing, or is on its way there for certain; nothing of ours runs on it
  kFailed,   // the provider gave up on it; it may still have to be removed
};
[[nodiscard]] std::string_view to_string(MachineState state);

// One machine as the provider shows it.
struct Sighting {
  std::string instance;  // our id, from its tag or name
  std::string id;        // the provider's
  MachineState state = MachineState::kStarting;
  std::string detail;                               // the provider's own words: its state, the reason why it waits
  std::string address;                              // empty: unknown
  std::optional<InstanceExit> exit = std::nullopt;  // how its program ended, where the provider tells
};

// What is known after a create. The doubt is what costs money: a reply lost is not a machine not made.
enum class CreateVerdict {
  kCreated,
  kRefused,   // nothing was made, and asking again for the same kind is useless: no stock, a bad argument, no program
  kTryAgain,  // nothing was made, later may work
  kUnknown,   // perhaps made: look before asking again
};

struct CreateOutcome {
  CreateVerdict verdict = CreateVerdict::kUnknown;
  std::string id;  // kCreated
  Error error;     // else
};

enum class News {
  kNotTold,  // this provider does not tell, or cannot now: ask again after a while
  kNone,     // nothing worth a look in the time given
  kChanged,  // a machine has ended or may have
};

// Of a create whose command did not run to its end.
[[nodiscard]] CreateOutcome not_run(const Error& error);

// What every kind of provider is told.
struct ProviderOptions {
  std::string name;                         // of the driver: [driver.NAME]
  std::string owner;                        // this gateway's own mark on what it starts
  std::string type;                         // where the deployment names none
  std::vector<std::string> fallback_types;  // tried in order when a type fails
  WorkerPlace place;                        // what the started machine is to run

  [[nodiscard]] std::size_t kinds() const { return 1 + fallback_types.size(); }
  [[nodiscard]] const std::string& type_of(const StartSpec& spec, std::size_t kind) const;
};

class Provider {
 public:
  virtual ~Provider() = default;
  // How many kinds of machine may be tried for this instance, the wanted one first; at least 1.
  [[nodiscard]] virtual std::size_t kinds(const StartSpec& spec) const = 0;
  [[nodiscard]] virtual Task<CreateOutcome> create(const StartSpec& spec, std::size_t kind) = 0;
  // All machines that carry our mark, and nobody else's. An error is never "none".
  [[nodiscard]] virtual Task<Result<std::vector<Sighting>>> list() = 0;
  // All machines of one instance; `id` may be empty. Providers without a cheaper way answer from list().
  [[nodiscard]] virtual Task<Result<std::vector<Sighting>>> status(const std::string& instance,
                                                                   const std::string& id) = 0;
  // Asks for its end. Success says only that the provider took the request.
  [[nodiscard]] virtual Task<Status> destroy(const std::string& instance, const std::string& id) = 0;
  // Waits, since the last list(), until a machine of ours ends, or for about `at_most`.
  [[nodiscard]] virtual Task<News> wait_for_news(std::chrono::milliseconds /*at_most*/) { co_return News::kNotTold; }
  // Ends what runs; no further calls. Tasks in flight finish with errors.
  virtual void close() = 0;
};

}  // namespace dormouse::fleet
