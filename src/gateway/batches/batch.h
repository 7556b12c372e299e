// A batch: deferred requests of one file, and how far they are. What is kept on disk, what a caller sees, and what a
// file of requests must be. Pure: no I/O; threads: any.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/generation.h"
#include "base/result.h"

namespace dormouse::gateway {

inline constexpr std::size_t kMaxBatchLines = 50'000;  // OpenAI's own
inline constexpr std::size_t kMaxCustomId = 512;
inline constexpr std::size_t kMaxBatchErrors = 20;  // told; a file with more has more
inline constexpr std::chrono::seconds kLongestWindow{7 * 24 * 3600};
inline constexpr std::chrono::seconds kShortestWindow{60};

enum class BatchStatus { kFailed, kInProgress, kFinalizing, kCompleted, kExpired, kCancelling, kCancelled };
// Nothing happens to it any more.
[[nodiscard]] bool is_over(BatchStatus status);

struct BatchProblem {
  std::string code;
  std::string message;
  std::int64_t line = 0;  // from 1
};

struct Batch {
  std::string id;
  std::string owner;       // key id; empty: nobody had to say who they were
  bool is_public = false;  // made through a public door: may use what is visible there
  std::string endpoint;    // "/v1/chat/completions"
  std::string input_file_id;
  std::string output_file_id;
  std::string error_file_id;
  std::string window;           // as asked for, "24h"
  std::string metadata = "{}";  // JSON text
  std::string model;            // of every line
  BatchStatus status = BatchStatus::kInProgress;
  std::vector<BatchProblem> problems;  // kFailed
  std::int64_t total = 0;
  std::int64_t completed = 0;
  std::int64_t failed = 0;
  std::int64_t keep_results_s = 0;  // output_expires_after; 0: not said
  // Seconds of 1970; 0: not yet.
  std::int64_t created_s = 0;
  std::int64_t expires_s = 0;
  std::int64_t started_s = 0;  // the first request ran
  std::int64_t cancelling_s = 0;
  std::int64_t ended_s = 0;
};

// The state file's text, and back. Errors: kDataLoss.
[[nodiscard]] std::string to_record(const Batch& batch);
[[nodiscard]] Result<Batch> batch_from_record(std::string_view text);
// OpenAI's batch object.
[[nodiscard]] std::string batch_json(const Batch& batch);

// "24h", "90m", "3600s". Errors: invalid_value.
[[nodiscard]] api::ApiResult<std::chrono::seconds> parse_window(std::string_view text);
[[nodiscard]] bool is_batch_endpoint(std::string_view path);

// One request of the file; views into it.
struct BatchLine {
  std::string custom_id;
  std::string body;  // JSON text
};
struct BatchLines {
  std::vector<BatchLine> lines;
  std::string model;
  std::vector<BatchProblem> problems;  // not empty: this is no file for a batch
};
// {"custom_id","method":"POST","url":endpoint,"body":{...}} a line, every custom_id once, one model, no streams.
[[nodiscard]] BatchLines parse_batch_lines(std::string_view text, std::string_view endpoint);

// What is written for one request. `response_body`: JSON, or empty where no answer was (then code and message say why).
struct BatchResult {
  std::string custom_id;
  std::string request_id;
  int status = 0;
  std::string response_body;
  std::string code;
  std::string message;
};
[[nodiscard]] std::string result_line(const BatchResult& result);
// Which request of the file such a line answers, and which of the ledger's it was; nullopt: it is not one.
struct ResultNames {
  std::string custom_id;
  std::string request_id;
};
[[nodiscard]] std::optional<ResultNames> names_of(std::string_view line);

}  // namespace dormouse::gateway
