// The one thread that writes and checkpoints. Commands queue up while a commit's fsync runs and all go into the next
// transaction: under load one fsync serves many requests, without load a request waits for exactly one.
// When the disk does not take a commit: everything in it fails with kUnavailable, the ballast file is given back, and
// what must land (settlements, span events) is tried again at once and then every second. Reservations stay refused
// until the ballast could be set aside again.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "ledger/ledger.h"
#include "ledger/store.h"

namespace dormouse::ledger {

class Writer {
 public:
  Writer(Store store, const Options& options);
  ~Writer();  // commits what is queued, then ends the thread
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Threads: any.
  void enqueue(Body body, Done done);
  [[nodiscard]] Health health() const;
  // From now on only what must land is accepted; the rest gets kDataLoss.
  void mark_damaged();

 private:
  struct Command {
    Body body;
    Done done;       // empty once answered
    WallTime at;
    Status outcome;  // of the current attempt
  };
  enum class Ballast { kHeld, kReleased };

  void run();
  void commit_group(std::vector<Command> group);
  Status try_commit(std::vector<Command>& group);
  void fail_group(std::vector<Command>& group, const Error& error);
  [[nodiscard]] bool is_degraded() const;
  void try_to_recover();
  Status take_ballast();
  void release_ballast();
  void answer(std::vector<Command>& group);
  void publish(bool writable, std::size_t committed);

  // Of the writer thread.
  Store store_;
  const Options options_;
  std::vector<Command> retained_;  // unanswered by the disk; bounded by the requests that were open
  Ballast ballast_ = Ballast::kReleased;
  bool ballast_wanted_ = true;
  MonoTime last_commit_mono_;
  WallTime last_commit_wall_;

  // Guarded by mutex_.
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Command> queue_;
  std::size_t urgent_ = 0;  // of them: somebody waits
  Health health_;
  bool stopping_ = false;

  std::thread thread_;  // last: everything above exists when it starts
};

}  // namespace dormouse::ledger
