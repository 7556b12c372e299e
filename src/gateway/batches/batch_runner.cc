#include "gateway/batches/batch_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/crashpoint.h"
#include "base/ids.h"
#include "base/log.h"
#include "gateway/batches/inner_exchange.h"
#include "gateway/batches/result_file.h"

namespace dormouse::gateway {
namespace {

namespace fs = std::filesystem;

// Between two looks at whether an instance is awake, and before a request that was turned away is tried again.
constexpr std::chrono::milliseconds kLook{1'000};
constexpr std::chrono::milliseconds kTryAgain{5'000};
constexpr int kPatience = 30;  // looks at an instance that has gone to sleep or has others waiting
constexpr std::int64_t kSweepEvery_s = 60;
constexpr double kUnknownSeconds = 10;
constexpr std::chrono::seconds kTimeToLoad{120};

std::int64_t seconds_of(const Clock& clock) {
  return clock.wall().us / 1'000'000;
}

// Turned away for now: a limit that fills again, a full queue, an instance that died or we that stop. A used-up budget
// is not one of them: its code tells them apart.
bool is_passing(const http::Response& response) {
  if (response.status == 429) return response.body.find("\"insufficient_quota\"") == std::string::npos;
  return response.status == 502 || response.status == 503;
}

}  // namespace

std::chrono::seconds batch_lead(std::int64_t requests_left, double seconds_each, std::chrono::seconds window) {
  const double each = seconds_each > 0 ? seconds_each : kUnknownSeconds;
  const double work = 2 * each * static_cast<double>(std::max<std::int64_t>(requests_left, 1)) / kBatchRequestsAtOnce;
  const double most = static_cast<double>(window.count()) / 2;
  const double lead = work + static_cast<double>(kTimeToLoad.count());
  return std::chrono::seconds(static_cast<std::int64_t>(std::min(lead, most)));
}

struct BatchRunner::Shared {
  Shared(asio::io_context& i, const Clock& c, FileStore& f, fleet::Supervisor& s, BatchDoor d, std::chrono::seconds k)
      : io(i), clock(c), files(f), fleet(s), door(std::move(d)), keep(k), timer(i) {}

  [[nodiscard]] std::string record_path(const std::string& id) const { return files.directory() + "/" + id + ".batch"; }
  // Whether its next request may go now: an instance is awake and nobody waits for it, or the deadline is near.
  [[nodiscard]] bool may_run(const Batch& batch, double seconds_each) const {
    const std::int64_t left = batch.total - batch.completed - batch.failed;
    const std::chrono::seconds window{batch.expires_s - batch.created_s};
    if (seconds_of(clock) >= batch.expires_s - batch_lead(left, seconds_each, window).count()) return true;
    const std::string name = door.deployment_of(batch);
    for (const fleet::DeploymentStatus& status : fleet.status()) {
      if (status.name == name) return status.state == "ready" && status.waiting == 0;
    }
    return true;  // no such model any more: the answer says so
  }
  Task<Status> save(const Batch& batch) {
    std::function<Status()> work = [path = record_path(batch.id), text = to_record(batch)] {
      return write_durably(path, text);
    };
    return files.run(std::move(work));
  }
  Task<void> pause(std::chrono::milliseconds how_long) {
    asio::steady_timer wait(io, how_long);
    [[maybe_unused]] const auto [ec] = co_await wait.async_wait(kTuple);
  }

  asio::io_context& io;
  const Clock& clock;
  FileStore& files;
  fleet::Supervisor& fleet;
  const BatchDoor door;
  const std::chrono::seconds keep;
  asio::steady_timer timer;
  std::map<std::string, Batch> batches;  // by id, which sorts by time
  std::set<std::string> running;
  std::int64_t next_sweep_s = 0;
  bool stopped = false;
};

// One batch while it runs.
struct BatchRunner::Run {
  Run(asio::io_context& io, Batch& b) : batch(b), finished(io) {}

  Batch& batch;                  // the map's, where what runs stays
  std::vector<BatchLine> lines;  // that have no result yet
  std::vector<bool> has_result;  // by line
  std::size_t next = 0;
  int workers = 0;
  OneShot<bool> finished;  // the last worker has gone
  double seconds = 0;      // of the requests that came back
  std::int64_t came_back = 0;
  bool broken = false;  // results cannot be written: the disk

  [[nodiscard]] double seconds_each() const { return came_back > 0 ? seconds / static_cast<double>(came_back) : 0; }
};

BatchRunner::BatchRunner(asio::io_context& io, const Clock& clock, FileStore& files, fleet::Supervisor& fleet,
                         BatchDoor door, std::chrono::seconds keep)
    : shared_(std::make_shared<Shared>(io, clock, files, fleet, std::move(door), keep)) {}

BatchRunner::~BatchRunner() {
  stop();
}

Task<Status> BatchRunner::start() {
  CO_TRY_STATUS(load(*shared_));
  co_await drop_taken_back(shared_);
  for (auto& [id, batch] : shared_->batches) {
    if (is_over(batch.status)) continue;
    std::set<std::string> done;
    batch.completed = 0;
    batch.failed = 0;
    CO_TRY_STATUS(read_results(shared_->files.data_path(batch.output_file_id), done, batch.completed));
    CO_TRY_STATUS(read_results(shared_->files.data_path(batch.error_file_id), done, batch.failed));
  }
  asio::co_spawn(shared_->io, watch(shared_), asio::detached);
  co_return Status();
}

Status BatchRunner::load(Shared& shared) {
  std::error_code ec;
  for (const fs::directory_entry& entry : fs::directory_iterator(shared.files.directory(), ec)) {
    const std::string path = entry.path().string();
    if (!path.ends_with(".batch")) continue;
    TRY(const std::string text, read_whole(path));
    Result<Batch> batch = batch_from_record(text);
    if (!batch.has_value() || path != shared.record_path(batch->id)) {
      log_warn("event=batch_record_unreadable path={}", path);
      continue;
    }
    shared.batches.emplace(batch->id, *std::move(batch));
  }
  if (ec) return make_error(Code::kUnavailable, fmt::format("batches: {}", ec.message()));
  return drop_orphans(shared);
}

// Data that is no file, nor to become one: of an upload that a crash cut off.
Status BatchRunner::drop_orphans(Shared& shared) {
  std::set<std::string> wanted;
  for (const auto& [id, file] : shared.files.all()) wanted.insert(shared.files.data_path(id));
  for (const auto& [id, batch] : shared.batches) {
    if (is_over(batch.status)) continue;
    wanted.insert(shared.files.data_path(batch.output_file_id));
    wanted.insert(shared.files.data_path(batch.error_file_id));
  }
  std::vector<std::string> orphans;
  std::error_code ec;
  for (const fs::directory_entry& entry : fs::directory_iterator(shared.files.directory(), ec)) {
    const std::string path = entry.path().string();
    if (path.ends_with(".data") && !wanted.contains(path)) orphans.push_back(path);
  }
  if (ec) return make_error(Code::kUnavailable, fmt::format("batches: {}", ec.message()));
  for (const std::string& path : orphans) TRY_STATUS(remove_durably(path));
  return {};
}

// Where the ledger or the disk cannot be asked, those results are kept, and were free.
Task<void> BatchRunner::drop_taken_back(std::shared_ptr<Shared> shared) {
  std::vector<std::string> paths;
  for (const auto& [id, batch] : shared->batches) {
    if (!is_over(batch.status)) paths.push_back(shared->files.data_path(batch.output_file_id));
  }
  if (paths.empty()) co_return;
  Result<std::set<std::string>> ids = co_await shared->door.taken_back();
  Status dropped = ids.has_value() ? Status() : Status(ids.error());
  if (ids.has_value() && !ids->empty()) {
    std::function<Status()> work = [paths = std::move(paths), ids = *std::move(ids)]() -> Status {
      for (const std::string& path : paths) TRY_STATUS(drop_results(path, ids));
      return {};
    };
    dropped = co_await shared->files.run(std::move(work));
  }
  if (!dropped.has_value()) log_error("event=batch_results_not_checked error=\"{}\"", dropped.error().message);
}

void BatchRunner::stop() {
  shared_->stopped = true;
  shared_->timer.cancel();
}

const Batch* BatchRunner::find(const std::string& id) const {
  const auto found = shared_->batches.find(id);
  return found == shared_->batches.end() ? nullptr : &found->second;
}

const std::map<std::string, Batch>& BatchRunner::all() const {
  return shared_->batches;
}

bool BatchRunner::is_full() const {
  const auto open = std::count_if(shared_->batches.begin(), shared_->batches.end(),
                                  [](const auto& entry) { return !is_over(entry.second.status); });
  return static_cast<std::size_t>(open) >= kMaxBatches;
}

bool BatchRunner::reads(const std::string& file_id) const {
  return std::any_of(shared_->batches.begin(), shared_->batches.end(), [&file_id](const auto& entry) {
    return !is_over(entry.second.status) && entry.second.input_file_id == file_id;
  });
}

Task<Status> BatchRunner::add(Batch batch) {
  CO_TRY_STATUS(co_await shared_->save(batch));
  shared_->batches.emplace(batch.id, std::move(batch));
  shared_->timer.cancel();
  co_return Status();
}

Task<Status> BatchRunner::cancel(std::string id) {
  Batch& batch = shared_->batches.at(id);
  if (batch.status == BatchStatus::kInProgress) {
    batch.status = BatchStatus::kCancelling;
    batch.cancelling_s = seconds_of(shared_->clock);
  }
  shared_->timer.cancel();
  co_return co_await shared_->save(batch);
}

// A file that an open batch reads waits for its end.
Task<void> BatchRunner::sweep_away(std::shared_ptr<Shared> shared) {
  const std::int64_t now = seconds_of(shared->clock);
  std::vector<std::string> old_files;
  std::set<std::string> needed;
  std::vector<std::string> old_batches;
  for (const auto& [id, batch] : shared->batches) {
    if (!is_over(batch.status)) {
      needed.insert(batch.input_file_id);
    } else if (shared->keep.count() > 0 && batch.ended_s + shared->keep.count() <= now &&
               !shared->running.contains(id)) {
      old_batches.push_back(id);
    }
  }
  for (const auto& [id, file] : shared->files.all()) {
    if (file.expires_s > 0 && file.expires_s <= now && !needed.contains(id)) old_files.push_back(id);
  }
  for (const std::string& id : old_files) {
    const Status removed = co_await shared->files.remove(id);
    if (!removed.has_value()) log_warn("event=file_not_removed id={} error=\"{}\"", id, removed.error().message);
  }
  for (const std::string& id : old_batches) {
    std::function<Status()> work = [path = shared->record_path(id)] { return remove_durably(path); };
    const Status removed = co_await shared->files.run(std::move(work));
    if (removed.has_value()) {
      shared->batches.erase(id);
    } else {
      log_warn("event=batch_not_removed id={} error=\"{}\"", id, removed.error().message);
    }
  }
  if (!old_files.empty() || !old_batches.empty()) {
    log_info("event=batches_swept files={} batches={}", old_files.size(), old_batches.size());
  }
}

// The oldest first; whoever waits for an instance holds no place.
Task<void> BatchRunner::watch(std::shared_ptr<Shared> shared) {
  while (!shared->stopped) {
    for (auto& [id, batch] : shared->batches) {
      if (is_over(batch.status) || shared->running.contains(id)) continue;
      const bool must = batch.status != BatchStatus::kInProgress;  // cancelled, or its files have to be closed
      if (!must && (shared->running.size() >= kBatchesAtOnce || !shared->may_run(batch, 0))) continue;
      shared->running.insert(id);
      asio::co_spawn(shared->io, run_batch(shared, id), asio::detached);
    }
    if (seconds_of(shared->clock) >= shared->next_sweep_s) {
      shared->next_sweep_s = seconds_of(shared->clock) + kSweepEvery_s;
      co_await sweep_away(shared);
      continue;  // its disk work took a while
    }
    shared->timer.expires_after(kLook);
    [[maybe_unused]] const auto [ec] = co_await shared->timer.async_wait(kTuple);
  }
}

Task<void> BatchRunner::run_batch(std::shared_ptr<Shared> shared, std::string id) {
  const auto run = std::make_shared<Run>(shared->io, shared->batches.at(id));
  const bool loaded = co_await load_run(shared, run);
  if (loaded && !run->lines.empty() && run->batch.status == BatchStatus::kInProgress) {
    run->workers = kBatchRequestsAtOnce;
    for (int i = 0; i < kBatchRequestsAtOnce; ++i) asio::co_spawn(shared->io, work(shared, run), asio::detached);
    co_await run->finished.get();
  }
  if (loaded && !run->broken && !shared->stopped) co_await end_batch(shared, run);
  if (!loaded || run->broken) co_await shared->pause(kTryAgain);  // a disk that fails is not asked all the time
  shared->running.erase(id);
}

// Which of its requests have a result, as the files say: counts in the record may be older.
Task<bool> BatchRunner::load_run(std::shared_ptr<Shared> shared, std::shared_ptr<Run> run) {
  struct Loaded {
    BatchLines lines;
    std::int64_t completed = 0;
    std::int64_t failed = 0;
  };
  const auto loaded = std::make_shared<Loaded>();
  const Batch& batch = run->batch;
  std::function<Status()> read = [loaded, input = shared->files.data_path(batch.input_file_id),
                                  output = shared->files.data_path(batch.output_file_id),
                                  errors = shared->files.data_path(batch.error_file_id),
                                  endpoint = batch.endpoint]() -> Status {
    std::set<std::string> done;
    TRY_STATUS(read_results(output, done, loaded->completed));
    TRY_STATUS(read_results(errors, done, loaded->failed));
    TRY(const std::string text, read_whole(input));
    loaded->lines = parse_batch_lines(text, endpoint);
    std::erase_if(loaded->lines.lines, [&done](const BatchLine& line) { return done.contains(line.custom_id); });
    return {};
  };
  const Status status = co_await shared->files.run(std::move(read));
  if (!status.has_value() && status.error().code == Code::kNotFound) {
    run->batch.problems.push_back({"input_file_gone", "The file of requests is no more.", 0});
  } else if (!status.has_value()) {
    log_error("event=batch_not_read id={} error=\"{}\"", batch.id, status.error().message);
    co_return false;
  }
  run->lines = std::move(loaded->lines.lines);
  run->has_result.assign(run->lines.size(), false);
  run->batch.completed = loaded->completed;
  run->batch.failed = loaded->failed;
  if (run->batch.started_s == 0) run->batch.started_s = seconds_of(shared->clock);
  co_return true;
}

Task<void> BatchRunner::work(std::shared_ptr<Shared> shared, std::shared_ptr<Run> run) {
  int looks = 0;
  while (!shared->stopped && !run->broken && run->next < run->lines.size() &&
         run->batch.status == BatchStatus::kInProgress && seconds_of(shared->clock) < run->batch.expires_s) {
    if (!shared->may_run(run->batch, run->seconds_each())) {
      if (++looks > kPatience) break;  // its place is for one whose instance is awake
      co_await shared->pause(kLook);
      continue;
    }
    looks = 0;
    const std::size_t line = run->next++;
    while (true) {
      const bool has_result = co_await run_line(shared, run, line);
      if (has_result) break;
      const bool goes_on = !shared->stopped && !run->broken && run->batch.status == BatchStatus::kInProgress &&
                           seconds_of(shared->clock) < run->batch.expires_s;
      if (!goes_on) break;
      co_await shared->pause(kTryAgain);
    }
  }
  if (--run->workers == 0) run->finished.set(true);
}

// False: it has no result yet and should be tried again.
Task<bool> BatchRunner::run_line(std::shared_ptr<Shared> shared, std::shared_ptr<Run> run, std::size_t line) {
  const MonoTime begun = shared->clock.now();
  InnerExchange exchange(run->batch.endpoint, run->lines[line].body,
                         [&](const http::Response& response) { return deliver(shared, run, line, response); });
  const Status handled = co_await shared->door.handle(run->batch, exchange);
  if (!handled.has_value()) {
    BatchResult result;
    result.custom_id = run->lines[line].custom_id;
    result.request_id = make_uuid_v7(shared->clock.wall());
    result.code = "invalid_api_key";
    result.message = handled.error().message;
    co_return co_await write_result(shared, run, line, std::move(result));
  }
  if (!run->has_result[line]) co_return false;
  run->seconds += std::chrono::duration<double>(shared->clock.now() - begun).count();
  run->came_back += 1;
  co_return true;
}

// What it returns the ledger hears: an error gives the money back.
Task<Status> BatchRunner::deliver(std::shared_ptr<Shared> shared, std::shared_ptr<Run> run, std::size_t line,
                                  const http::Response& response) {
  if (is_passing(response)) co_return Status();
  crashpoint("batch.answered");
  BatchResult result;
  result.custom_id = run->lines[line].custom_id;
  result.request_id = response.headers.find("x-request-id").value_or("");
  result.status = response.status;
  result.response_body = response.body;
  const bool written = co_await write_result(shared, run, line, std::move(result));
  co_return written ? Status() : make_error(Code::kUnavailable, "batch: its results cannot be written");
}

Task<bool> BatchRunner::write_result(std::shared_ptr<Shared> shared, std::shared_ptr<Run> run, std::size_t line,
                                     BatchResult result) {
  const bool is_good = result.status == 200;
  std::function<Status()> append =
      [path = shared->files.data_path(is_good ? run->batch.output_file_id : run->batch.error_file_id),
       text = result_line(result)] { return append_durably(path, text); };
  const Status written = co_await shared->files.run(std::move(append));
  if (!written.has_value()) {
    log_error("event=batch_result_not_written id={} error=\"{}\"", run->batch.id, written.error().message);
    run->broken = true;
    co_return false;
  }
  crashpoint("batch.written");
  run->has_result[line] = true;
  (is_good ? run->batch.completed : run->batch.failed) += 1;
  co_return true;
}

// What has no result gets one that says so; false: the disk.
Task<bool> BatchRunner::expire_rest(std::shared_ptr<Shared> shared, std::shared_ptr<Run> run) {
  for (std::size_t i = 0; i < run->lines.size(); ++i) {
    if (run->has_result[i]) continue;
    BatchResult result;
    result.custom_id = run->lines[i].custom_id;
    result.request_id = make_uuid_v7(shared->clock.wall());
    result.code = "batch_expired";
    result.message = "This request could not be answered before the batch's deadline.";
    const bool written = co_await write_result(shared, run, i, std::move(result));
    if (!written) co_return false;
  }
  co_return true;
}

// False: the disk. A file without a line is none.
Task<bool> BatchRunner::adopt_results(std::shared_ptr<Shared> shared, std::shared_ptr<Run> run, Results which) {
  const Batch& batch = run->batch;
  const bool is_output = which == Results::kOutput;
  if ((is_output ? batch.completed : batch.failed) == 0) co_return true;
  StoredFile file;
  file.id = is_output ? batch.output_file_id : batch.error_file_id;
  file.owner = batch.owner;
  file.filename = fmt::format("{}_{}.jsonl", batch.id, is_output ? "output" : "error");
  file.purpose = "batch_output";
  file.created_s = seconds_of(shared->clock);
  file.expires_s = shared->files.expiry(file.created_s, std::chrono::seconds(batch.keep_results_s));
  const Status adopted = co_await shared->files.adopt(std::move(file));
  if (adopted.has_value()) co_return true;
  log_error("event=batch_not_ended id={} error=\"{}\"", batch.id, adopted.error().message);
  co_return false;
}

// Its result files become files, then it is over. Done twice, after a crash in between, it is the same.
Task<void> BatchRunner::end_batch(std::shared_ptr<Shared> shared, std::shared_ptr<Run> run) {
  Batch& batch = run->batch;
  BatchStatus end = BatchStatus::kCompleted;
  if (batch.status == BatchStatus::kCancelling) {
    end = BatchStatus::kCancelled;
  } else if (!batch.problems.empty()) {
    end = BatchStatus::kFailed;
  } else if (batch.completed + batch.failed < batch.total) {
    if (seconds_of(shared->clock) < batch.expires_s) co_return;
    end = BatchStatus::kExpired;
    const bool written = co_await expire_rest(shared, run);
    if (!written) co_return;
  }
  const bool has_output = co_await adopt_results(shared, run, Results::kOutput);
  if (!has_output) co_return;
  const bool has_errors = co_await adopt_results(shared, run, Results::kErrors);
  if (!has_errors) co_return;
  crashpoint("batch.ending");
  Batch ended = batch;
  ended.status = end;
  ended.ended_s = seconds_of(shared->clock);
  const Status saved = co_await shared->save(ended);
  if (!saved.has_value()) co_return;
  batch = std::move(ended);
  log_info("event=batch_ended id={} completed={} failed={} total={}", batch.id, batch.completed, batch.failed,
           batch.total);
}

}  // namespace dormouse::gateway
