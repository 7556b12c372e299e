// The command line of `dormouse-worker serve`. vLLM's names where vLLM has the switch, so that people's scripts go on
// working.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "http/message.h"
#include "worker/generator.h"
#include "worker/model.h"

namespace dormouse::worker {

struct ServeOptions {
  LoadOptions load;
  http::Address listen;
  std::string served_model_name;    // empty: the file's general.name, or the file's own name
  std::string control;              // empty: nobody's worker, a server of its own
  std::string control_fingerprint;  // "sha256:HEX": the gateway is on another machine, and this is its certificate
  std::string advertise;            // HOST or HOST:PORT; empty: where the gateway sees the control channel come from
  std::string lease;                // secret; comes by DORMOUSE_LEASE
  std::chrono::seconds lease_time_to_live{120};  // of the lease, once a gateway on another machine is out of reach
  std::uint64_t epoch = 0;
  GeneratorOptions generator;  // spoil_golden: DORMOUSE_FAULT=golden_mismatch
  bool show_help = false;
};

// `arguments`: what follows "serve". Errors: kInvalidArgument, naming the switch and what it wants.
[[nodiscard]] Result<ServeOptions> parse_serve_options(std::span<char* const> arguments);
[[nodiscard]] const char* serve_usage();

}  // namespace dormouse::worker
