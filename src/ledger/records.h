// What goes into the ledger and what comes out, as values. Integers only: tokens, microseconds, micro-units of money.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/money.h"

namespace dormouse::ledger {

// Who wrote a deployment: what stands in the file is read-only for the API.
enum class Source { kFile, kApi, kDemo };

// A name that requests use, and what to run for it.
struct Deployment {
  std::string name;
  std::string image;                // as the person typed it; empty for a bare file
  std::string model_path;           // the GGUF file
  std::string driver = "process";   // process | command | slurm | kubernetes
  std::string runtime = "builtin";  // builtin | llama-server | vllm | ollama
  std::string exposure = "private"; // private | public
  std::int64_t idle_timeout_ms = 600'000;
  std::int64_t min_instances = 0;
  std::int64_t max_instances = 1;
  Source source = Source::kApi;
  std::string rules = "{}";      // the rest, one JSON object: whoever writes it reads it
  std::uint64_t last_epoch = 0;  // filled in by reads: the greatest epoch any start of it ever had; 0: never started
  friend bool operator==(const Deployment&, const Deployment&) = default;
};

// Its instances are children of the gateway and die with it; those of every other driver may outlive it.
inline constexpr const char* kChildDriver = "process";

// What an instance of a type costs, as it was at some time. A changed price is a new version; none is ever edited.
struct Price {
  std::int64_t version = 0;      // given by the ledger; 0: not yet
  std::string instance_type;
  std::string billing = "hourly";   // hourly: every period is paid as it is used; monthly: a fee, used or not
  std::string currency;             // ISO 4217
  std::int64_t period_micros = 0;   // for one period of one instance
  std::int64_t period_us = 3'600'000'000;  // monthly: 730 h
  std::int64_t increment_us = 1'000'000;   // what is paid whole
  std::string source;               // where it was read, with its date
  friend bool operator==(const Price&, const Price&) = default;
};

// A month's fee of a deployment that is billed by the month; booked once, whatever runs.
struct Fee {
  std::string deployment;
  std::string month;  // "2026-11", of the reporting time zone
  std::int64_t month_begin_us = 0;
  std::int64_t price_version = 0;
  std::int64_t micros = 0;
  std::string currency;
};

// Written before a driver is asked to start anything: a crash in between leaves a trace to reconcile against.
struct StartIntent {
  std::string instance_id;  // UUIDv7; also the idempotency key given to the driver
  std::string deployment;
  std::string driver;
  std::string lease_sha256;  // lowercase hex of the lease token's hash, never the token
  std::uint64_t epoch = 0;   // greater than every earlier one of this deployment
  std::string cause;         // "request" | "wake" | "min"
  std::optional<std::int64_t> price_version;  // what its time costs, for its whole life
};

// The life of one instance, in this order; phases may be skipped, none is written twice.
enum class SpanPhase { kRequested, kUp, kReady, kDrain, kDown, kConfirmed };

struct SpanEvent {
  std::string instance_id;       // has an intent
  SpanPhase phase = SpanPhase::kRequested;
  std::int64_t since_request_us = 0;  // boot clock, from kRequested
  std::string reason;            // why it ended: "idle_timeout", "crashed", ...; kept from kDrain and kDown
};

// An instance that may have outlived the process which started it: its span was open, and nobody had told it to end.
struct Survivor {
  StartIntent intent;
  SpanPhase phase = SpanPhase::kRequested;  // the last one it reached: kRequested, kUp or kReady
  std::int64_t alive_us = 0;                // from its request until now, by the wall
  std::int64_t busy_us = 0;
  std::int64_t unwatched_us = 0;  // of alive_us: since the last process is known to have lived
  std::optional<TimePrice> price;  // of intent.price_version
};

// How far a living instance has come: kept current so that a crash of the gateway loses at most one period of it.
struct SpanProgress {
  std::string instance_id;
  std::int64_t alive_us = 0;  // boot clock, since kRequested
  std::int64_t busy_us = 0;   // time with at least one request on it
};

enum class Outcome {
  kOk,
  kClientGone,    // billed for what was written to the socket
  kFailed,        // our side: zero tokens are billed (requirement R-28)
  kInterrupted,   // written by recovery only
};

// A client's Idempotency-Key.
struct IdempotencyClaim {
  std::string scope;  // key id and route
  std::string client_key;
  std::string body_sha256;
};

// What stands for such a key already.
struct IdempotencyRecord {
  std::string request_id;
  std::string body_sha256;
  bool settled = false;
  Outcome outcome = Outcome::kOk;  // once settled
  std::int64_t http_status = 0;
};

// The most a request may cost, made durable before any byte of its answer leaves.
struct Reservation {
  std::string request_id;         // ours, UUIDv7
  std::string client_request_id;  // the client's own, an attribute only; cut to 128 bytes
  std::string deployment;
  std::string dialect;            // "generate" | "openai" | "ollama"
  std::optional<std::string> key_id;
  std::int64_t input_tokens = 0;  // the most admitted
  std::int64_t output_tokens = 0;
  std::optional<std::int64_t> price_version;
  std::optional<std::int64_t> micros;  // with currency
  std::string currency;
  // kAlreadyExists, and *repetition says what: the client's key stands for another request.
  std::optional<IdempotencyClaim> idempotency;
  std::shared_ptr<std::optional<IdempotencyRecord>> repetition;
};

// How far a running answer is: what recovery bills if we die now (requirement R-27).
struct Checkpoint {
  std::string request_id;
  std::int64_t input_tokens = 0;
  std::int64_t cached_tokens = 0;
  std::int64_t output_tokens = 0;  // delivered: the kernel has taken them
  std::int64_t reasoning_tokens = 0;
  std::int64_t produced_tokens = 0;
  std::optional<std::int64_t> micros;  // with price_version and currency
  std::optional<std::int64_t> price_version;
  std::string currency;
};

// The one final entry of a request. input, cached, output and reasoning tokens are the billed ones.
struct Settlement {
  std::string request_id;  // has a reservation
  Outcome outcome = Outcome::kOk;
  std::string error_code;  // api code, empty when kOk
  std::string error_kind;  // what it was: timeout, oom, worker_crashed, ...; empty: error_code
  std::string finish_reason;
  std::int64_t http_status = 200;
  std::int64_t input_tokens = 0;
  std::int64_t cached_tokens = 0;
  std::int64_t output_tokens = 0;
  std::int64_t reasoning_tokens = 0;  // of output_tokens
  std::int64_t produced_tokens = 0;   // what the engine made, delivered or not
  std::int64_t queue_us = 0;      // waited for its turn on an awake instance
  std::int64_t wake_wait_us = 0;  // held while an instance woke
  std::int64_t ttft_us = 0;       // accepted to first token; 0: none came
  std::int64_t duration_us = 0;   // accepted to last byte
  std::int64_t busy_ns = 0;       // its share of its instance's busy time
  std::optional<std::string> instance_id;
  std::optional<std::int64_t> price_version;
  std::optional<std::int64_t> cost_micros;  // of busy_ns; nullopt: no price is known
  std::optional<std::int64_t> micros;       // of them billed
  std::string currency;
  // The settlement is durable before the closing bytes leave; a `closing` has to follow. Of what is billed these were
  // written before, so that only the rest can come back.
  bool closing_follows = false;
  std::int64_t delivered_tokens = 0;
};

// What became of the closing bytes of a settled request: the kernel took them, or what they held is given back.
struct Closing {
  std::string request_id;
  bool written = true;
};

// Requests turned away in a minute that reserved nothing.
struct RefusalCount {
  std::int64_t minute_us = 0;  // its beginning, wall
  std::string key_id;          // empty: none
  std::string deployment;      // as asked for; empty: not known
  std::string reason;          // api code
  std::int64_t requests = 0;
};

struct Span {
  std::string instance_id;
  std::string deployment;
  std::string driver;
  std::uint64_t epoch = 0;
  std::string cause;
  std::string reason;  // empty while it lives
  std::int64_t requested_us = 0;                // wall
  std::optional<std::int64_t> up_us;            // wall, each
  std::optional<std::int64_t> ready_us;
  std::optional<std::int64_t> drain_us;
  std::optional<std::int64_t> down_us;
  std::optional<std::int64_t> confirmed_us;
  std::int64_t waking_us = 0;  // durations, boot clock
  std::int64_t busy_us = 0;
  std::int64_t alive_us = 0;
};

// One finished (or open) request as a row, for `usage` in detail and for tests.
struct RequestRow {
  std::string request_id;
  std::string deployment;
  std::string key_id;
  std::string dialect;
  std::int64_t at_us = 0;  // reserved at, wall
  bool settled = false;
  Settlement settlement;   // meaningful when settled
  bool refunded = false;
  std::int64_t refunded_tokens = 0;  // output tokens given back, with the input if all were
  std::optional<std::int64_t> refunded_micros;
};

// What a key has been billed of a deployment, refunds taken off: for budgets.
struct Spend {
  std::string key_id;  // empty: none
  std::string deployment;
  std::string currency;
  std::int64_t micros = 0;
};

}  // namespace dormouse::ledger
