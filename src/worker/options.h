// The command line of `dormouse-worker serve`. vLLM's names where vLLM has the switch, so that people's scripts go on
// working.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "http/message.h"
#include "worker/gateway_side.h"
#include "worker/generator.h"
#include "worker/model.h"

namespace dormouse::worker {

struct ServeOptions {
  LoadOptions load;
  http::Address listen;
  std::string served_model_name;  // empty: the file's general.name, or the file's own name
  GatewayOptions gateway;
  GeneratorOptions generator;  // spoil_golden: DORMOUSE_FAULT=golden_mismatch
  bool show_help = false;
};

// `arguments`: what follows "serve". Errors: kInvalidArgument, naming the switch and what it wants.
[[nodiscard]] Result<ServeOptions> parse_serve_options(std::span<char* const> arguments);
[[nodiscard]] const char* serve_usage();

}  // namespace dormouse::worker
