// Downloads on demand: catalog's pull() on a thread of its own, one at a time and the others in the order they were
// asked for. No thread and no timer while nothing is pulled. What has come of one that fails, is cancelled or meets the
// server's end lies beside its name, and the next start goes on from there.
// Owner: the house. Threads: the loop's. stop() before the loop ends; the thread is joined when this goes.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "catalog/image.h"
#include "catalog/pull.h"
#include "gateway/pulls/pull_view.h"
#include "http/asio.h"

namespace dormouse::gateway {

struct PullServiceOptions {
  // Where images are looked for; the first one is where they are pulled to. Never empty.
  std::vector<std::string> directories;
  // Asked at each start. Errors: those of catalog::pull_options.
  std::function<Result<catalog::PullOptions>()> pull_options;
};

class PullService {
 public:
  // Borrowed: both outlive this.
  PullService(asio::io_context& io, const Clock& clock, PullServiceOptions options);
  ~PullService();
  PullService(const PullService&) = delete;
  PullService& operator=(const PullService&) = delete;

  // What runs ends within a second, what waits never begins, and nothing is started any more.
  void stop();

  // Of an image of the gallery, from the hub of this name or, empty, from the one that answers first. One that waits or
  // runs already goes on as it is. Errors: kInvalidArgument ("PARAMETER: ..."), kCancelled (closing).
  Status start(const catalog::Image& image, const std::string& hub);
  // Of one that waits or runs; else nothing.
  void cancel(std::string_view reference);

  [[nodiscard]] bool is_present(const catalog::Image& image) const;
  // Those that run, wait, failed or were cancelled, in the order they were asked for. One that has come is no more
  // here.
  [[nodiscard]] std::vector<PullView> views() const;

 private:
  // Both sides' while it runs.
  struct Run;
  // One of `pulls_`.
  struct Pull {
    catalog::PullRequest request;
    PullView view;
    std::shared_ptr<Run> run;  // null: it does not run
  };
  static void work(const std::shared_ptr<Run>& run, const Clock& clock);
  void run_next();
  void ended(const std::shared_ptr<Run>& run);
  void settle(Pull& pull, const Error& error);
  [[nodiscard]] Pull* find(std::string_view reference);

  asio::io_context& io_;
  const Clock& clock_;
  const PullServiceOptions options_;
  std::deque<Pull> pulls_;        // in the order they were asked for
  std::shared_ptr<Run> running_;  // at most one; a cancelled one until its thread has ended
  std::thread thread_;
  bool is_stopped_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dormouse::gateway
