// Answers questions on a thread and a read-only connection of its own, so that a report never holds up a reservation.
// A long read keeps the WAL from being reset: every query has a row limit.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ledger/ledger.h"
#include "ledger/sqlite.h"

namespace dormouse::ledger {

class Reader {
 public:
  // What to do with the connection, or with the reason there is none (kCancelled, kOverloaded, kUnavailable).
  using Question = std::function<void(Result<Connection*>)>;

  explicit Reader(std::string path);
  ~Reader();  // what is queued gets kCancelled
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // Threads: any. `question` runs on the reader's thread, or here when the queue (64) is full.
  void ask(Question question);

 private:
  void run();
  void answer(const Question& question);

  const std::string path_;
  std::optional<Connection> connection_;  // of the thread; opened at the first question

  // Guarded by mutex_.
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Question> queue_;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace dormouse::ledger
