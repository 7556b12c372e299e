// Sends the requests of a load test and measures them, over real connections.
//
// Owner: one verb or test, which also owns the io_context, its only thread. One step at a time; stop() may be called
// from the loop while one runs. Every request it started has ended when a step's coroutine returns.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/generation.h"
#include "base/clock.h"
#include "http/client.h"
#include "loadtest/endpoint.h"
#include "loadtest/prompts.h"
#include "loadtest/summary.h"

namespace dormouse::loadtest {

inline constexpr std::int64_t kMostConcurrency = 10'000;
// A caller of a closed loop that failed waits so long: it would otherwise ask a dead server a million times.
inline constexpr std::chrono::milliseconds kPauseAfterFailure{100};

struct LoadOptions {
  Endpoint endpoint;
  std::string key;  // secret; empty: none
  api::GenerationRequest::Kind dialect = api::GenerationRequest::Kind::kChat;
  std::string model;
  std::int64_t input_tokens = 128;
  std::int64_t output_tokens = 64;
  bool ignore_eos = false;                     // vLLM's name, and ours; other servers may refuse it
  std::chrono::milliseconds timeout{120'000};  // from sent to the whole answer
  std::int64_t max_outstanding = 1'024;        // of an open loop; those due beyond it wait, and count from due
};

struct Progress {
  std::int64_t started = 0;
  std::int64_t ended = 0;
  std::int64_t failed = 0;
  double elapsed_s = 0;
};

class LoadRunner {
 public:
  LoadRunner(asio::io_context& io, const Clock& clock, LoadOptions options, Prompts prompts);
  ~LoadRunner();
  LoadRunner(const LoadRunner&) = delete;
  LoadRunner& operator=(const LoadRunner&) = delete;

  // The first of the server's models, for options without one. Errors: what the connection or the server said.
  Task<Result<std::string>> first_model();
  void set_model(std::string model) { options_.model = std::move(model); }
  // Not measured. Errors: of the first one that fails, with the server's words: kUnavailable (nobody answers), else
  // kInternal.
  Task<Status> warm_up(std::int64_t requests);

  // `concurrency` callers, each of which asks again once it is answered. At the end of the time no new request is sent,
  // and those on their way end.
  Task<Measured> run_closed(std::int64_t concurrency, Extent extent);
  // Each when it is due. `lasts_s`: the step's time, of which the end may be without a request; 0: to its last one.
  Task<Measured> run_open(Step step, std::vector<Due> schedule, double lasts_s);
  // One after the other, `prepare` before each, which is not in its time.
  // Errors: of `prepare`.
  Task<Result<Measured>> run_cold(std::int64_t requests, std::function<Task<Status>()> prepare);

  // Of the step that runs.
  [[nodiscard]] Progress progress() const;
  // Ends what is on its way without counting it; the step returns with what ended before, and no other begins.
  void stop();
  [[nodiscard]] bool is_stopped() const { return stopped_; }

 private:
  struct Deadline;
  // A request and what else is known of it.
  struct Asked {
    Sample sample;
    std::vector<double> gaps_s;
    bool is_cut = false;  // by stop(): not the server's failure
  };

  void begin(Step step);
  Measured finish();
  [[nodiscard]] double now_s() const;  // since the step's start
  [[nodiscard]] bool has_more(const Extent& extent) const;
  void spawn(Task<void> task);
  Task<void> wait_for_one_to_end();
  Task<void> pause(std::chrono::nanoseconds time);

  Task<void> call_again_and_again(Extent extent);
  Task<void> call_once(Due due);
  Task<bool> perform_and_keep(Due due);  // whether it succeeded
  Task<Asked> perform(Due due);
  Task<void> read_answer(http::ClientResponse& response, const Deadline& deadline, Asked& asked);
  [[nodiscard]] std::string body_of(const Due& due, std::int64_t number) const;
  [[nodiscard]] http::ClientRequest request_to(std::string method, std::string_view path) const;

  asio::io_context& io_;
  const Clock& clock_;
  LoadOptions options_;
  const Prompts prompts_;
  http::Client client_;
  asio::steady_timer ended_;  // cancelled when a request ends or all are stopped
  asio::steady_timer due_;
  std::map<std::int64_t, std::shared_ptr<http::Canceller>> on_their_way_;
  Measured measured_;
  MonoTime start_;
  std::int64_t tasks_ = 0;
  std::int64_t next_number_ = 0;  // of all steps, so that no two prompts begin alike
  std::int64_t started_ = 0;      // of this step
  std::int64_t failed_ = 0;
  bool stopped_ = false;
};

}  // namespace dormouse::loadtest
