#include "gateway/pulls/pull_service.h"

#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <exception>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>

#include "base/log.h"
#include "catalog/catalog.h"
#include "gateway/error_response.h"

namespace dormouse::gateway {

namespace {

using State = PullView::State;

bool is_writable(const std::string& directory) {
  return ::access(directory.c_str(), W_OK | X_OK) == 0;
}

bool goes_on(const PullView& view) {
  return view.state == State::kQueued || view.state == State::kRunning;
}

}  // namespace

struct PullService::Run {
  // Constant while it runs.
  catalog::PullRequest request;
  catalog::PullOptions options;
  MonoTime begun;
  std::stop_source stop;
  // The thread's until it has ended, then the loop's.
  Result<catalog::Pulled> result = make_error(Code::kInternal, "a pull that did not run");
  // Under the mutex.
  std::mutex mutex;
  catalog::PullProgress progress;

  [[nodiscard]] catalog::PullProgress latest() {
    const std::lock_guard lock(mutex);
    return progress;
  }
};

PullService::PullService(asio::io_context& io, const Clock& clock, PullServiceOptions options)
    : io_(io), clock_(clock), options_(std::move(options)) {}

PullService::~PullService() {
  *alive_ = false;
  stop();
  if (thread_.joinable()) thread_.join();
}

void PullService::stop() {
  is_stopped_ = true;
  if (running_ != nullptr) running_->stop.request_stop();
}

bool PullService::is_present(const catalog::Image& image) const {
  return !catalog::Catalog::find_local(image, options_.directories).empty();
}

PullService::Pull* PullService::find(std::string_view reference) {
  const auto found = std::find_if(pulls_.begin(), pulls_.end(),
                                  [reference](const Pull& pull) { return pull.view.reference == reference; });
  return found == pulls_.end() ? nullptr : &*found;
}

Status PullService::start(const catalog::Image& image, const std::string& hub) {
  if (is_stopped_) return make_error(Code::kCancelled, "pull: closing");
  const std::string reference = image.reference();
  if (!image.upstream.empty() || image.file.starts_with('/')) {
    return make_error(Code::kInvalidArgument,
                      fmt::format("reference: {} has no file of the gallery's: its server fetches it, or it is a path "
                                  "of yours",
                                  reference));
  }
  const bool is_known = hub.empty() ? !(image.huggingface.empty() && image.modelscope.empty() && image.url.empty())
                                    : !(hub == "huggingface" ? image.huggingface : image.modelscope).empty();
  if (!is_known) {
    return make_error(Code::kInvalidArgument, fmt::format("source: {} is not known to be {}", reference,
                                                          hub.empty() ? "anywhere" : "at " + hub));
  }
  const Pull* const known = find(reference);
  if (known != nullptr && goes_on(known->view)) return {};
  std::erase_if(pulls_, [&reference](const Pull& pull) { return pull.view.reference == reference; });
  Pull& pull = pulls_.emplace_back();
  pull.request = {.image = image, .directory = options_.directories.front(), .source = hub};
  pull.view.reference = reference;
  run_next();
  return {};
}

void PullService::cancel(std::string_view reference) {
  Pull* const pull = find(reference);
  if (pull == nullptr || !goes_on(pull->view)) return;
  if (pull->run != nullptr) {
    pull->view.progress = pull->run->latest();
    pull->run->stop.request_stop();
  }
  pull->view.state = State::kCancelled;
}

void PullService::run_next() {
  if (is_stopped_ || running_ != nullptr) return;
  const auto next =
      std::find_if(pulls_.begin(), pulls_.end(), [](const Pull& pull) { return pull.view.state == State::kQueued; });
  if (next == pulls_.end()) return;
  Result<catalog::PullOptions> options = options_.pull_options();
  if (!options.has_value()) {
    settle(*next, options.error());
    run_next();
    return;
  }
  auto run = std::make_shared<Run>();
  run->request = next->request;
  run->options = *std::move(options);
  run->begun = clock_.now();
  next->run = running_ = run;
  next->view.state = State::kRunning;
  log_info("event=pull_started image={} source={}", next->view.reference,
           next->request.source.empty() ? "any" : next->request.source);
  thread_ = std::thread([this, run, alive = alive_, &io = io_, &clock = clock_] {
    work(run, clock);
    asio::post(io, [this, run, alive] {
      if (*alive) ended(run);
    });
  });
}

void PullService::work(const std::shared_ptr<Run>& run, const Clock& clock) {
  const auto keep = [&run](const catalog::PullProgress& progress) {
    const std::lock_guard lock(run->mutex);
    run->progress = progress;
  };
  try {
    run->result = catalog::pull(run->request, run->options, clock, keep, run->stop.get_token());
  } catch (const std::exception& failure) {
    run->result = make_error(Code::kInternal, fmt::format("a pull ended by an exception: {}", failure.what()));
  }
}

void PullService::ended(const std::shared_ptr<Run>& run) {
  thread_.join();
  running_.reset();
  const double seconds = static_cast<double>((clock_.now() - run->begun).count()) / 1e9;
  const catalog::PullProgress last = run->latest();
  const std::string reference = run->request.image.reference();
  const auto is_of_run = [&run](const Pull& pull) { return pull.run == run; };
  const auto found = std::find_if(pulls_.begin(), pulls_.end(), is_of_run);
  if (run->result.has_value()) {
    log_info("event=pull_ended image={} outcome=done bytes={} fetched={} seconds={:.1f} source={}", reference,
             run->result->bytes, std::max<std::int64_t>(0, last.done - last.resumed), seconds, run->result->source);
    if (found != pulls_.end()) pulls_.erase(found);
  } else {
    const Error& error = run->result.error();
    log_info("event=pull_ended image={} outcome={} bytes={} fetched={} seconds={:.1f} source={} error=\"{}\"",
             reference, to_string(error.code), last.done, std::max<std::int64_t>(0, last.done - last.resumed), seconds,
             last.source, error.message);
    if (found != pulls_.end()) {
      found->run.reset();
      found->view.progress = last;
      if (found->view.state == State::kRunning) settle(*found, error);
    }
  }
  // What four connections, their certificates and a hash took would stay: the front door is to sleep in little.
  ::malloc_trim(0);
  run_next();
}

void PullService::settle(Pull& pull, const Error& error) {
  pull.view.state = error.code == Code::kCancelled ? State::kCancelled : State::kFailed;
  if (pull.view.state != State::kFailed) return;
  PullFailure& failure = pull.view.failure.emplace(PullFailure{from_pull(error), error.message});
  const bool is_ours = error.code == Code::kPermissionDenied && !is_writable(options_.directories.front());
  if (!is_ours) return;
  failure.error = {api::ErrorCode::kReadOnly,
                   "The server may not write into its model directory: give its user the right to, or start it with "
                   "another --models-dir.",
                   {}};
}

std::vector<PullView> PullService::views() const {
  std::vector<PullView> out;
  for (const Pull& pull : pulls_) {
    PullView& view = out.emplace_back(pull.view);
    if (view.state == State::kRunning) view.progress = pull.run->latest();
  }
  return out;
}

}  // namespace dormouse::gateway
