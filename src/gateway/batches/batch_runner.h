// Runs batches: work that waits for an instance somebody else has woken, or for its own deadline, and then goes through
// the same handlers as everybody's requests, with the limits and on the bill of the key that made it. Every state is on
// disk (docs/api_openai.md says where and why), so a batch goes on after any end of this process; what is long over
// goes. Threads: the loop's. Owner: the house; stop() before the gateway stops its requests. Invariants: (1) a request
// has at most one line in the two result files, whole and synced before it counts; (2) a request that ran when the
// process died runs again unless its line is there; (3) a batch's state is written before a caller hears of it; (4) a
// request with a line is on the bill, once: the line is written between its settlement and its closing, and a line
// whose closing a crash took, so that the ledger gave it back, is taken out and runs again.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "fleet/supervisor.h"
#include "gateway/batches/batch.h"
#include "gateway/batches/file_store.h"
#include "http/server.h"

namespace dormouse::gateway {

inline constexpr std::size_t kMaxBatches = 1'000;  // that are not over; more are refused
// Requests of one batch at once. An instance's batches grow with it; four neither fill one nor leave it to one stream.
inline constexpr int kBatchRequestsAtOnce = 4;
inline constexpr std::size_t kBatchesAtOnce = 4;

struct BatchDoor {
  // The deployment that a batch's model means, for its maker; empty: none.
  std::function<std::string(const Batch&)> deployment_of;
  // Through the gateway's handlers, as the batch's maker. Errors: the key is no more.
  std::function<Task<Status>(const Batch&, http::Exchange&)> handle;
  // The requests that the ledger gave back, or broke off, when the last process died (taken_back.h).
  std::function<Task<Result<std::set<std::string>>>()> taken_back;
};

class BatchRunner {
 public:
  // `keep`: how long one that is over is; zero: for ever.
  BatchRunner(asio::io_context& io, const Clock& clock, FileStore& files, fleet::Supervisor& fleet, BatchDoor door,
              std::chrono::seconds keep);
  ~BatchRunner();
  BatchRunner(const BatchRunner&) = delete;
  BatchRunner& operator=(const BatchRunner&) = delete;

  // Reads what earlier starts left; batches that are not over go on. Before anybody's first request. Errors: the
  // disk's.
  Task<Status> start();
  // Nothing new begins. Requests that run end by themselves or are told to.
  void stop();

  [[nodiscard]] const Batch* find(const std::string& id) const;
  [[nodiscard]] const std::map<std::string, Batch>& all() const;
  [[nodiscard]] bool is_full() const;
  // A batch that is not over has its requests there.
  [[nodiscard]] bool reads(const std::string& file_id) const;
  // Errors: the disk's.
  Task<Status> add(Batch batch);
  // Of one that is not over. Errors: the disk's.
  Task<Status> cancel(std::string id);
  // What has been kept as long as was promised goes. By itself, every minute.
  Task<void> sweep() { return sweep_away(shared_); }

 private:
  struct Shared;
  struct Run;
  static Status load(Shared& shared);
  static Status drop_orphans(Shared& shared);
  static Task<void> drop_taken_back(std::shared_ptr<Shared> shared);
  static Task<void> sweep_away(std::shared_ptr<Shared> shared);
  static Task<void> watch(std::shared_ptr<Shared> shared);
  static Task<void> run_batch(std::shared_ptr<Shared> shared, std::string id);
  static Task<bool> load_run(std::shared_ptr<Shared> shared, std::shared_ptr<Run> run);
  static Task<void> work(std::shared_ptr<Shared> shared, std::shared_ptr<Run> run);
  static Task<bool> run_line(std::shared_ptr<Shared> shared, std::shared_ptr<Run> run, std::size_t line);
  static Task<Status> deliver(std::shared_ptr<Shared> shared, std::shared_ptr<Run> run, std::size_t line,
                              const http::Response& response);
  static Task<bool> write_result(std::shared_ptr<Shared> shared, std::shared_ptr<Run> run, std::size_t line,
                                 BatchResult result);
  static Task<bool> expire_rest(std::shared_ptr<Shared> shared, std::shared_ptr<Run> run);
  enum class Results { kOutput, kErrors };
  static Task<bool> adopt_results(std::shared_ptr<Shared> shared, std::shared_ptr<Run> run, Results which);
  static Task<void> end_batch(std::shared_ptr<Shared> shared, std::shared_ptr<Run> run);

  std::shared_ptr<Shared> shared_;
};

// How long before its deadline a batch stops waiting for others to wake its model: what its requests may take by
// `seconds_each` (0: not known, then 10), twice, and time to load; at most half its window.
[[nodiscard]] std::chrono::seconds batch_lead(std::int64_t requests_left, double seconds_each,
                                              std::chrono::seconds window);

}  // namespace dormouse::gateway
