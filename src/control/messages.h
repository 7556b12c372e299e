// What worker and gateway say to each other over the control WebSocket: one JSON object a message, versioned. No I/O.
// Worker -> gateway: hello first, then progress*, ready, stats*, ended*, failed. Gateway -> worker: drain, stop; to a
// remote one welcome before.
// Unknown message types and fields are skipped (a newer peer may send them); a wrong type of a known field is an error.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"

namespace dormouse::control {

inline constexpr int kProtocolVersion = 1;
inline constexpr std::size_t kMaxMessageBytes = 64 * 1024;

struct Hello {
  int protocol = kProtocolVersion;
  std::string build;  // "0.1.0"
  std::string lease;  // token from the start command; proves who started it
  std::uint64_t epoch = 0;
  std::string address;          // data address, "unix:..." or "host:port"
  std::string tls_fingerprint;  // empty: no TLS
  std::int64_t pid = 0;
};

struct Progress {
  std::string phase;    // "loading"
  double fraction = 0;  // 0..1
};

struct Ready {
  std::string model;
  std::string isa;
  int threads = 0;
  std::int64_t context_length = 0;
  std::int64_t max_sequences = 0;
  std::int64_t kv_tokens = 0;
  std::int64_t load_us = 0;  // exec to ready
};

// Sent every second while anything runs, and once when the last request ended.
struct Stats {
  std::uint64_t steps = 0;   // engine steps since start: progress, for hang detection
  std::int64_t running = 0;  // sequences
  std::int64_t waiting = 0;
  std::uint64_t prompt_tokens = 0;  // since start
  std::uint64_t generated_tokens = 0;
  std::int64_t slow_step_us = 0;  // what a slow step takes on this machine; 0: not known
};

// The worker cannot go on; it exits after sending this.
struct Failed {
  std::string code;     // "model_invalid" | "golden_mismatch" | "out_of_memory" | "internal_error"
  std::string message;  // for the log
};

// A request whose connection the gateway closed has ended: what it came to, which no chunk could tell any more.
struct Ended {
  std::string request_id;  // x-request-id of the data connection
  std::int64_t prompt_tokens = 0;
  std::int64_t generated_tokens = 0;
};

struct Welcome {};  // the hello was accepted; without it a remote worker's lease goes on running out
struct Drain {};    // refuse new work, finish what runs, then exit 0
struct Stop {};     // exit now

using Message = std::variant<Hello, Progress, Ready, Stats, Failed, Drain, Stop, Welcome, Ended>;

[[nodiscard]] std::string encode(const Message& message);
// Errors: kInvalidArgument (not JSON, wrong type of a field, protocol version we do not speak), kTooLarge,
// kNotFound (unknown message type: skip it).
[[nodiscard]] Result<Message> decode(std::string_view text);

}  // namespace dormouse::control
